// The inner loop of every matrix product: a tile of C that is kept in registers.
//
//     C[i, j] = Σₖ A[i, k]·B[k, j]     for M rows i and N vectors of columns j
//
// A step over k multiplies one column of A (M numbers, each spread over a vector) with one row of
// B (N vectors) and adds to M·N accumulators: 2·M·N·WIDTH operations for M + N·WIDTH numbers
// loaded. That ratio is why a product can run at the speed of arithmetic and not of memory.
//
// The order of summation is part of the contract: within a block of k the products are added one
// after the other with a fused multiply-add, from zero; blocks start at multiples of K_BLOCK and
// their sums are added in order. It is the same for every tile shape, so an element of C has the
// same bits whatever else is computed with it: alone, in a batch, on one thread or on ten.
#pragma once
#include "math/vec.h"

namespace cr::CR_ISA {

constexpr i64 K_BLOCK = 256;

enum class Activation : i64 { none, relu, gate };

// What is applied to a finished tile of C before it is stored. Null pointers are skipped.
template <class T> struct Epilogue {
    const T* bias;         // one number per column
    const T* residual;     // like C: it is added, or C becomes 0 where it is not positive (gate)
    i64 residual_stride;   // elements from row to row
    Activation activation;
};

template <class T> struct Tile {
    const T *a, *b;
    T* c;
    i64 a_row, a_k;   // elements from row to row of A, and from k to k
    i64 b_k;          // elements from row to row of B; columns are adjacent
    i64 b_ahead;      // elements to what will be read of B some time later
    i64 c_row;        // elements from row to row of C; columns are adjacent
    i64 depth;        // how many k in this block
    bool first, last; // the first block of k starts C, the last one finishes it
    i64 columns;      // how many columns of the tile exist (less than N·WIDTH at the right edge)
    Epilogue<T> end;  // with pointers already moved to this tile
};

template <class T> using TileFn = void (*)(const Tile<T>&);

// Bias, residual and activation for one vector of C. `count` is less than WIDTH at the right edge.
template <class T> CR_INLINE Vec<T> finish(Vec<T> sum, const Epilogue<T>& end, i64 row, i64 column,
                                           i64 count) {
    const bool whole = count >= WIDTH<T>;
    if (end.bias) {
        const T* bias = end.bias + column;
        sum = sum + (whole ? load(bias) : load_some(bias, count, T(0)));
    }
    if (end.residual) {
        const T* other = end.residual + row * end.residual_stride + column;
        const Vec<T> x = whole ? load(other) : load_some(other, count, T(0));
        if (end.activation == Activation::gate) return x > T(0) ? sum : Vec<T>{};
        sum = sum + x;
    }
    if (end.activation == Activation::relu) sum = larger(sum, Vec<T>{});
    return sum;
}

// Stores the sums of a tile where more is to be done than to add and store whole vectors. The code
// is not repeated in each tile, since it would be most of it.
template <class T> __attribute__((noinline)) void store_tile(const Tile<T>& t, const Vec<T>* sum,
                                                             int rows, int vectors) {
    constexpr i64 W = WIDTH<T>;
    for (int j = 0; j < vectors; ++j) {
        const i64 count = t.columns - j * W;
        for (int i = 0; i < rows && count > 0; ++i) {
            T* c = t.c + i * t.c_row + j * W;
            Vec<T> v = sum[i * vectors + j];
            if (!t.first) v = (count >= W ? load(c) : load_some(c, count, T(0))) + v;
            if (t.last) v = finish(v, t.end, i, j * W, count);
            if (count >= W) store(c, v);
            else store_some(c, v, count);
        }
    }
}

// One in three rows of A has a pointer; the others are one and two strides away, which x86 adds as
// it loads. Pointers to all 14 rows would not fit the registers, and to read them from memory costs
// a tenth of the speed.
template <class T, int M, int N> void multiply_tile(const Tile<T>& t) {
    constexpr int W = WIDTH<T>, GROUP = 3, GROUPS = (M + GROUP - 1) / GROUP;
    Vec<T> sum[M][N];
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) sum[i][j] = Vec<T>{};

    // The first store to a line waits for it. Few products leave no time for that at the end.
    constexpr i64 FEW = 64;
    if (t.depth <= FEW)
#pragma GCC unroll 16
        for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
            for (int j = 0; j < N; ++j) __builtin_prefetch(t.c + i * t.c_row + j * W, 1);

    const i64 row_bytes = t.a_row * i64(sizeof(T));
    const char* a[GROUPS];
#pragma GCC unroll 8
    for (int g = 0; g < GROUPS; ++g)
        a[g] = reinterpret_cast<const char*>(t.a) + GROUP * g * row_bytes;
    const T* b = t.b;
    for (i64 k = 0; k < t.depth; ++k) {
        Vec<T> row[N];
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) row[j] = load(b + j * W);
        if constexpr (M > 2)  // fewer rows leave no time for it
#pragma GCC unroll 8
            for (int j = 0; j < N; ++j) __builtin_prefetch(b + t.b_ahead + j * W);
#pragma GCC unroll 16
        for (int i = 0; i < M; ++i) {
            const char* at = a[i / GROUP] + i % GROUP * row_bytes;
            const Vec<T> x = splat(*reinterpret_cast<const T*>(at));
#pragma GCC unroll 8
            for (int j = 0; j < N; ++j) sum[i][j] = fma(x, row[j], sum[i][j]);
        }
#pragma GCC unroll 8
        for (int g = 0; g < GROUPS; ++g) {
            a[g] += t.a_k * i64(sizeof(T));
            asm("" : "+r"(a[g]));  // not to be replaced by one pointer and many distances
        }
        b += t.b_k;
    }
    const bool plain = !t.last || (!t.end.bias && !t.end.residual &&
                                   t.end.activation == Activation::none);
    if (!plain || t.columns < N * W) return store_tile(t, &sum[0][0], M, N);
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) {
            T* c = t.c + i * t.c_row + j * W;
            store(c, t.first ? sum[i][j] : load(c) + sum[i][j]);
        }
}

// Tile shapes: as many accumulators as there are registers, less a few for A and B.
constexpr int MAX_ROWS = CR_REGISTERS == 32 ? 14 : 6;
constexpr int WIDE = 2;

template <class T, int M> constexpr TileFn<T> tile_of(bool narrow) {
    return narrow ? &multiply_tile<T, M, 1> : &multiply_tile<T, M, WIDE>;
}
template <class T> TileFn<T> choose_tile(i64 rows, bool narrow) {
    switch (rows) {
        case 1: return tile_of<T, 1>(narrow);
        case 2: return tile_of<T, 2>(narrow);
        case 3: return tile_of<T, 3>(narrow);
        case 4: return tile_of<T, 4>(narrow);
        case 5: return tile_of<T, 5>(narrow);
        case 6: return tile_of<T, 6>(narrow);
#if CR_REGISTERS == 32
        case 7: return tile_of<T, 7>(narrow);
        case 8: return tile_of<T, 8>(narrow);
        case 9: return tile_of<T, 9>(narrow);
        case 10: return tile_of<T, 10>(narrow);
        case 11: return tile_of<T, 11>(narrow);
        case 12: return tile_of<T, 12>(narrow);
        case 13: return tile_of<T, 13>(narrow);
        case 14: return tile_of<T, 14>(narrow);
#endif
        default: return nullptr;
    }
}

}  // namespace cr::CR_ISA
