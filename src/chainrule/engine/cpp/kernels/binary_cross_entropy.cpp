// Binary cross-entropy of logits with targets in [0, 1].
#include "kernels/operands.h"
#include "math/vecmath.h"

namespace cr::CR_ISA {

namespace {

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

// The position of the first number outside [0, 1], or −1. NaN is accepted.
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

}  // namespace cr::CR_ISA
