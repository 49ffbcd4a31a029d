// Packing: copying a part of B so that the inner loop reads it sequentially.
//
// The tile loop reads, for each k, a row of N·WIDTH adjacent columns. If B is stored that way, it
// is read in place. If it is stored transposed (as the weight of a Linear layer), or at the right
// edge, its panel is copied first: k after k, padded with zeros. This is one copy of B for m uses
// of it.
#pragma once
#include "kernels/ahead.h"
#include "math/vec.h"

namespace cr::CR_ISA {

// Transposes WIDTH vectors of WIDTH lanes: log₂ WIDTH rounds, each exchanging the off-diagonal
// quarters of blocks half as large as in the round before.
#define CR_LANES16(F) F(0), F(1), F(2), F(3), F(4), F(5), F(6), F(7), \
                      F(8), F(9), F(10), F(11), F(12), F(13), F(14), F(15)
#define CR_LANES8(F) F(0), F(1), F(2), F(3), F(4), F(5), F(6), F(7)
#define CR_LANES4(F) F(0), F(1), F(2), F(3)
#define CR_LANES2(F) F(0), F(1)

template <int W, int S, class V> CR_INLINE void exchange(V& a, V& b) {
    V upper, lower;
#define CR_UP(l) ((l) & S ? W + (l) - S : (l))
#define CR_LOW(l) ((l) & S ? W + (l) : (l) + S)
    if constexpr (W == 16) {
        upper = __builtin_shufflevector(a, b, CR_LANES16(CR_UP));
        lower = __builtin_shufflevector(a, b, CR_LANES16(CR_LOW));
    } else if constexpr (W == 8) {
        upper = __builtin_shufflevector(a, b, CR_LANES8(CR_UP));
        lower = __builtin_shufflevector(a, b, CR_LANES8(CR_LOW));
    } else if constexpr (W == 4) {
        upper = __builtin_shufflevector(a, b, CR_LANES4(CR_UP));
        lower = __builtin_shufflevector(a, b, CR_LANES4(CR_LOW));
    } else {
        upper = __builtin_shufflevector(a, b, CR_LANES2(CR_UP));
        lower = __builtin_shufflevector(a, b, CR_LANES2(CR_LOW));
    }
#undef CR_UP
#undef CR_LOW
    a = upper;
    b = lower;
}

// Interleaves the first halves of pieces of Q lanes, and the second halves: x86 has instructions for
// pieces of 16 bytes.
template <int W, int Q, class V> CR_INLINE void interleave(V& a, V& b) {
    V lower, upper;
#define CR_LOW(l) (((l) & 1 ? W : 0) + (l) / Q * Q + (l) % Q / 2)
#define CR_UP(l) (CR_LOW(l) + Q / 2)
    if constexpr (W == 16) {
        lower = __builtin_shufflevector(a, b, CR_LANES16(CR_LOW));
        upper = __builtin_shufflevector(a, b, CR_LANES16(CR_UP));
    } else if constexpr (W == 8) {
        lower = __builtin_shufflevector(a, b, CR_LANES8(CR_LOW));
        upper = __builtin_shufflevector(a, b, CR_LANES8(CR_UP));
    } else {
        lower = __builtin_shufflevector(a, b, CR_LANES4(CR_LOW));
        upper = __builtin_shufflevector(a, b, CR_LANES4(CR_UP));
    }
#undef CR_LOW
#undef CR_UP
    a = lower;
    b = upper;
}

// The rounds from blocks of 2·S lanes on. The last two of float are done by interleaving twice.
template <int W, int S, int N, class V> CR_INLINE void transpose_round(V (&rows)[N]) {
    if constexpr (S == 2 && sizeof(V) / W == 4) {
#pragma GCC unroll 16
        for (int i = 0; i < N; i += 4) {
            interleave<W, 4>(rows[i], rows[i + 2]);
            interleave<W, 4>(rows[i + 1], rows[i + 3]);
            interleave<W, 4>(rows[i], rows[i + 1]);
            interleave<W, 4>(rows[i + 2], rows[i + 3]);
        }
    } else {
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i)
            if (!(i & S)) exchange<W, S>(rows[i], rows[i + S]);
        if constexpr (S > 1) transpose_round<W, S / 2>(rows);
    }
}

// A vector of two halves that are loaded from p and q, where x86 has an instruction for that. AVX2
// has one that inserts a half, but some processors need less time for two that do not insert.
#if defined(__AVX2__)
constexpr int HALVES = 2;
#else
constexpr int HALVES = 1;  // a vector from p
#endif
template <class T> CR_INLINE Vec<T> load_halves(const T* p, [[maybe_unused]] const T* q) {
#if defined(__AVX512F__)
    const __m256 low = _mm256_loadu_ps(reinterpret_cast<const float*>(p));
    const __m256 high = _mm256_loadu_ps(reinterpret_cast<const float*>(q));
    return (Vec<T>)_mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
#elif defined(__AVX2__)
    const __m256 low = _mm256_castps128_ps256(_mm_loadu_ps(reinterpret_cast<const float*>(p)));
    const __m256 high = _mm256_broadcast_ps(reinterpret_cast<const __m128*>(q));
    return (Vec<T>)_mm256_blend_ps(low, high, 0xf0);
#else
    return load(p);
#endif
}

// Rows of a transpose: rows[k] = b[k + j · b_column] for all lanes j. Halves of vectors are loaded
// where they belong, so only the rounds within them are left.
template <class T> constexpr int HALF = WIDTH<T> / HALVES;
template <class T> CR_INLINE void load_rows(const T* b, i64 b_column, Vec<T> (&rows)[HALF<T>]) {
#pragma GCC unroll 16
    for (int i = 0; i < HALF<T>; ++i)
        rows[i] = load_halves(b + i * b_column, b + (i + HALF<T>) * b_column);
    transpose_round<WIDTH<T>, HALF<T> / 2>(rows);
}

// The transpose of WIDTH × WIDTH numbers.
template <class T> CR_INLINE void load_transposed(const T* b, i64 b_column, Vec<T> (&rows)[WIDTH<T>]) {
    constexpr int H = HALF<T>;
#pragma GCC unroll 2
    for (int h = 0; h < HALVES; ++h) {
        Vec<T> half[H];
        load_rows(b + h * H, b_column, half);
#pragma GCC unroll 16
        for (int i = 0; i < H; ++i) rows[h * H + i] = half[i];
    }
}

// The same where only `depth` rows and `columns` lanes may be there: other lanes are zero, and other
// rows anything. The last column is read in place of those that are not there.
template <class T>
CR_INLINE void load_block(const T* b, i64 b_column, i64 depth, i64 columns,
                          Vec<T> (&rows)[WIDTH<T>]) {
    constexpr int W = WIDTH<T>;
    if (depth >= W && columns >= W) return load_transposed(b, b_column, rows);
#pragma GCC unroll 16
    for (int i = 0; i < W; ++i) {
        rows[i] = depth >= W ? load(b) : load_some(b, depth, T(0));
        if (i + 1 < columns) b += b_column;
    }
    transpose_round<W, W / 2>(rows);
    T lane[W];
    for (int i = 0; i < W; ++i) lane[i] = T(i);
    const Vec<T> position = load(lane);
#pragma GCC unroll 16
    for (int i = 0; i < W; ++i) rows[i] = position < T(columns) ? rows[i] : Vec<T>{};
}

// packed[k · stride + j] = b[k + j · b_column] for k and j below WIDTH. Where fewer columns are
// left zeros stand in for them, and where less depth is left the rest is not written.
template <class T> void pack_block(const T* b, i64 b_column, i64 depth, i64 columns, i64 stride,
                                   T* packed) {
    constexpr int W = WIDTH<T>;
    Vec<T> rows[W];
    load_block(b, b_column, depth, columns, rows);
#pragma GCC unroll 16
    for (int i = 0; i < W; ++i)
        if (i < depth) store(packed + i * stride, rows[i]);
}

// packed[k · stride + j] = b[k · b_k + j · b_column] for depth × columns numbers; columns up to
// `padded` are zero.
template <class T> void pack_strip(const T* b, i64 b_k, i64 b_column, i64 depth, i64 columns,
                                   i64 padded, i64 stride, T* packed) {
    constexpr int W = WIDTH<T>;
    i64 j = 0;
    if (b_k == 1 && b_column != 1) {
        for (; j < columns && j + W <= padded; j += W)
            for (i64 k = 0; k < depth; k += W)
                pack_block(b + j * b_column + k, b_column, depth - k, columns - j, stride,
                           packed + k * stride + j);
    } else if (b_column == 1) {
        for (; j + W <= columns; j += W)
            for (i64 k = 0; k < depth; ++k) store(packed + k * stride + j, load(b + k * b_k + j));
        if (columns > j && j + W <= padded) {
            for (i64 k = 0; k < depth; ++k)
                store(packed + k * stride + j, load_some(b + k * b_k + j, columns - j, T(0)));
            j += W;
        }
    }
    for (i64 k = 0; k < depth; ++k) {
        for (i64 r = j; r < columns; ++r) packed[k * stride + r] = b[k * b_k + r * b_column];
        for (i64 r = j > columns ? j : columns; r < padded; ++r) packed[k * stride + r] = T(0);
    }
}

// The same where a row of the panel holds nothing else.
template <class T>
void pack_panel(const T* b, i64 b_k, i64 b_column, i64 depth, i64 columns, i64 padded, T* packed) {
    pack_strip(b, b_k, b_column, depth, columns, padded, padded, packed);
}

// Several panels at once, of a matrix whose columns are adjacent: a few rows at a time, nearly as it
// lies in memory, so that each page is visited once. A panel has `width` columns, and rows of
// `stride` numbers. Panels begin `panel` numbers apart. Where the matrix is `far`, in memory, the next
// rows are asked for, since a processor does not see that short rows go on elsewhere.
template <class T>
void pack_rows(const T* b, i64 b_k, i64 depth, i64 columns, i64 width, i64 stride, i64 panel,
               bool far, T* packed) {
    constexpr i64 W = WIDTH<T>, ROWS = 8;
    for (i64 first = 0; first < depth; first += ROWS) {
        const i64 end = first + ROWS < depth ? first + ROWS : depth;
        T* to = packed;
        for (i64 j = 0; j < columns; j += width, to += panel)
            for (i64 i = 0; i < width; i += W) {
                const i64 n = columns - j - i;
                const T* from = b + j + i;
                for (i64 k = first; far && i % LINE<T> == 0 && k < end; ++k)
                    ask_for(from + (k + ROWS) * b_k, 1);
                for (i64 k = first; k < end; ++k)
                    store(to + k * stride + i, n >= W  ? load(from + k * b_k)
                                               : n > 0 ? load_some(from + k * b_k, n, T(0))
                                                       : Vec<T>{});
            }
    }
}

}  // namespace cr::CR_ISA
