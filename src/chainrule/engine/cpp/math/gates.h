// Sigmoid and tanh for gates, with half the instructions of vecmath.h.
//
// Results are between −1 and 1, so arguments are limited to the range in which e^x is a normal
// number, and 2ⁿ is one shift. σ(x) for x < −87 is 10⁻³⁸ (float64: 10⁻³⁰⁷), and tanh(−0) is 0.
// Elsewhere the error is at most 4 units in the last place. NaN gives NaN.
#pragma once
#include "math/vecmath.h"

namespace cr::CR_ISA {

// e^x = 2ⁿ·(1 + d) for e^x in the range of normal numbers: returns d, and 2ⁿ as `scale`.
template <class T> CR_INLINE Vec<T> split_exp(Vec<T> x, Vec<T>& scale) {
    using F = Format<T>;
    constexpr T origin = F::magic + T(F::bias);  // its last bits become those of n + bias
    const Vec<T> shifted = fma(x, splat(T(1.44269504088896340736)), splat(origin));
    const Vec<T> n = shifted - origin;
    Vec<T> r = fma(n, splat(-F::ln2_high), x);
    r = fma(n, splat(-F::ln2_low), r);
    scale = from_bits<T>((Mask<T>)((Word<T>)bits<T>(shifted) << F::digits));
    return small_expm1<T>(r);
}

// x, limited to [−limit, limit].
template <class T> CR_INLINE Vec<T> clamped(Vec<T> x, T limit) {
    x = x < -limit ? splat(-limit) : x;
    return x > limit ? splat(limit) : x;
}

// σ(x) = 1/(1 + e⁻ˣ)
template <class T> CR_INLINE Vec<T> gate_sigmoid(Vec<T> x) {
    constexpr T limit = sizeof(T) == 4 ? T(87) : T(707);
    Vec<T> scale;
    const Vec<T> d = split_exp<T>(-clamped<T>(x, limit), scale);
    return T(1) / (fma(d, scale, scale) + T(1));
}

// tanh x = E/(E + 2) with E = e²ˣ − 1
template <class T> CR_INLINE Vec<T> gate_tanh(Vec<T> x) {
    Vec<T> scale;
    const Vec<T> inside = clamped<T>(x, Format<T>::tanh_limit);
    const Vec<T> d = split_exp<T>(inside + inside, scale);
    const Vec<T> e = fma(d, scale, scale - T(1));
    return e / (e + T(2));
}

}  // namespace cr::CR_ISA
