// sin and cos, within a few units in the last place.
//
// Let x = n·π/2 + r with |r| ≤ π/4. Then sin x is ±sin r or ±cos r, depending on n modulo 4. π/2 is
// split into parts of 33 bits, so that their products with n < 2²⁰ are exact, and r is accurate
// even if x is very close to a multiple of π/2 (Cody & Waite, 1980). Larger arguments, which are
// rare, are computed one by one by the C library, which uses more digits of π.
//
// The polynomials are those of fdlibm (Sun Microsystems, 1993). float32 is computed in float64.
#pragma once
#include "math/normal.h"

namespace cr::CR_ISA {

constexpr double NEAR = 800000.0;  // n < 2²⁰

struct Quarter {
    Vec<double> r;
    Mask<double> n;
};

CR_INLINE Quarter quarter_turns(Vec<double> x) {
    static constexpr double parts[] = {1.57079632673412561417, 6.07710050630396597660e-11,
                                       2.02226624871116645580e-21, 8.47842766036889956997e-32};
    using F = Format<double>;
    const Vec<double> shifted = fma(x, splat(0.63661977236758134308), splat(F::magic));
    const Vec<double> n = shifted - F::magic;
    Vec<double> r = x;
    for (double part : parts) r = fma(n, splat(-part), r);
    return {r, wrapping_difference<double>(bits<double>(shifted), bits<double>(splat(F::magic)))};
}

// ±sin r or ±cos r, depending on n modulo 4.
CR_INLINE Vec<double> on_circle(Vec<double> r, Mask<double> n) {
    static constexpr double sine[] = {
        1.58969099521155010221e-10, -2.50507602534068634195e-08, 2.75573137070700676789e-06,
        -1.98412698298579493134e-04, 8.33333333332248946124e-03, -1.66666666666666324348e-01};
    static constexpr double cosine[] = {
        -1.13596475577881948265e-11, 2.08757232129817482790e-09, -2.75573143513906633035e-07,
        2.48015872894767294178e-05, -1.38888888888741095749e-03, 4.16666666666666019037e-02};
    const Vec<double> z = r * r, half = z * 0.5, near1 = 1.0 - half;
    const Vec<double> s = fma(r * z, polynomial(sine, z), r);
    const Vec<double> c = near1 + fma(z * z, polynomial(cosine, z), (1.0 - near1) - half);
    const Vec<double> y = (n & 1) != 0 ? c : s;
    const Mask<double> sign = (Mask<double>)(((Word<double>)n & 2) << 62);
    return from_bits<double>(bits<double>(y) ^ sign);
}

using Single = double (*)(double);

// f for the lanes that are too large for `quarter_turns`.
template <Single F> __attribute__((noinline)) void far_lanes(const double* x, double* y) {
    for (int l = 0; l < WIDTH<double>; ++l)
        if (!(x[l] <= NEAR && x[l] >= -NEAR)) y[l] = F(x[l]);
}
inline double library_sin(double x) { return __builtin_sin(x); }
inline double library_cos(double x) { return __builtin_cos(x); }

template <Single F> CR_INLINE Vec<double> with_far_lanes(Vec<double> x, Vec<double> y) {
    const Mask<double> far = magnitude<double>(x) > NEAR;
    typename Format<double>::Int some = 0;
    for (int l = 0; l < WIDTH<double>; ++l) some |= far[l];
    if (!some) return y;
    double from[WIDTH<double>], to[WIDTH<double>];
    store(from, x);
    store(to, y);
    far_lanes<F>(from, to);
    return load(to);
}

CR_INLINE Vec<double> sin64(Vec<double> x) {
    const Quarter q = quarter_turns(x);
    return with_far_lanes<library_sin>(x, x == 0.0 ? x : on_circle(q.r, q.n));
}
CR_INLINE Vec<double> cos64(Vec<double> x) {
    const Quarter q = quarter_turns(x);
    const Mask<double> n = wrapping_sum<double>(q.n, int_splat<double>(1));
    return with_far_lanes<library_cos>(x, on_circle(q.r, n));
}

CR_INLINE Vec<double> sin(Vec<double> x) { return sin64(x); }
CR_INLINE Vec<float> sin(Vec<float> x) { return through_double<sin64>(x); }
CR_INLINE Vec<double> cos(Vec<double> x) { return cos64(x); }
CR_INLINE Vec<float> cos(Vec<float> x) { return through_double<cos64>(x); }

}  // namespace cr::CR_ISA
