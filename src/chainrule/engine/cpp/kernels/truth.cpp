// `all` and `any` of rows, requirements, and whether all numbers are finite.
#include "kernels/operands.h"
#include "math/vecmath.h"

namespace cr::CR_ISA {

namespace {

constexpr i64 CHUNK = 32768;

struct Finite {
    const Call* call;
    i64 first_chunk[MAX_OPERANDS + 1];  // of each input, in the row of all chunks
    int broken;                         // set by any thread that finds a number that is not finite
};

// Not finite: all bits of the exponent are set.
template <class T> bool any_infinite(const T* x, i64 n) {
    constexpr i64 W = WIDTH<T>;
    Mask<T> found{};
    i64 i = 0;
    for (; i + W <= n; i += W)
        found |= (Mask<T>)(~(magnitude<T>(load(x + i)) < Format<T>::infinity));
    if (i < n)
        found |= (Mask<T>)(~(magnitude<T>(load_some(x + i, n - i, T(0))) < Format<T>::infinity));
    for (i64 l = 0; l < W; ++l)
        if (found[l]) return true;
    return false;
}

void finite_piece(void* context, i64 piece) {
    Finite& job = *static_cast<Finite*>(context);
    if (__atomic_load_n(&job.broken, __ATOMIC_RELAXED)) return;
    int i = 0;
    while (piece >= job.first_chunk[i + 1]) ++i;
    const View& x = job.call->in[i];
    const i64 from = (piece - job.first_chunk[i]) * CHUNK, left = count(x) - from;
    const i64 n = left < CHUNK ? left : CHUNK;
    if (x.dtype == DType::f32 ? any_infinite(data<float>(x) + from, n)
                              : any_infinite(data<double>(x) + from, n))
        __atomic_store_n(&job.broken, 1, __ATOMIC_RELAXED);
}

struct Truth {
    const std::uint8_t* x;
    std::uint8_t* y;
    i64 rows, columns, step;
    bool all;
};

// Bytes are 0 or not; `all` looks for a zero, `any` for something else.
void truth_piece(void* context, i64 piece) {
    const Truth& job = *static_cast<Truth*>(context);
    for (i64 row = piece * job.step; row < (piece + 1) * job.step && row < job.rows; ++row) {
        const std::uint8_t* x = job.x + row * job.columns;
        std::uint8_t found = 0;
        if (job.all)
            for (i64 i = 0; i < job.columns; ++i) found |= x[i] == 0;
        else
            for (i64 i = 0; i < job.columns; ++i) found |= x[i] != 0;
        job.y[row] = job.all ? !found : found;
    }
}

}  // namespace

// all_finite(x, …) → whether no element of any input is infinite or NaN.
CR_KERNEL(all_finite) {
    Finite job{};
    job.call = &call;
    if (call.n_out != 1 || call.out[0].dtype != DType::boolean || count(call.out[0]) != 1)
        return bad_call("all_finite: gives one truth value");
    for (int i = 0; i < call.n_in; ++i) {
        const View& x = call.in[i];
        if ((x.dtype != DType::f32 && x.dtype != DType::f64) || !contiguous(x))
            return bad_call("all_finite: takes floats that lie in order");
        job.first_chunk[i + 1] = job.first_chunk[i] + (count(x) + CHUNK - 1) / CHUNK;
    }
    const i64 chunks = job.first_chunk[call.n_in];
    if (useful_threads(chunks * CHUNK * 0.04) == 1)
        for (i64 piece = 0; piece < chunks; ++piece) finite_piece(&job, piece);
    else
        run_pieces(chunks, finite_piece, &job);
    *data<std::uint8_t>(call.out[0]) = !job.broken;
    return OK;
}

// truth(x) → whether all, or any, of each row are true; x (rows…, columns…) and y lie in order.
// ints: 1 for all and 0 for any.
CR_KERNEL(truth) {
    if (call.n_in != 1 || call.n_out != 1 || call.n_ints != 1 ||
        !all_of_type(call, DType::boolean) || !contiguous(call.in[0]) || !contiguous(call.out[0]))
        return bad_call("truth: takes and gives truth values that lie in order");
    const i64 rows = count(call.out[0]), n = count(call.in[0]);
    if (rows == 0) return OK;
    if (n % rows != 0) return bad_call("truth: the sizes do not fit");
    const i64 pieces = useful_threads(n * 0.05 + rows * 5.0) == 1 ? 1 : 8;
    Truth job{data<std::uint8_t>(call.in[0]), data<std::uint8_t>(call.out[0]), rows, n / rows,
              (rows + pieces - 1) / pieces, call.ints[0] != 0};
    run_pieces((rows + job.step - 1) / job.step, truth_piece, &job);
    return OK;
}

// require(x): stops the program unless all of x is true.  ints: the number of the requirement.
CR_KERNEL(require) {
    const View& x = call.in[0];
    if (call.n_in != 1 || call.n_out || call.n_ints != 1 || x.dtype != DType::boolean ||
        !contiguous(x))
        return bad_call("require: takes truth values that lie in order");
    for (i64 i = 0; i < count(x); ++i)
        if (!data<std::uint8_t>(x)[i]) return {Code::unmet, "not met", i, call.ints[0], 0};
    return OK;
}

}  // namespace cr::CR_ISA
