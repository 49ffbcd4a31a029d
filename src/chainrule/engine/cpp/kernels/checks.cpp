// Kernels that look at the values they are given: is every number finite, is each a probability?
#include "kernels/operands.h"
#include "math/vecmath.h"

namespace cr::CR_ISA {

namespace {

constexpr i64 CHUNK = 32768;

struct Finite {
    const Call* call;
    i64 first_chunk[MAX_OPERANDS + 1];  // of each input, in the row of all chunks
    int broken;                         // set by whichever thread finds something
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

template <class T> struct Loss {
    const T *x, *t;
    T* y;
    i64 n, step;
};

// max(x, 0) − t·x + ln(1 + e^−|x|)
template <class T> CR_INLINE Vec<T> logistic_loss(Vec<T> x, Vec<T> t) {
    const Vec<T> fading = log1p<T>(exp<T>(-magnitude<T>(x)));
    return (larger(x, Vec<T>{}) - t * x) + fading;
}

template <class T> void loss_piece(void* context, i64 piece) {
    const Loss<T>& job = *static_cast<Loss<T>*>(context);
    constexpr i64 W = WIDTH<T>;
    const i64 end = (piece + 1) * job.step < job.n ? (piece + 1) * job.step : job.n;
    i64 i = piece * job.step;
    for (; i + W <= end; i += W)
        store(job.y + i, logistic_loss<T>(load(job.x + i), load(job.t + i)));
    if (i < end)
        store_some(job.y + i, logistic_loss<T>(load_some(job.x + i, end - i, T(0)),
                                               load_some(job.t + i, end - i, T(0))), end - i);
}

// The first number outside [0, 1], or −1; NaN passes.
template <class T> i64 first_improper(const T* t, i64 n) {
    constexpr i64 W = WIDTH<T>;
    i64 i = 0;
    for (; i + W <= n; i += W) {
        const Vec<T> v = load(t + i);
        const Mask<T> bad = (v < T(0)) | (v > T(1));
        for (i64 l = 0; l < W; ++l)
            if (bad[l]) return i + l;
    }
    for (; i < n; ++i)
        if (t[i] < T(0) || t[i] > T(1)) return i;
    return -1;
}

template <class T> Status loss_of(const Call& call) {
    const i64 n = count(call.out[0]);
    Loss<T> job{data<T>(call.in[0]), data<T>(call.in[1]), data<T>(call.out[0]), n, n};
    const i64 bad = first_improper(job.t, n);
    if (bad >= 0)
        return {Code::refused, "the target is no probability", bad, 0, 0};
    if (n == 0) return OK;
    const i64 pieces = useful_threads(n * 1.0) == 1 ? 1 : 8;
    job.step = ((n + pieces - 1) / pieces + 63) / 64 * 64;
    run_pieces((n + job.step - 1) / job.step, loss_piece<T>, &job);
    return OK;
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

// binary_cross_entropy_with_logits(x, t) → l; a target outside [0, 1] is refused.
CR_KERNEL(binary_cross_entropy_with_logits) {
    if (call.n_in != 2 || call.n_out != 1 || !same_shape(call.in[0], call.in[1]) ||
        !same_shape(call.in[0], call.out[0]) || !contiguous(call.in[0]) ||
        !contiguous(call.in[1]) || !contiguous(call.out[0]))
        return bad_call("binary_cross_entropy_with_logits: x, t and l of one shape, in order");
    if (all_of_type(call, DType::f32)) return loss_of<float>(call);
    if (all_of_type(call, DType::f64)) return loss_of<double>(call);
    return bad_call("binary_cross_entropy_with_logits: float32 or float64");
}

// require(x): ends the program here unless all of x is true.  ints: the number of the requirement.
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
