// Sigmoid and tanh as gates use them: to the precision of 1, in half the instructions of vecmath.h.
//
// Their results lie between −1 and 1, so arguments can be kept where e^x is a normal number: then
// 2ⁿ is one shift. σ(x) below −87 is left at 10⁻³⁸ (float64: 10⁻³⁰⁷); −0 gives 0. Elsewhere both are
// within 4 units in the last place. NaN comes out where NaN went in.
#pragma once
#include "math/vecmath.h"

namespace cr::CR_ISA {

// e^x = 2ⁿ·(1 + d) for x inside the range of normal numbers: gives d, and 2ⁿ as `scale`.
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

// x between −limit and limit.
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
