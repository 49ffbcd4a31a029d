// Bytes as floats over a divisor: the pixels of images.
#include "kernels/operands.h"
#include "math/vec.h"
#include "runtime/pool.h"

namespace cr::CR_ISA {

namespace {

struct Job {
    const Call* call;
    i64 size, step;  // elements, elements of a piece
    bool multiplies;
};

// A division takes as long as eight multiplications. q = x·(1/d) is wrong by one unit in the last
// place at most. One step of Newton's method rounds it correctly, but for rare d (Markstein, 1990,
// Computation of elementary functions on the IBM RISC System/6000 processor).
template <class T> CR_INLINE Vec<T> corrected(Vec<T> x, Vec<T> d, Vec<T> inverse) {
    const Vec<T> q = x * inverse;
    return fma(fma(-q, d, x), inverse, q);
}

// Whether this is the quotient of all bytes, with the signs of zeros.
template <class T> bool divides_all(Vec<T> d, Vec<T> inverse) {
    Mask<T> differs{};
    Vec<T> x{};
    for (int i = 0; i < WIDTH<T>; ++i) x[i] = T(i);
    for (; x[0] < T(256); x += T(WIDTH<T>))
        differs |= (Mask<T>)corrected<T>(x, d, inverse) ^ (Mask<T>)(x / d);
    for (int i = 0; i < WIDTH<T>; ++i)
        if (differs[i]) return false;
    return true;
}

constexpr i64 TILE = 2048;  // numbers that the L1 cache holds between two loops

template <class T> void rescale_piece(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const T divisor = T(job.call->floats[0]);
    const Vec<T> d = splat(divisor), inverse = splat(T(1) / divisor);
    const i64 end = least(job.size, (piece + 1) * job.step);
    for (i64 from = piece * job.step; from < end; from += TILE) {
        const std::uint8_t* x = data<std::uint8_t>(job.call->in[0]) + from;
        T* y = data<T>(job.call->out[0]) + from;
        const i64 n = least(TILE, end - from);
        for (i64 i = 0; i < n; ++i) y[i] = T(x[i]);
        i64 i = 0;
        if (job.multiplies)
            for (; i + WIDTH<T> <= n; i += WIDTH<T>)
                store(y + i, corrected<T>(load(y + i), d, inverse));
        for (; i < n; ++i) y[i] /= divisor;
    }
}

template <class T> Status rescale_by(Job& job) {
    const T divisor = T(job.call->floats[0]);
    job.multiplies = divides_all<T>(splat(divisor), splat(T(1) / divisor));
    run_pieces(parts(job.size, job.step), rescale_piece<T>, &job);
    return OK;
}

}  // namespace

// rescale(x) → y = x / divisor, where x are bytes and y is float32 or float64;  floats: divisor.
CR_KERNEL(rescale) {
    if (call.n_in != 1 || call.n_out != 1 || call.n_floats != 1 ||
        call.in[0].dtype != DType::u8 || !same_shape(call.in[0], call.out[0]) ||
        !contiguous(call.in[0]) || !contiguous(call.out[0]))
        return bad_call("rescale: takes bytes, laid out in order, and a divisor");
    const i64 size = count(call.out[0]), pieces = useful_threads(size * 0.1) == 1 ? 1 : 8;
    Job job{&call, size, (parts(size, pieces) + 63) / 64 * 64, false};
    if (size == 0) return OK;
    if (call.out[0].dtype == DType::f32) return rescale_by<float>(job);
    if (call.out[0].dtype == DType::f64) return rescale_by<double>(job);
    return bad_call("rescale: gives float32 or float64");
}

}  // namespace cr::CR_ISA
