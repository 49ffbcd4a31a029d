// `join_slices`: zeros, except for some slices (the gradients of reading them). `add_slice`: adds to
// a slice. `cat`: concatenates arrays.
#include "kernels/operands.h"

namespace cr::CR_ISA {

CR_KERNEL(copy);

namespace {

void set_zero(const View& y) {
    __builtin_memset(y.data, 0, count(y) * item_size(y.dtype));
}

// Whether all elements of `part` are inside `whole`, which is contiguous.
bool inside(const View& part, const View& whole) {
    i64 lowest = part.data - whole.data, highest = lowest + item_size(part.dtype);
    for (int d = 0; d < part.ndim; ++d) {
        const i64 reach = (part.shape[d] - 1) * part.strides[d];
        (reach < 0 ? lowest : highest) += reach;
    }
    return lowest >= 0 && highest <= count(whole) * item_size(whole.dtype);
}

// A part on its way into y, row by row of its last dimension.
struct Part {
    View from, to;
    i64 first, rows;  // its rows are numbered from `first`, over all parts
};
struct Joining {
    const Part* parts;
    i64 n_parts, rows, step;
};

// Rows [row, end) of a part, added to what is there or to 0. So −0 becomes 0, as in a sum.
template <class T, bool there> void move_rows(const Part& p, i64 row, i64 end) {
    const int last = p.from.ndim - 1;
    const i64 n = p.from.shape[last], from_step = p.from.strides[last] / i64(sizeof(T)),
              to_step = p.to.strides[last] / i64(sizeof(T));
    i64 at[MAX_DIMS] = {}, rest = row;
    const char* from = p.from.data;
    char* to = p.to.data;
    for (int d = last - 1; d >= 0; --d) {
        at[d] = rest % p.from.shape[d], rest /= p.from.shape[d];
        from += at[d] * p.from.strides[d], to += at[d] * p.to.strides[d];
    }
    for (; row < end; ++row) {
        const T* x = reinterpret_cast<const T*>(from);
        T* y = reinterpret_cast<T*>(to);
        if (from_step == 1 && to_step == 1)
            for (i64 i = 0; i < n; ++i) y[i] = x[i] + (there ? y[i] : T(0));
        else
            for (i64 i = 0; i < n; ++i)
                y[i * to_step] = x[i * from_step] + (there ? y[i * to_step] : T(0));
        for (int d = last - 1; d >= 0; --d) {
            from += p.from.strides[d], to += p.to.strides[d];
            if (++at[d] < p.from.shape[d]) break;
            from -= at[d] * p.from.strides[d], to -= at[d] * p.to.strides[d];
            at[d] = 0;
        }
    }
}

template <class T, bool there> void join_piece(void* context, i64 piece) {
    const Joining& job = *static_cast<Joining*>(context);
    const i64 first = piece * job.step, end = first + job.step;
    for (i64 i = 0; i < job.n_parts; ++i) {
        const Part& p = job.parts[i];
        const i64 from = first > p.first ? first - p.first : 0;
        const i64 to = end - p.first < p.rows ? end - p.first : p.rows;
        if (from < to) move_rows<T, there>(p, from, to);
    }
}

// The place of a part in y, from its numbers: where it begins, and its strides in bytes.
bool placed(const View& x, const View& y, const i64* ints, View& part) {
    part = x;
    part.data = y.data + ints[0];
    for (int d = 0; d < x.ndim; ++d) part.strides[d] = ints[1 + d];
    return count(x) == 0 || inside(part, y);
}

// Reads the parts and their places in y. The number of their elements, or −1 if one does not fit.
i64 read_parts(const View* xs, int n_parts, const Call& call, Part* parts, Joining& job) {
    const View& y = call.out[0];
    const i64 *ints = call.ints, *end = call.ints + call.n_ints;
    i64 filled = 0;
    job = {parts, n_parts, 0, 1};
    for (int i = 0; i < n_parts; ints += 1 + xs[i].ndim, ++i) {
        const View& x = xs[i];
        if (x.dtype != y.dtype || x.ndim < 1 || end - ints < 1 + x.ndim ||
            !placed(x, y, ints, parts[i].to))
            return -1;
        const i64 n = x.shape[x.ndim - 1];
        parts[i].from = x, parts[i].first = job.rows, parts[i].rows = n ? count(x) / n : 0;
        job.rows += parts[i].rows, filled += count(x);
    }
    return filled;
}

template <class T, bool there> Status move(Joining& job, i64 filled) {
    if (filled == 0) return OK;
    const i64 pieces = useful_threads(filled * 0.3) == 1 ? 1 : 16;
    job.step = (job.rows + pieces - 1) / pieces;
    run_pieces((job.rows + job.step - 1) / job.step, join_piece<T, there>, &job);
    return OK;
}

}  // namespace

// cat(x₀, x₁, …) → y, in order;  ints: the dimension along which they follow each other
CR_KERNEL(cat) {
    if (call.n_in < 1 || call.n_out != 1 || call.n_ints != 1 || !contiguous(call.out[0]) ||
        call.ints[0] < 0 || call.ints[0] >= call.out[0].ndim)
        return bad_call("cat: takes arrays and a dimension, gives y in order");
    const View& y = call.out[0];
    const i64 dim = call.ints[0];
    i64 total = 0;
    for (int i = 0; i < call.n_in; ++i) {
        const View& x = call.in[i];
        bool fits = x.ndim == y.ndim && x.dtype == y.dtype;
        for (int d = 0; fits && d < y.ndim; ++d) fits = d == dim || x.shape[d] == y.shape[d];
        if (!fits) return bad_call("cat: shapes or dtypes do not fit");
        total += x.shape[dim];
    }
    if (total != y.shape[dim]) return bad_call("cat: the parts are not as long as the whole");
    View part = y;
    for (int i = 0; i < call.n_in; ++i) {
        const i64 n = part.shape[dim] = call.in[i].shape[dim];
        const Status status =
            count(part) ? copy(Call{&call.in[i], &part, nullptr, nullptr, 1, 1, 0, 0}) : OK;
        if (status.code != Code::ok) return status;
        part.data += n * y.strides[dim];
    }
    return OK;
}

// join_slices(x…) → y: zeros, with each x in a slice; slices do not overlap.
// ints: for each x, where its slice begins in y, and its strides for the dimensions of x, in bytes.
CR_KERNEL(join_slices) {
    if (call.n_out != 1 || !contiguous(call.out[0])) return bad_call("join_slices: y in order");
    const View& y = call.out[0];
    Part parts[MAX_OPERANDS];
    Joining job;
    const i64 filled = read_parts(call.in, call.n_in, call, parts, job);
    if (filled < 0) return bad_call("join_slices: a slice does not fit");
    if (filled < count(y)) set_zero(y);
    if (y.dtype == DType::f32) return move<float, false>(job, filled);
    if (y.dtype == DType::f64) return move<double, false>(job, filled);
    for (const Part* p = parts; p < parts + call.n_in; ++p)
        if (const Status bad = copy(Call{&p->from, &p->to, nullptr, nullptr, 1, 1, 0, 0});
            bad.code != Code::ok)
            return bad;
    return OK;
}

// add_slice(x, v) → y: x, with v added to a slice; ints: as for join_slices. y may be x.
CR_KERNEL(add_slice) {
    if (call.n_in != 2 || call.n_out != 1 || !contiguous(call.out[0]) ||
        !same_shape(call.in[0], call.out[0]) || call.in[0].dtype != call.out[0].dtype)
        return bad_call("add_slice: takes x and v, gives y in order");
    const View &x = call.in[0], &y = call.out[0];
    Part part;
    Joining job;
    const i64 filled = read_parts(call.in + 1, 1, call, &part, job);
    if (filled < 0) return bad_call("add_slice: the slice does not fit");
    if (x.data != y.data)
        if (const Status bad = copy(Call{&x, &y, nullptr, nullptr, 1, 1, 0, 0});
            bad.code != Code::ok)
            return bad;
    if (y.dtype == DType::f32) return move<float, true>(job, filled);
    if (y.dtype == DType::f64) return move<double, true>(job, filled);
    return bad_call("add_slice: float32 or float64");
}

}  // namespace cr::CR_ISA
