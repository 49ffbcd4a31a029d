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
    const std::int32_t* shift;  // or: where each row of B begins, counted from b
    i64 c_row;        // elements from row to row of C; columns are adjacent
    i64 depth;        // how many k in this block
    bool first, last; // the first block of k starts C, the last one finishes it
    i64 columns;      // how many columns of the tile exist (less than N·WIDTH at the right edge)
    Epilogue<T> end;  // with pointers already moved to this tile
};

template <class T> using TileFn = void (*)(const Tile<T>&);

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

template <class T, int M, int N, bool SHIFTED = false> void multiply_tile(const Tile<T>& t) {
    constexpr int W = WIDTH<T>;
    Vec<T> sum[M][N];
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) sum[i][j] = Vec<T>{};

    const T *a = t.a, *b = t.b;
    for (i64 k = 0; k < t.depth; ++k) {
        Vec<T> row[N];
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) row[j] = load((SHIFTED ? b + t.shift[k] : b) + j * W);
#pragma GCC unroll 16
        for (int i = 0; i < M; ++i) {
            const Vec<T> x = splat(a[i * t.a_row]);
#pragma GCC unroll 8
            for (int j = 0; j < N; ++j) sum[i][j] = fma(x, row[j], sum[i][j]);
        }
        a += t.a_k;
        if (!SHIFTED) b += t.b_k;
    }
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) {
            T* c = t.c + i * t.c_row + j * W;
            const i64 count = t.columns - j * W;
            if (count <= 0) continue;
            Vec<T> v = sum[i][j];
            if (!t.first) v = (count >= W ? load(c) : load_some(c, count, T(0))) + v;
            if (t.last) v = finish(v, t.end, i, j * W, count);
            if (count >= W) store(c, v);
            else store_some(c, v, count);
        }
}

// Tile shapes: as many accumulators as there are registers, less a few for A and B.
constexpr int MAX_ROWS = CR_REGISTERS == 32 ? 14 : 6;
constexpr int WIDE = 2;

template <class T, int M, bool SHIFTED> constexpr TileFn<T> tile_of(bool narrow) {
    return narrow ? &multiply_tile<T, M, 1, SHIFTED> : &multiply_tile<T, M, WIDE, SHIFTED>;
}
template <class T, bool SHIFTED = false> TileFn<T> choose_tile(i64 rows, bool narrow) {
    switch (rows) {
        case 1: return tile_of<T, 1, SHIFTED>(narrow);
        case 2: return tile_of<T, 2, SHIFTED>(narrow);
        case 3: return tile_of<T, 3, SHIFTED>(narrow);
        case 4: return tile_of<T, 4, SHIFTED>(narrow);
        case 5: return tile_of<T, 5, SHIFTED>(narrow);
        case 6: return tile_of<T, 6, SHIFTED>(narrow);
#if CR_REGISTERS == 32
        case 7: return tile_of<T, 7, SHIFTED>(narrow);
        case 8: return tile_of<T, 8, SHIFTED>(narrow);
        case 9: return tile_of<T, 9, SHIFTED>(narrow);
        case 10: return tile_of<T, 10, SHIFTED>(narrow);
        case 11: return tile_of<T, 11, SHIFTED>(narrow);
        case 12: return tile_of<T, 12, SHIFTED>(narrow);
        case 13: return tile_of<T, 13, SHIFTED>(narrow);
        case 14: return tile_of<T, 14, SHIFTED>(narrow);
#endif
        default: return nullptr;
    }
}

}  // namespace cr::CR_ISA
