// Vectors of floats as values: `a + b` adds all lanes.
//
// GCC's and Clang's vector extensions have arithmetic, comparison and selection for vectors of any
// width, on any processor. Fused multiply-add and square root need intrinsics. The width is that of
// the instruction set for which the file is compiled.
#pragma once
#include <utility>

#include "runtime/isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define CR_VECTOR_BYTES 64
#define CR_REGISTERS 32
#elif defined(__AVX2__)
#define CR_VECTOR_BYTES 32
#define CR_REGISTERS 16
#elif defined(__aarch64__)
#define CR_VECTOR_BYTES 16
#define CR_REGISTERS 32
#else
#define CR_VECTOR_BYTES 16
#define CR_REGISTERS 16
#endif

// For all functions that are passed vectors: GCC lets others return with the upper halves of
// registers in use, and SSE code that runs later, such as Python's, is slow then.
#define CR_INLINE inline __attribute__((always_inline))

namespace cr::CR_ISA {

template <class T> struct Lanes;
template <> struct Lanes<float> {
    using Int = std::int32_t;
    typedef float Vec __attribute__((vector_size(CR_VECTOR_BYTES)));
    typedef Int Mask __attribute__((vector_size(CR_VECTOR_BYTES)));
    typedef std::uint32_t Word __attribute__((vector_size(CR_VECTOR_BYTES)));
    typedef float Loose __attribute__((vector_size(CR_VECTOR_BYTES), aligned(4), may_alias));
};
template <> struct Lanes<double> {
    using Int = std::int64_t;
    typedef double Vec __attribute__((vector_size(CR_VECTOR_BYTES)));
    typedef Int Mask __attribute__((vector_size(CR_VECTOR_BYTES)));
    typedef std::uint64_t Word __attribute__((vector_size(CR_VECTOR_BYTES)));
    typedef double Loose __attribute__((vector_size(CR_VECTOR_BYTES), aligned(8), may_alias));
};
template <class T> using Vec = typename Lanes<T>::Vec;
template <class T> using Mask = typename Lanes<T>::Mask;  // all bits of a lane set, or none
template <class T> using Word = typename Lanes<T>::Word;  // bit patterns, for arithmetic modulo 2ⁿ
template <class T> constexpr int WIDTH = CR_VECTOR_BYTES / static_cast<int>(sizeof(T));

template <class T> CR_INLINE Vec<T> load(const T* p) {
    return *reinterpret_cast<const typename Lanes<T>::Loose*>(p);
}
template <class T> CR_INLINE void store(T* p, Vec<T> v) {
    *reinterpret_cast<typename Lanes<T>::Loose*>(p) = v;
}
template <class T> CR_INLINE Vec<T> splat(T x) { return x - Vec<T>{}; }  // −0.0 stays −0.0

// Load or store the first n ≤ WIDTH lanes. A load sets the others to `rest`.
template <class T> CR_INLINE Vec<T> load_some(const T* p, i64 n, T rest) {
    Vec<T> v = splat(rest);
    for (i64 i = 0; i < n; ++i) v[i] = p[i];
    return v;
}
template <class T> CR_INLINE void store_some(T* p, Vec<T> v, i64 n) {
    for (i64 i = 0; i < n; ++i) p[i] = v[i];
}
#if defined(__AVX512F__)
template <> CR_INLINE Vec<float> load_some(const float* p, i64 n, float rest) {
    return (Vec<float>)_mm512_mask_loadu_ps(_mm512_set1_ps(rest), (__mmask16)((1u << n) - 1), p);
}
template <> CR_INLINE void store_some(float* p, Vec<float> v, i64 n) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
}
#elif defined(__AVX2__)
// A vector that is put together in memory is loaded only when all of its parts have left the store
// buffer, and a masked store takes a dozen cycles on some processors.
constexpr std::int32_t LANES[] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
CR_INLINE __m256i first_lanes(i64 n) {  // of 4 bytes
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(LANES + 8 - n));
}
template <> CR_INLINE Vec<float> load_some(const float* p, i64 n, float rest) {
    const __m256i mask = first_lanes(n);
    return (Vec<float>)_mm256_blendv_ps(_mm256_set1_ps(rest), _mm256_maskload_ps(p, mask),
                                        (__m256)mask);
}
template <> CR_INLINE Vec<double> load_some(const double* p, i64 n, double rest) {
    const __m256i mask = first_lanes(2 * n);
    return (Vec<double>)_mm256_blendv_pd(_mm256_set1_pd(rest), _mm256_maskload_pd(p, mask),
                                         (__m256d)mask);
}
template <> CR_INLINE void store_some(float* p, Vec<float> v, i64 n) {
    if (n == WIDTH<float>) return store(p, v);
    __m128 part = _mm256_castps256_ps128((__m256)v);
    if (n & 4) {
        _mm_storeu_ps(p, part);
        part = _mm256_extractf128_ps((__m256)v, 1), p += 4;
    }
    if (n & 2) {
        _mm_storel_pi(reinterpret_cast<__m64*>(p), part);
        part = _mm_movehl_ps(part, part), p += 2;
    }
    if (n & 1) _mm_store_ss(p, part);
}
template <> CR_INLINE void store_some(double* p, Vec<double> v, i64 n) {
    if (n == WIDTH<double>) return store(p, v);
    __m128d part = _mm256_castpd256_pd128((__m256d)v);
    if (n & 2) {
        _mm_storeu_pd(p, part);
        part = _mm256_extractf128_pd((__m256d)v, 1), p += 2;
    }
    if (n & 1) _mm_store_sd(p, part);
}
#endif

// a·b + c, rounded once if the processor supports that. All other ops are rounded separately: the
// files are compiled with -ffp-contract=off, so results do not depend on the compiler.
CR_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
#if defined(__AVX512F__)
    return (Vec<float>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
    return (Vec<float>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (Vec<float>)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}
CR_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
#if defined(__AVX512F__)
    return (Vec<double>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__)
    return (Vec<double>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__aarch64__)
    return (Vec<double>)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
    return a * b + c;
#endif
}
CR_INLINE Vec<float> sqrt(Vec<float> a) {
#if defined(__AVX512F__)
    return (Vec<float>)_mm512_sqrt_ps((__m512)a);
#elif defined(__AVX2__)
    return (Vec<float>)_mm256_sqrt_ps((__m256)a);
#elif defined(__x86_64__)
    return (Vec<float>)_mm_sqrt_ps((__m128)a);
#else
    for (int i = 0; i < WIDTH<float>; ++i) a[i] = __builtin_sqrtf(a[i]);
    return a;
#endif
}
CR_INLINE Vec<double> sqrt(Vec<double> a) {
#if defined(__AVX512F__)
    return (Vec<double>)_mm512_sqrt_pd((__m512d)a);
#elif defined(__AVX2__)
    return (Vec<double>)_mm256_sqrt_pd((__m256d)a);
#elif defined(__x86_64__)
    return (Vec<double>)_mm_sqrt_pd((__m128d)a);
#else
    for (int i = 0; i < WIDTH<double>; ++i) a[i] = __builtin_sqrt(a[i]);
    return a;
#endif
}

// √x to a rounding or two, where x is not subnormal. AVX-512 estimates 1/√x to 2⁻¹⁴, and a step of
// Newton's method squares that error. It consists of multiply-adds, which run beside a division; a
// square root waits for it, since one unit computes both.
template <class V> CR_INLINE V root(V x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(x[0]) == 4) {
        const V inverse = (V)_mm512_maskz_rsqrt14_ps(0xffff, (__m512)x), near = x * inverse;
        const V half = inverse * 0.5f, better = fma(fma(-near, near, x), half, near);
        return ((x == 0.0f) | (x == __builtin_inff())) ? x : better;
    }
#endif
    return sqrt(x);
}

// Whether all bits of all lanes are set.
template <class M> CR_INLINE bool all(M mask) {
#if defined(__AVX512F__)
    return _mm512_movepi32_mask((__m512i)mask) == 0xffff;
#elif defined(__AVX2__)
    return _mm256_movemask_ps((__m256)mask) == 0xff;
#elif defined(__x86_64__)
    return _mm_movemask_ps((__m128)mask) == 0xf;
#else
    return vminvq_u32((uint32x4_t)mask) == ~0u;
#endif
}

// y in the lanes of `fine`; elsewhere `other`, which is computed only if a lane needs it.
template <class V, class M, class F> CR_INLINE V mostly(M fine, V y, F other) {
    if (__builtin_expect(all(fine), true)) return y;
    return fine ? y : other();
}

template <int HALF, class V, class F, int... LANE>
CR_INLINE V folded_from(V v, F f, std::integer_sequence<int, LANE...> lanes) {
    v = f(v, __builtin_shufflevector(v, v, (LANE + HALF) % int(sizeof...(LANE))...));
    if constexpr (HALF > 1) return folded_from<HALF / 2>(v, f, lanes);
    else return v;
}
// A fold of all lanes: lane l with lane l + W/2, these with l + W/4, and so on.
template <class V, class F> CR_INLINE auto folded(V v, F f) {
    constexpr int W = sizeof(V) / sizeof(v[0]);
    return folded_from<W / 2>(v, f, std::make_integer_sequence<int, W>{})[0];
}
template <class V> CR_INLINE auto sum_of_lanes(V v) {
    return folded(v, [](V a, V b) { return a + b; });
}

// min and max that return NaN if an argument is NaN, as NumPy's maximum and minimum do.
template <class V> CR_INLINE V larger(V a, V b) { return ((a > b) | (a != a)) ? a : b; }
template <class V> CR_INLINE V smaller(V a, V b) { return ((a < b) | (a != a)) ? a : b; }

// The same for a limit that is not NaN. x86 has one instruction for it, which returns its second
// operand where the comparison is false.
CR_INLINE Vec<float> at_most(Vec<float> x, Vec<float> limit) {
#if defined(__AVX512F__)
    return (Vec<float>)_mm512_min_ps((__m512)limit, (__m512)x);
#elif defined(__AVX2__)
    return (Vec<float>)_mm256_min_ps((__m256)limit, (__m256)x);
#else
    return x > limit ? limit : x;
#endif
}
CR_INLINE Vec<float> at_least(Vec<float> x, Vec<float> limit) {
#if defined(__AVX512F__)
    return (Vec<float>)_mm512_max_ps((__m512)limit, (__m512)x);
#elif defined(__AVX2__)
    return (Vec<float>)_mm256_max_ps((__m256)limit, (__m256)x);
#else
    return x < limit ? limit : x;
#endif
}
CR_INLINE Vec<double> at_most(Vec<double> x, Vec<double> limit) { return x > limit ? limit : x; }
CR_INLINE Vec<double> at_least(Vec<double> x, Vec<double> limit) { return x < limit ? limit : x; }
CR_INLINE Vec<float> at_most(Vec<float> x, float limit) { return at_most(x, splat(limit)); }
CR_INLINE Vec<float> at_least(Vec<float> x, float limit) { return at_least(x, splat(limit)); }
CR_INLINE Vec<double> at_most(Vec<double> x, double limit) { return at_most(x, splat(limit)); }
CR_INLINE Vec<double> at_least(Vec<double> x, double limit) { return at_least(x, splat(limit)); }

}  // namespace cr::CR_ISA
