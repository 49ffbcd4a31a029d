// The error function and the normal distribution, after S. L. Moshier, Cephes (1992): rational
// approximations of erf for |x| ≤ 1 and of erfc = 1 − erf for |x| ≤ 8 and beyond, in float64.
//
// In float32, erf and Φ have versions of their own, whose coefficients are minimax fits.
#pragma once
#include "math/vecmath.h"

namespace cr::CR_ISA {

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

// x² + c, rounded once.
CR_INLINE Vec<float> square_plus(Vec<float> x, Vec<float> c) {
#if defined(__FMA__) || defined(__aarch64__)
    return fma(x, x, c);
#else
    const Vec<float> square = x * x;
    return (square + c) + lost_from_square<float>(x, square);
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
    const Vec<double> central =
        small * polynomial<double>(near0_p, z) / polynomial<double>(near0_q, z);

    Vec<double> tail_at = size < 1.0 ? splat(1.0) : size;
    tail_at = tail_at > 30.0 ? splat(30.0) : tail_at;
    const Vec<double> middle =
        polynomial<double>(middle_p, tail_at) / polynomial<double>(middle_q, tail_at);
    const Vec<double> far = polynomial<double>(far_p, tail_at) / polynomial<double>(far_q, tail_at);
    const Vec<double> tail = bell * (size > 8.0 ? far : middle);

    const Mask<double> inside = size <= 1.0;
    const Vec<double> erf = with_sign<double>(inside ? central : 1.0 - tail, x);
    const Vec<double> erfc = inside ? 1.0 - erf : x > 0.0 ? tail : 2.0 - tail;
    return {x == x ? erf : x, x == x ? erfc : x};
}

// A float64 function on a float32 vector, half by half.
template <Vec<double> (*F)(Vec<double>)> CR_INLINE Vec<float> through_double(Vec<float> x) {
    typedef float Half __attribute__((vector_size(CR_VECTOR_BYTES / 2)));
    Half half[2];
    __builtin_memcpy(half, &x, sizeof x);
    for (Half& h : half) h = __builtin_convertvector(F(__builtin_convertvector(h, Vec<double>)), Half);
    __builtin_memcpy(&x, half, sizeof x);
    return x;
}

CR_INLINE Vec<double> erf_formula(Vec<double> x) {
    return error_function(x, gauss(x, 1.0)).erf;
}

// erf |x| = 1 − e^(|x|·q(|x|)), where q varies slowly. It is 1 in float32 from |x| = 3.92 on.
CR_INLINE Vec<float> erf_formula(Vec<float> x) {
    static constexpr float q[] = {
        -3.714135164045729e-05f, 0.0003568351094145328f, -0.0011899338569492102f,
        -0.00028080891934223473f, 0.019366472959518433f, -0.10282659530639648f,
        -0.6366152763366699f, -1.128379225730896f};
    const Vec<float> size = at_most(magnitude<float>(x), 4.0f);
    const Vec<float> p = polynomial<float>(q, size, size * size);
    return with_sign<float>(moderate_expm1<float>(size * p), x);
}

template <class T> CR_INLINE Vec<T> erf(Vec<T> x) {
    if constexpr (IN_PIECES<T>)
        return with_sign<T>(piecewise(ERF, at_most(magnitude<T>(x), ERF.end())), x);
    else return erf_formula(x);
}

// What Φ and its derivatives are computed from: Φ(−|x|), and e^(−x²/2), which is the density except
// for a factor.
template <class T> struct Normal {
    Vec<T> tail, bell;
};

// e^(−t²/2) = m·2ⁿ for 0 ≤ t ≤ 15: t²/2 = −n·ln 2 + s/2, where t² is not rounded before most of it
// is subtracted. `scale` is 2ⁿ where that is a normal number.
struct Bell {
    Vec<float> m, n, scale;
};
CR_INLINE Bell bell32(Vec<float> t) {
    using F = Format<float>;
    static constexpr float poly[] = {2.159490395570174e-05f, -0.00026152117061428726f,
                                     0.0026042666286230087f, -0.020833151414990425f,
                                     0.1249999850988388f,    -0.5f,
                                     1.0f};
    constexpr float origin = F::magic + F::bias;  // the last bits of a sum with it are n + bias
    const Vec<float> shifted = fma(t * t, splat(-0.72134752044448170368f), splat(origin));
    const Vec<float> n = shifted - origin;
    const Vec<float> s = fma(n, splat(2 * F::ln2_low), square_plus(t, n * (2 * F::ln2_high)));
    const Vec<float> scale = (Vec<float>)((Word<float>)bits<float>(shifted) << F::digits);
    return {polynomial<float>(poly, s), n, scale};
}

// Φ(−t) is e^(−t²/2) times a function that varies slowly: a quotient of polynomials with positive
// coefficients. So is Φ(−t) − t·φ(t), with another dividend.
struct Ratio {
    Vec<float> above, below;
};
CR_INLINE Ratio tail_ratio(Vec<float> t) {
    static constexpr float above[] = {
        0.004070562310516834f, 0.040337901562452316f, 0.18237890303134918f, 0.4371706247329712f,
        0.5f};
    static constexpr float below[] = {
        0.010203259997069836f, 0.10111886262893677f, 0.4672044813632965f, 1.1989972591400146f,
        1.672226071357727f, 1.0f};
    const Vec<float> square = t * t;
    return {polynomial<float>(above, t, square), polynomial<float>(below, t, square)};
}
CR_INLINE Ratio slope_ratio(Vec<float> t) {
    static constexpr float above[] = {
        -0.010219402611255646f, -0.08662702888250351f, -0.3036617636680603f, -0.46850255131721497f,
        -0.10116220265626907f, 0.5f};
    static constexpr float below[] = {
        0.025616060942411423f, 0.2171502411365509f, 0.7866150140762329f, 1.393444299697876f, 1.0f};
    const Vec<float> square = t * t;
    return {polynomial<float>(above, t, square), polynomial<float>(below, t, square)};
}

// The product of such a quotient and e^(−t²/2) where t < MODERATE, and it is a normal number. The
// quotient does not wait for m, whose chain is the longest.
constexpr float MODERATE = 12.5f;
CR_INLINE Vec<float> fading(Ratio r, Vec<float> t) {
    const Bell bell = bell32(t);
    return r.above * bell.scale / r.below * bell.m;
}

// Φ(−t) is 0 in float32 from t = 14.2 on.
CR_INLINE Normal<float> normal(Vec<float> x) {
    constexpr float END = 15.0f;
    const Vec<float> size = at_most(magnitude<float>(x), END);
    Bell bell = bell32(size);
    bell.m = size == END ? Vec<float>{} : bell.m;
    const Ratio r = tail_ratio(size);
    return {scaled<float>(quotient<float>(bell.m * r.above, r.below), bell.n),
            scaled<float>(bell.m, bell.n)};
}
CR_INLINE Normal<double> normal(Vec<double> x) {
    const Vec<double> size = magnitude<double>(x), bell = gauss(size, 0.5);
    return {error_function(size * 0.70710678118654752440, bell).erfc * 0.5, bell};
}

template <class T> CR_INLINE Vec<T> normal_cdf(Vec<T> x) {
    const Vec<T> tail = normal(x).tail;
    return x > T(0) ? T(1) - tail : tail;
}

// x·Φ(x) = max(x, 0) − t·Φ(−t) with t = |x|.
template <class T> CR_INLINE Vec<T> gelu(Vec<T> x) {
    const auto formula = [&] { return x * normal_cdf<T>(x); };
    if constexpr (IN_PIECES<T>) {
        const Vec<T> t = magnitude_at_most(x, GELU.end());
        const Vec<T> y = at_least(x, T(0)) - piecewise(GELU, t);
        return above(-GELU.end(), x, y, formula);
    } else if constexpr (sizeof(T) == 4) {
        const Vec<T> t = magnitude<T>(x);
        return mostly(t < MODERATE, fma(-t, fading(tail_ratio(t), t), at_least(x, T(0))), formula);
    } else return formula();
}

// Φ(x) + x·φ(x), the slope of gelu; the sum of those at x and −x is 1.
template <class T> CR_INLINE Vec<T> gelu_slope(Vec<T> x) {
    const auto either_side = [x](Vec<T> left) { return x > T(0) ? T(1) - left : left; };
    const auto formula = [&] {
        const Normal<T> n = normal(x);
        const Vec<T> bell = magnitude<T>(x) * n.bell;
        return either_side(fma(bell, splat(T(-0.39894228040143267794)), n.tail));
    };
    if constexpr (IN_PIECES<T>) {
        constexpr T end = GELU_SLOPE.end();
        const Vec<T> t = magnitude_at_most(x, end), y = either_side(piecewise(GELU_SLOPE, t));
        const auto outside = [&] { return above(-end, x, fma(x, splat(T(0)), y), formula); };
        return below(end, t, y, outside);  // ∞·0 is NaN
    } else if constexpr (sizeof(T) == 4) {
        const Vec<T> t = magnitude<T>(x);
        return mostly(t < MODERATE, either_side(fading(slope_ratio(t), t)), formula);
    } else return formula();
}

}  // namespace cr::CR_ISA
