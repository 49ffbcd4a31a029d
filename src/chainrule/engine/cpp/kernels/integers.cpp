// Whole numbers: sums, differences, products and comparisons, and sums over dimensions.
//
// Counters, positions and labels are integers, which floats cannot all represent exactly, so the
// elementwise machine is not used. Overflow wraps around, as in NumPy. The arithmetic is on
// unsigned numbers, for which C++ defines this.
#include "kernels/groups.h"

namespace cr::CR_ISA {

namespace {

enum class Op : i64 { add, sub, mul, eq, ne, lt, le, gt, ge, count };

struct Job {
    const Call* call;
    Op op;
    i64 size, step;  // elements, elements of a piece
};

// y[i] = f(a[i], b[i]); an operand of one element stands for all.
template <class T, class Y, class F> CR_INLINE void each(const Job& job, i64 piece, F f) {
    const View &a = job.call->in[0], &b = job.call->in[1];
    const T *x = data<T>(a), *z = data<T>(b);
    Y* y = data<Y>(job.call->out[0]);
    const i64 from = piece * job.step;
    const i64 end = from + job.step < job.size ? from + job.step : job.size;
    if (count(b) < job.size) {
        const T one = *z;
        for (i64 i = from; i < end; ++i) y[i] = f(x[i], one);
    } else if (count(a) < job.size) {
        const T one = *x;
        for (i64 i = from; i < end; ++i) y[i] = f(one, z[i]);
    } else {
        for (i64 i = from; i < end; ++i) y[i] = f(x[i], z[i]);
    }
}

template <class T, class U> void piece_of(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const auto compute = [&](auto f) { each<T, T>(job, piece, f); };
    const auto compare = [&](auto f) { each<T, std::uint8_t>(job, piece, f); };
    switch (job.op) {
        case Op::add: return compute([](T a, T b) { return T(U(a) + U(b)); });
        case Op::sub: return compute([](T a, T b) { return T(U(a) - U(b)); });
        case Op::mul: return compute([](T a, T b) { return T(U(a) * U(b)); });
        case Op::eq: return compare([](T a, T b) { return a == b; });
        case Op::ne: return compare([](T a, T b) { return a != b; });
        case Op::lt: return compare([](T a, T b) { return a < b; });
        case Op::le: return compare([](T a, T b) { return a <= b; });
        case Op::gt: return compare([](T a, T b) { return a > b; });
        default: return compare([](T a, T b) { return a >= b; });
    }
}

struct SumJob {
    const Call* call;
    Groups groups;
};

template <class T> void sum_piece(void* context, i64 piece) {
    const SumJob& job = *static_cast<SumJob*>(context);
    each_item(job.groups, piece, [&](const Item& item) {
        const T* x = data<T>(job.call->in[0]) + item.first;
        std::uint64_t* y = data<std::uint64_t>(job.call->out[0]) + item.result;
        std::uint64_t total[COLUMNS] = {};
        if (job.groups.inner == 1)
            for (i64 k = 0; k < job.groups.n; ++k) total[0] += std::uint64_t(x[k]);
        else
            for (i64 k = 0; k < job.groups.n; ++k)
                for (i64 c = 0; c < item.columns; ++c)
                    total[c] += std::uint64_t(x[k * job.groups.inner + c]);
        for (i64 c = 0; c < item.columns; ++c) y[c] = total[c];
    });
}

bool is_integer(DType type) { return type != DType::f32 && type != DType::f64; }

}  // namespace

// integers(a, b) → y;  ints: the op. Each operand is contiguous and has the size of y, or is one
// number. y has their dtype, or is boolean for a comparison.
CR_KERNEL(integers) {
    if (call.n_in != 2 || call.n_out != 1 || call.n_ints != 1 || call.ints[0] < 0 ||
        call.ints[0] >= i64(Op::count))
        return bad_call("integers: takes a and b, and an op");
    const View& y = call.out[0];
    const DType type = call.in[0].dtype;
    const Op op = Op(call.ints[0]);
    const i64 n = count(y);
    if (!is_integer(type) || y.dtype != (op < Op::eq ? type : DType::boolean) ||
        (op < Op::eq && type == DType::boolean) || !contiguous(y))
        return bad_call("integers: this result has another dtype");
    for (int i = 0; i < 2; ++i) {
        const View& x = call.in[i];
        if (x.dtype != type || !contiguous(x) || (count(x) != n && count(x) != 1))
            return bad_call("integers: operands are of one dtype and laid out in order");
    }
    if (n == 0) return OK;
    if (count(call.in[0]) != n && count(call.in[1]) != n)
        return bad_call("integers: one operand at least has the size of the result");
    Job job{&call, op, n, n};
    const i64 pieces = useful_threads(n * 0.3) == 1 ? 1 : 8;
    job.step = ((n + pieces - 1) / pieces + 63) / 64 * 64;
    run_pieces((n + job.step - 1) / job.step,
               type == DType::i64   ? piece_of<std::int64_t, std::uint64_t>
               : type == DType::i32 ? piece_of<std::int32_t, std::uint32_t>
                                    : piece_of<std::uint8_t, std::uint8_t>,
               &job);
    return OK;
}

// integer_sum(x) → y, int64: x (outer, n, inner) summed over n, all laid out in order.
// ints: outer, n, inner.
CR_KERNEL(integer_sum) {
    if (call.n_ints != 3) return bad_call("integer_sum: takes three sizes");
    SumJob job{&call, {call.ints[0], call.ints[1], call.ints[2], 1}};
    if (!fits(job.groups, call) || !is_integer(call.in[0].dtype) ||
        call.out[0].dtype != DType::i64)
        return bad_call("integer_sum: the sizes or dtypes do not fit x and y");
    const DType type = call.in[0].dtype;
    run_groups(job, count(call.in[0]) * 0.3,
               type == DType::i64   ? sum_piece<std::int64_t>
               : type == DType::i32 ? sum_piece<std::int32_t>
                                    : sum_piece<std::uint8_t>);
    return OK;
}

}  // namespace cr::CR_ISA
