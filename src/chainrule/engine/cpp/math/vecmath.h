// Elementary functions on vectors, with errors of a few units in the last place.
//
// Each reduces the argument to a small interval by an exact step (separating a power of two),
// evaluates a polynomial, and multiplies by the power of two. There are no branches, since lanes
// differ; special values are selected at the end. NaN gives NaN.
#pragma once
#include "math/pieces.h"

namespace cr::CR_ISA {

template <class T> struct Format;
template <> struct Format<float> {
    using Int = std::int32_t;
    static constexpr int digits = 23, bias = 127;
    static constexpr float magic = 12582912.0f;  // 1.5·2²³: adding it rounds to an integer
    static constexpr float ln2_high = 0.693145751953125f, ln2_low = 1.42860682030941723212e-6f;
    static constexpr float exp_low = -104.0f, exp_high = 89.0f, expm1_low = -18.0f;
    static constexpr float exp_plain = 87.0f;  // up to here e^±x is a normal number
    static constexpr float least_normal = 1.17549435e-38f, infinity = __builtin_inff();
    static constexpr float tanh_limit = 10.0f;
    // (eʳ − 1 − r)/r² on |r| ≤ ½·ln 2, highest power first; relative error of eʳ 1e-8.
    static constexpr float exp_poly[] = {0.0013926213466332443f, 0.0083632029715758550f,
                                         0.041666554437685939f, 0.16666576845993976f, 0.5f};
    // (ln((1+s)/(1−s)) − 2s)/s³ in powers of s², highest first (fdlibm, Sun Microsystems, 1993).
    static constexpr float log_poly[] = {0.24279078841f, 0.28498786688f, 0.40000972152f,
                                         0.66666662693f};
};
template <> struct Format<double> {
    using Int = std::int64_t;
    static constexpr int digits = 52, bias = 1023;
    static constexpr double magic = 6755399441055744.0;  // 1.5·2⁵²
    static constexpr double ln2_high = 6.93147180369123816490e-01,
                            ln2_low = 1.90821492927058770002e-10;
    static constexpr double exp_low = -746.0, exp_high = 710.0, expm1_low = -40.0;
    static constexpr double exp_plain = 708.0;
    static constexpr double least_normal = 2.2250738585072014e-308, infinity = __builtin_inf();
    static constexpr double tanh_limit = 22.0;
    static constexpr double exp_poly[] = {
        2.0914717341716375952e-9, 2.5105259538448493419e-8, 2.7557273570102139673e-7,
        2.7557255297969644392e-6, 2.4801587325605322782e-5, 1.9841269874901259234e-4,
        1.3888888888883731828e-3, 8.3333333333261120526e-3, 4.1666666666666669767e-2,
        1.6666666666666671008e-1, 0.5};
    static constexpr double log_poly[] = {
        1.479819860511658591e-1, 1.531383769920937332e-1, 1.818357216161805012e-1,
        2.222219843214978396e-1, 2.857142874366239149e-1, 3.999999999940941908e-1,
        6.666666666666735130e-1};
};

template <class T> CR_INLINE Mask<T> bits(Vec<T> v) { return (Mask<T>)v; }
template <class T> CR_INLINE Vec<T> from_bits(Mask<T> m) { return (Vec<T>)m; }
template <class T> CR_INLINE Mask<T> int_splat(typename Format<T>::Int x) { return x - Mask<T>{}; }

template <class T> CR_INLINE Vec<T> magnitude(Vec<T> v) {
    using Int = typename Format<T>::Int;
    return from_bits<T>(bits<T>(v) & ~(Int(1) << (8 * sizeof(T) - 1)));
}
// The magnitude of `v` with the sign of `sign`.
template <class T> CR_INLINE Vec<T> with_sign(Vec<T> v, Vec<T> sign) {
    using Int = typename Format<T>::Int;
    const Int top = Int(1) << (8 * sizeof(T) - 1);
#if defined(__AVX512F__)  // a choice of bits, in one instruction
    constexpr int CHOICE = 0xca;
    return (Vec<T>)_mm512_ternarylogic_epi32((__m512i)int_splat<T>(top), (__m512i)sign, (__m512i)v,
                                             CHOICE);
#else
    return from_bits<T>((bits<T>(v) & ~top) | (bits<T>(sign) & top));
#endif
}

// Sums and differences of bit patterns, which wrap around on overflow (as lanes with NaN may).
template <class T> CR_INLINE Mask<T> wrapping_sum(Mask<T> a, Mask<T> b) {
    return (Mask<T>)((Word<T>)a + (Word<T>)b);
}
template <class T> CR_INLINE Mask<T> wrapping_difference(Mask<T> a, Mask<T> b) {
    return (Mask<T>)((Word<T>)a - (Word<T>)b);
}

// a/b within one unit in the last place, for b that is neither 0 nor subnormal nor infinite. A
// division of 16 floats takes as long as 32 multiplications; here an estimate of 1/b with 14 bits is
// followed by one step of Newton's method.
template <class T> CR_INLINE Vec<T> quotient(Vec<T> a, Vec<T> b) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) {
        const Vec<T> y = (Vec<T>)_mm512_rcp14_ps((__m512)b), q = a * y;
        return fma(fma(-b, q, a), y, q);
    }
#endif
    return a / b;
}

// 2ⁿ for n between the exponents of the smallest and the largest normal number.
template <class T> CR_INLINE Vec<T> power_of_two(Mask<T> n) {
    const Mask<T> exponent = wrapping_sum<T>(n, int_splat<T>(Format<T>::bias));
    return from_bits<T>((Mask<T>)((Word<T>)exponent << Format<T>::digits));
}

// Whether `scaled` takes several instructions, so that it is faster to add to an exponent.
#if defined(__AVX512F__)
constexpr bool SCALES_IN_STEPS = false;
#else
constexpr bool SCALES_IN_STEPS = true;
#endif

// p·2ⁿ for an integer n, rounded once; large results are ∞ and small ones subnormal or 0.
template <class T> CR_INLINE Vec<T> scaled(Vec<T> p, Vec<T> n) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) return (Vec<T>)_mm512_scalef_ps((__m512)p, (__m512)n);
    else return (Vec<T>)_mm512_scalef_pd((__m512d)p, (__m512d)n);
#else
    const Mask<T> whole = __builtin_convertvector(n, Mask<T>), half = whole >> 1;
    return p * power_of_two<T>(half) * power_of_two<T>(wrapping_difference<T>(whole, half));
#endif
}

// x = n·ln 2 + r with |r| ≤ ½·ln 2: r is found in two steps, the first of them exact. `exponent`
// has n where a number has its exponent.
template <class T> struct Reduced {
    Vec<T> n, r;
    Word<T> exponent;
};
template <class T> CR_INLINE Reduced<T> reduced(Vec<T> x) {
    using F = Format<T>;
    const Vec<T> shifted = fma(x, splat(T(1.44269504088896340736)), splat(F::magic));
    const Vec<T> n = shifted - F::magic;
    const Vec<T> r = fma(n, splat(-F::ln2_high), x);
    return {n, fma(n, splat(-F::ln2_low), r), (Word<T>)bits<T>(shifted) << F::digits};
}

// The polynomial with these coefficients, highest power first. Even and odd powers are added up
// separately, since each addition waits for the one before: a processor has some 200 instructions
// in flight, and the longer their chains, the fewer vectors those are.
template <class T, int N>
CR_INLINE Vec<T> polynomial(const T (&c)[N], Vec<T> x, Vec<T> square) {
    Vec<T> a = splat(c[0]), b = splat(c[1]);
#pragma GCC unroll 16
    for (int i = 2; i < N; i += 2) a = fma(a, square, splat(c[i]));
#pragma GCC unroll 16
    for (int i = 3; i < N; i += 2) b = fma(b, square, splat(c[i]));
    return N % 2 ? fma(b, x, a) : fma(a, x, b);
}

// A short one is computed by Horner's rule, which does without the square.
template <class T, int N> CR_INLINE Vec<T> polynomial(const T (&c)[N], Vec<T> x) {
    if constexpr (sizeof(T) == 8 || N > 7) return polynomial<T>(c, x, x * x);
    Vec<T> sum = splat(c[0]);
#pragma GCC unroll 8
    for (int i = 1; i < N; ++i) sum = fma(sum, x, splat(c[i]));
    return sum;
}

// eʳ − 1 for |r| ≤ ½·ln 2.
template <class T> CR_INLINE Vec<T> small_expm1(Vec<T> r) {
    const Vec<T> square = r * r;
    return fma(square, polynomial<T>(Format<T>::exp_poly, r, square), r);
}

// eʳ for |r| ≤ ½·ln 2.
template <class T> CR_INLINE Vec<T> small_exp(Vec<T> r) {
    const Vec<T> rest = polynomial<T>(Format<T>::exp_poly, r);
    return fma(fma(rest, r, splat(T(1))), r, splat(T(1)));
}

// eˣ where it is a normal number: the power of two is added to the exponent of eʳ.
template <class T> CR_INLINE Vec<T> plain_exp(Vec<T> x) {
    const Reduced<T> e = reduced<T>(x);
    return (Vec<T>)((Word<T>)small_exp<T>(e.r) + e.exponent);
}

template <class T> CR_INLINE Vec<T> exp(Vec<T> x) {
    using F = Format<T>;
    if constexpr (SCALES_IN_STEPS)
        if (__builtin_expect(all(magnitude<T>(x) <= F::exp_plain), true)) return plain_exp<T>(x);
    const Mask<T> nothing = x < F::exp_low;  // directly 0, since underflow is slow
    const Reduced<T> e = reduced<T>(nothing ? Vec<T>{} : at_most(x, F::exp_high));
    const Vec<T> y = scaled<T>(small_exp<T>(e.r), e.n);
    return nothing ? Vec<T>{} : y;
}

// eˣ − 1 for x ≤ 0, or small enough that eˣ is finite.
template <class T> CR_INLINE Vec<T> moderate_expm1(Vec<T> x) {
    using F = Format<T>;
    constexpr T origin = F::magic + T(F::bias);  // the last bits of a sum with it are n + bias
    const Vec<T> shifted = fma(x, splat(T(1.44269504088896340736)), splat(origin));
    const Vec<T> n = shifted - origin;
    const Vec<T> r = fma(n, splat(-F::ln2_low), fma(n, splat(-F::ln2_high), x));
    const Vec<T> scale = from_bits<T>((Mask<T>)((Word<T>)bits<T>(shifted) << F::digits));
    return fma(small_expm1<T>(r), scale, scale - T(1));
}

template <class T> CR_INLINE Vec<T> expm1(Vec<T> x) {
    using F = Format<T>;
    const Reduced<T> e = reduced<T>(at_least(at_most(x, F::exp_high), F::expm1_low));
    const Vec<T> half = scaled<T>(splat(T(0.5)), e.n);  // of 2ⁿ, which may be too large itself
    const Vec<T> y = fma(half, small_expm1<T>(e.r), half - T(0.5)) * T(2);
    return x == T(0) ? x : y;
}

// ln(u + c) for a correction c that is small compared with u; c = 0 gives ln u.
template <class T> CR_INLINE Vec<T> log_corrected(Vec<T> u, Vec<T> c) {
    using F = Format<T>;
    using Int = typename F::Int;
    const Mask<T> subnormal = u < F::least_normal;
    const Vec<T> scaled = subnormal ? u * T(Int(1) << F::digits) : u;
    // Separate the exponent so that the mantissa is in [√½, √2).
    const Int root_half = sizeof(T) == 4 ? Int(0x3f3504f3) : Int(0x3fe6a09e667f3bcdLL);
    const Mask<T> lifted = wrapping_difference<T>(bits<T>(scaled), int_splat<T>(root_half));
    Mask<T> e = lifted >> F::digits;
    const Mask<T> power = (Mask<T>)((Word<T>)e << F::digits);
    const Vec<T> m = from_bits<T>(wrapping_difference<T>(bits<T>(scaled), power));
    e = e - (subnormal & Int(F::digits));
    const Vec<T> n = __builtin_convertvector(e, Vec<T>);
    const Vec<T> f = m - T(1);
    const Vec<T> s = f / (f + T(2)), z = s * s, half_square = f * f * T(0.5);
    const Vec<T> p = polynomial<T>(F::log_poly, z, z * z);
    const Vec<T> rest = fma(n, splat(F::ln2_low), c / u);
    const Vec<T> low = fma(s, fma(z, p, half_square), rest);
    Vec<T> y = fma(n, splat(F::ln2_high), f - (half_square - low));
    y = u == T(0) ? splat(-F::infinity) : y;
    y = u == F::infinity ? u : y;
    return u < T(0) ? splat(T(__builtin_nan(""))) : u != u ? u : y;
}

template <class T> CR_INLINE Vec<T> log(Vec<T> x) { return log_corrected<T>(x, Vec<T>{}); }

template <class T> CR_INLINE Vec<T> log1p(Vec<T> x) {
    const Vec<T> u = x + T(1);
    const Vec<T> lost = x < T(1) ? x - (u - T(1)) : T(1) - (u - x);  // the rounding error of u
    const Mask<T> exact = (u == T(0)) | (u == Format<T>::infinity);
    const Vec<T> y = log_corrected<T>(u, exact ? Vec<T>{} : lost);
    return x == T(0) ? x : y;
}

// tanh |x| = E/(E + 2) with E = e^2|x| − 1, which is also accurate near 0.
template <class T> CR_INLINE Vec<T> tanh(Vec<T> x) {
    if constexpr (IN_PIECES<T>) {
        const Vec<T> t = at_most(magnitude<T>(x), TANH.end());
        return with_sign<T>(piecewise(TANH, t), x);
    }
    const Vec<T> size = at_most(magnitude<T>(x), Format<T>::tanh_limit);
    const Vec<T> e = moderate_expm1<T>(size + size);
    return with_sign<T>(quotient<T>(e, e + T(2)), x);
}

// σ(x) = 1/(1 + e⁻ˣ); the formula uses e^−|x|, which is at most 1.
template <class T> CR_INLINE Vec<T> sigmoid(Vec<T> x) {
    const auto formula = [&] {
        const Vec<T> decay = exp<T>(-magnitude<T>(x));
        return quotient<T>(x < T(0) ? decay : splat(T(1)), decay + T(1));
    };
    if constexpr (SCALES_IN_STEPS) {
        const Mask<T> plain = magnitude<T>(x) <= Format<T>::exp_plain;
        return mostly(plain, T(1) / (plain_exp<T>(-x) + T(1)), formula);
    } else return formula();
}

template <class T> CR_INLINE Vec<T> softplus(Vec<T> x) {
    const Vec<T> positive = larger(x, Vec<T>{});
    return positive + log1p<T>(exp<T>(-magnitude<T>(x)));
}

}  // namespace cr::CR_ISA
