// The error function and the normal distribution, after S. L. Moshier, Cephes (1992): rational
// approximations of erf for |x| ≤ 1 and of erfc = 1 − erf for |x| ≤ 8 and beyond, in float64.
//
// erf of float32 arguments is also computed in float64. Φ, which activations need, has a separate
// float32 version.
#pragma once
#include "math/vecmath.h"

namespace cr::CR_ISA {

template <int N> CR_INLINE Vec<double> polynomial(const double (&c)[N], Vec<double> x) {
    Vec<double> y = splat(c[0]);
#pragma GCC unroll 16
    for (int i = 1; i < N; ++i) y = fma(y, x, splat(c[i]));
    return y;
}

// erf x where |x| ≤ 1 and erfc x elsewhere, each by the fraction that is accurate there.
struct ErrorFunction {
    Vec<double> erf, erfc;
};

// x·x − square: the rounding error of the square. Without a fused multiply-add, x = high + low is
// split into parts whose products are exact (Dekker, 1971).
template <class T> CR_INLINE Vec<T> lost_from_square(Vec<T> x, Vec<T> square) {
#if defined(__FMA__) || defined(__aarch64__)
    return fma(x, x, -square);
#else
    using Int = typename Format<T>::Int;
    const Int upper = ~((Int(1) << (Format<T>::digits + 2) / 2) - 1);
    const Vec<T> high = from_bits<T>(bits<T>(x) & upper), low = x - high;
    return ((high * high - square) + high * low * T(2)) + low * low;
#endif
}

// e^(−scale·x²) with an exact square: the relative error from rounding it would grow with x².
inline Vec<double> gauss(Vec<double> x, double scale) {
    Vec<double> size = magnitude<double>(x);
    size = size > 40.0 ? splat(40.0) : size;
    const Vec<double> square = size * size;
    const Vec<double> lost = lost_from_square<double>(size, square);
    return exp<double>(-square * scale) * (1.0 - lost * scale);
}

// `bell` is e^(−x²), computed by the caller.
inline ErrorFunction error_function(Vec<double> x, Vec<double> bell) {
    static constexpr double near0_p[] = {9.60497373987051638749e0, 9.00260197203842689217e1,
        2.23200534594684319226e3, 7.00332514112805075473e3, 5.55923013010394962768e4};
    static constexpr double near0_q[] = {1.0, 3.35617141647503099647e1, 5.21357949780152679795e2,
        4.59432382970980127987e3, 2.26290000613890934246e4, 4.92673942608635921086e4};
    static constexpr double middle_p[] = {2.46196981473530512524e-10, 5.64189564831068821977e-1,
        7.46321056442269912687e0, 4.86371970985681366614e1, 1.96520832956077098242e2,
        5.26445194995477358631e2, 9.34528527171957607540e2, 1.02755188689515710272e3,
        5.57535335369399327526e2};
    static constexpr double middle_q[] = {1.0, 1.32281951154744992508e1, 8.67072140885989742329e1,
        3.54937778887819891062e2, 9.75708501743205489753e2, 1.82390916687909736289e3,
        2.24633760818710981792e3, 1.65666309194161350182e3, 5.57535340817727675546e2};
    static constexpr double far_p[] = {5.64189583547755073984e-1, 1.27536670759978104416e0,
        5.01905042251180477414e0, 6.16021097993053585195e0, 7.40974269950448939160e0,
        2.97886665372100240670e0};
    static constexpr double far_q[] = {1.0, 2.26052863220117276590e0, 9.39603524938001434673e0,
        1.20489539808096656605e1, 1.70814450747565897222e1, 9.60896809063285878198e0,
        3.36907645100081516050e0};
    const Vec<double> size = magnitude<double>(x);
    const Vec<double> small = size > 1.0 ? splat(1.0) : size;
    const Vec<double> z = small * small;
    const Vec<double> central = small * polynomial(near0_p, z) / polynomial(near0_q, z);

    Vec<double> tail_at = size < 1.0 ? splat(1.0) : size;
    tail_at = tail_at > 30.0 ? splat(30.0) : tail_at;
    const Vec<double> middle = polynomial(middle_p, tail_at) / polynomial(middle_q, tail_at);
    const Vec<double> far = polynomial(far_p, tail_at) / polynomial(far_q, tail_at);
    const Vec<double> tail = bell * (size > 8.0 ? far : middle);

    const Mask<double> inside = size <= 1.0;
    const Vec<double> erf = with_sign<double>(inside ? central : 1.0 - tail, x);
    const Vec<double> erfc = inside ? 1.0 - erf : x > 0.0 ? tail : 2.0 - tail;
    return {x == x ? erf : x, x == x ? erfc : x};
}

CR_INLINE Vec<double> erf64(Vec<double> x) { return error_function(x, gauss(x, 1.0)).erf; }

// A float64 function on a float32 vector, half by half.
template <Vec<double> (*F)(Vec<double>)> CR_INLINE Vec<float> through_double(Vec<float> x) {
    typedef float Half __attribute__((vector_size(CR_VECTOR_BYTES / 2)));
    Half half[2];
    __builtin_memcpy(half, &x, sizeof x);
    for (Half& h : half) h = __builtin_convertvector(F(__builtin_convertvector(h, Vec<double>)), Half);
    __builtin_memcpy(&x, half, sizeof x);
    return x;
}

// Φ and e^(−x²/2), from which Φ is computed, and which is the density except for a factor.
template <class T> struct Normal {
    Vec<T> cdf, bell;
};

// Φ in float32. Its left tail is e^(−x²/2)/(1 + |x|) times a function that varies slowly. Where Φ
// is not 0 in float32, this is a polynomial in (|x| − 3)/(|x| + 3).
CR_INLINE Normal<float> normal32(Vec<float> x) {
    static constexpr float ratio[] = {
        4.535715826e-5f, 9.85605466e-6f, -0.0004698184447f, -0.0003385688071f,
        0.00299164522f, 0.001154646397f, -0.02272679352f, 0.04516468293f,
        -0.01643235069f, -0.09652678419f, 0.4860557952f};
    Vec<float> size = magnitude<float>(x);
    size = size > 15.0f ? splat(15.0f) : size;  // where the tail is 0
    const Vec<float> t = (size - 3.0f) / (size + 3.0f);
    Vec<float> p = splat(ratio[0]);
#pragma GCC unroll 16
    for (int i = 1; i < 11; ++i) p = fma(p, t, splat(ratio[i]));
    const Vec<float> square = size * size;
    const Vec<float> lost = lost_from_square<float>(size, square);
    const Vec<float> bell = exp<float>(square * -0.5f) * (1.0f - lost * 0.5f);
    const Vec<float> tail = bell * (p / (size + 1.0f));
    return {x > 0.0f ? 1.0f - tail : tail, bell};
}
CR_INLINE Normal<double> normal64(Vec<double> x) {
    const Vec<double> bell = gauss(x, 0.5);
    return {error_function(x * -0.70710678118654752440, bell).erfc * 0.5, bell};
}

CR_INLINE Vec<double> erf(Vec<double> x) { return erf64(x); }
CR_INLINE Vec<float> erf(Vec<float> x) { return through_double<erf64>(x); }
CR_INLINE Vec<double> normal_cdf(Vec<double> x) { return normal64(x).cdf; }
CR_INLINE Vec<float> normal_cdf(Vec<float> x) { return normal32(x).cdf; }
template <class T> CR_INLINE Vec<T> gelu(Vec<T> x) { return x * normal_cdf(x); }

// Φ(x) + x·φ(x), the slope of gelu.
template <class T> CR_INLINE Vec<T> slope_from(Vec<T> x, const Normal<T>& n) {
    return n.cdf + x * (n.bell * T(0.39894228040143267794));
}
CR_INLINE Vec<double> gelu_slope(Vec<double> x) { return slope_from<double>(x, normal64(x)); }
CR_INLINE Vec<float> gelu_slope(Vec<float> x) { return slope_from<float>(x, normal32(x)); }

}  // namespace cr::CR_ISA
