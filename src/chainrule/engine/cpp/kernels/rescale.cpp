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

// a·b + c, rounded once if the processor supports that.
template <class T> CR_INLINE T sum_of_product(T a, T b, T c) {
#if defined(__FMA__) || defined(__aarch64__)
    if constexpr (sizeof(T) == 4) return __builtin_fmaf(a, b, c);
    else return __builtin_fma(a, b, c);
#else
    return a * b + c;
#endif
}

// A division takes as long as eight multiplications. q = x·(1/d) is wrong by one unit in the last
// place at most. One step of Newton's method rounds it correctly, but for rare d (Markstein, 1990,
// Computation of elementary functions on the IBM RISC System/6000 processor).
template <class T> CR_INLINE T corrected(T x, T d, T inverse) {
    const T q = x * inverse;
    return sum_of_product(sum_of_product(-q, d, x), inverse, q);
}

// Whether this is the quotient of all bytes, with the signs of zeros.
template <class T> bool divides_all(T d) {
    using Bits = typename Lanes<T>::Int;
    Bits differs = 0;
    for (int byte = 0; byte < 256; ++byte) {
        const T x = T(byte), y = corrected(x, d, T(1) / d);
        differs |= __builtin_bit_cast(Bits, y) ^ __builtin_bit_cast(Bits, x / d);
    }
    return !differs;
}

// Loops over single numbers, of which the compiler makes loops over vectors.
template <class T> void rescale_piece(void* context, i64 piece) {
    const Job& job = *static_cast<Job*>(context);
    const T d = T(job.call->floats[0]), inverse = T(1) / d;
    const std::uint8_t* __restrict__ x = data<std::uint8_t>(job.call->in[0]);
    T* __restrict__ y = data<T>(job.call->out[0]);
    const i64 from = piece * job.step, end = least(job.size, from + job.step);
    if (job.multiplies)
        for (i64 i = from; i < end; ++i) y[i] = corrected(T(x[i]), d, inverse);
    else
        for (i64 i = from; i < end; ++i) y[i] = T(x[i]) / d;
}

template <class T> Status rescale_by(Job& job) {
    job.multiplies = divides_all(T(job.call->floats[0]));
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
