// Functions in pieces: a short polynomial for each of 32 intervals.
//
// AVX-512 looks up 16 numbers in a table of 32 with one instruction, since two registers hold the
// table. So each lane has the coefficients of its own interval, for one instruction each, and few
// of them suffice. That is half of the instructions of a formula with an exponential and a
// quotient. Other instruction sets have no such tables, and use the formulas.
#pragma once
#include "math/vec.h"

namespace cr::CR_ISA {

constexpr int PIECES = 32;

// f(k·width + l) = Σ power[i][k]·lⁱ for |l| ≤ width/2, where k is less than PIECES.
template <int DEGREE> struct Pieces {
    float width;
    float power[DEGREE + 1][PIECES];

    constexpr float end() const { return (PIECES - 0.51f) * width; }
};

#if defined(__AVX512F__)
template <class T> constexpr bool IN_PIECES = sizeof(T) == 4;

// f(t) for 0 ≤ t ≤ f.end(). Adding 1.5·2²³ rounds t/width to the integer k, which the last bits of
// the sum hold. A look-up uses the last five of them.
template <int DEGREE> CR_INLINE Vec<float> piecewise(const Pieces<DEGREE>& f, Vec<float> t) {
    constexpr float magic = 12582912.0f;
    const Vec<float> shifted = fma(t, splat(1.0f / f.width), splat(magic));
    const Vec<float> l = fma(shifted - magic, splat(-f.width), t);
    const auto coefficient = [&](int i) __attribute__((always_inline)) {
        const Vec<float> low = load(f.power[i]), high = load(f.power[i] + PIECES / 2);
        return (Vec<float>)_mm512_permutex2var_ps((__m512)low, (__m512i)shifted, (__m512)high);
    };
    Vec<float> sum = coefficient(DEGREE);
#pragma GCC unroll 8
    for (int i = DEGREE - 1; i >= 0; --i) sum = fma(sum, l, coefficient(i));
    return sum;
}

// min(|x|, limit) in one instruction; `limit` for NaN.
CR_INLINE Vec<float> magnitude_at_most(Vec<float> x, float limit) {
    constexpr int LESSER_MAGNITUDE = 2, WITHOUT_SIGN = 8;
    return (Vec<float>)_mm512_range_ps((__m512)x, (__m512)splat(limit),
                                       LESSER_MAGNITUDE | WITHOUT_SIGN);
}

// y where t < high. Elsewhere `more`, which is computed only if a lane needs it.
template <class F> CR_INLINE Vec<float> below(float high, Vec<float> t, Vec<float> y, F more) {
    const __mmask16 fine = _mm512_cmp_ps_mask((__m512)t, (__m512)splat(high), _CMP_LT_OQ);
    if (__builtin_expect(fine == 0xffff, true)) return y;
    return (Vec<float>)_mm512_mask_mov_ps((__m512)more(), fine, (__m512)y);
}

// y where x > low. Elsewhere `formula`, which is computed only if a lane needs it.
template <class F> CR_INLINE Vec<float> above(float low, Vec<float> x, Vec<float> y, F formula) {
    const __mmask16 fine = _mm512_cmp_ps_mask((__m512)x, (__m512)splat(low), _CMP_GT_OQ);
    if (__builtin_expect(fine == 0xffff, true)) return y;
    return (Vec<float>)_mm512_mask_mov_ps((__m512)formula(), fine, (__m512)y);
}
#else
template <class T> constexpr bool IN_PIECES = false;
#endif

}  // namespace cr::CR_ISA
