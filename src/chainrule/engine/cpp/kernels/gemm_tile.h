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

template <class T> bool plain(const Epilogue<T>& end) {
    return !end.bias && !end.residual && end.activation == Activation::none;
}

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

template <class T> CR_INLINE Vec<T> relu(Vec<T> x) { return x <= T(0) ? Vec<T>{} : x; }  // NaN stays

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
    return end.activation == Activation::relu ? relu<T>(sum) : sum;
}

// Stores the sums of a tile at the right edge. It stands once for all tiles, since it would be most
// of their code. It has a copy of the tile: no store can change that, so it is not read again after
// each.
template <class T> __attribute__((noinline)) void store_tile(const Tile<T>& tile,
                                                             const Vec<T>* sum, int rows,
                                                             int vectors) {
    constexpr i64 W = WIDTH<T>;
    const Tile<T> t = tile;
    const Epilogue<T> end = t.last ? t.end : Epilogue<T>{};
    for (int j = 0; j < vectors; ++j) {
        const i64 count = t.columns - j * W;
        for (int i = 0; i < rows && count > 0; ++i) {
            T* c = t.c + i * t.c_row + j * W;
            Vec<T> v = sum[i * vectors + j];
            if (!t.first) v = (count >= W ? load(c) : load_some(c, count, T(0))) + v;
            v = finish(v, end, i, j * W, count);
            if (count >= W) store(c, v);
            else store_some(c, v, count);
        }
    }
}

// x·b + c for all lanes of b and c. AVX-512 spreads the number as part of the multiply-add.
template <class T> CR_INLINE Vec<T> fma_spread(const T* x, Vec<T> b, Vec<T> c) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) asm("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(c) : "v"(b), "m"(*x));
    else asm("vfmadd231pd %2%{1to8%}, %1, %0" : "+v"(c) : "v"(b), "m"(*x));
    return c;
#else
    return fma(splat(*x), b, c);
#endif
}

// Asks the caches for M rows of N vectors.
template <int M, int N, class T> CR_INLINE void ask(const T* p, i64 row) {
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) __builtin_prefetch(p + i * row + j * WIDTH<T>);
}

// Where the rows of A are not ADJACENT, one in three has a pointer; the others are one and two
// strides away, which x86 adds as it loads. Pointers to all 14 rows would not fit the registers,
// and to read them from memory costs a tenth of the speed.
//
// Half of the rows are spread by an instruction of their own, a load for N multiply-adds, and half
// by the multiply-adds: no instruction more, and N loads. So of the three limits of a processor
// none is reached before that of arithmetic: 14×2 rows and vectors take 14 cycles of multiply-adds,
// 23 loads of 28 possible, and 38 instructions of 84. What is left over matters where two threads
// share a core.
template <class T, int M, int N, bool ADJACENT> void multiply_tile(const Tile<T>& t) {
    constexpr int W = WIDTH<T>, GROUP = ADJACENT ? M : 3, GROUPS = (M + GROUP - 1) / GROUP;
    Vec<T> sum[M][N];
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) sum[i][j] = Vec<T>{};

    // The end waits for the lines of C and of the residual where few products come before it. Where
    // there are more, asking for them would only delay the lines of A and B.
    constexpr i64 FEW = 8;
    const T* residual = t.last ? t.end.residual : nullptr;
    const i64 residual_row = t.end.residual_stride;
    if (t.depth <= FEW) ask<M, N>(t.c, t.c_row);
    if (t.depth <= FEW && residual) ask<M, N>(residual, residual_row);
    const i64 row_bytes = ADJACENT ? i64(sizeof(T)) : t.a_row * i64(sizeof(T));
    const i64 a_bytes = t.a_k * i64(sizeof(T)), b_k = t.b_k, ahead = t.b_ahead;
    const char* a[GROUPS];
#pragma GCC unroll 8
    for (int g = 0; g < GROUPS; ++g)
        a[g] = reinterpret_cast<const char*>(t.a) + GROUP * g * row_bytes;
    const T* b = t.b;
    const auto step = [&]() __attribute__((always_inline)) {
        Vec<T> row[N];
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) row[j] = load(b + j * W);
        if constexpr (M > 2)  // fewer rows leave no time for it
#pragma GCC unroll 8
            for (int j = 0; j < N; ++j) __builtin_prefetch(b + ahead + j * W);
#pragma GCC unroll 16
        for (int i = 0; i < M; ++i) {
            const T* at = reinterpret_cast<const T*>(a[i / GROUP] + i % GROUP * row_bytes);
            if (i % 2) {
#pragma GCC unroll 8
                for (int j = 0; j < N; ++j) sum[i][j] = fma_spread(at, row[j], sum[i][j]);
            } else {
                const Vec<T> x = splat(*at);
#pragma GCC unroll 8
                for (int j = 0; j < N; ++j) sum[i][j] = fma(x, row[j], sum[i][j]);
            }
        }
#pragma GCC unroll 8
        for (int g = 0; g < GROUPS; ++g) {
            a[g] += a_bytes;
            asm("" : "+r"(a[g]));  // not to be replaced by one pointer and many distances
        }
        b += b_k;
    };
    for (i64 k = t.depth / 2; k > 0; --k) step(), step();
    if (t.depth % 2) step();

    const auto each = [&](auto change) __attribute__((always_inline)) {
#pragma GCC unroll 16
        for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
            for (int j = 0; j < N; ++j) change(sum[i][j], i, j);
    };
    if (t.columns < N * W) {
        Vec<T> kept[M * N];  // else all sums would have a place in memory, and be stored there too
        each([&](Vec<T> v, int i, int j) { kept[i * N + j] = v; });
        return store_tile(t, kept, M, N);
    }
    T* c = t.c;
    const i64 c_row = t.c_row;
    const T* bias = t.last ? t.end.bias : nullptr;
    const bool rectified = t.last && t.end.activation == Activation::relu;
    const bool gate = t.end.activation == Activation::gate;
    if (!t.first) each([=](Vec<T>& v, int i, int j) { v = load(c + i * c_row + j * W) + v; });
    if (bias) each([=](Vec<T>& v, int, int j) { v = v + load(bias + j * W); });
    if (residual && gate)
        each([=](Vec<T>& v, int i, int j) {
            v = load(residual + i * residual_row + j * W) > T(0) ? v : Vec<T>{};
        });
    if (residual && !gate)
        each([=](Vec<T>& v, int i, int j) { v = v + load(residual + i * residual_row + j * W); });
    if (rectified) each([](Vec<T>& v, int, int) { v = relu<T>(v); });
    each([=](Vec<T> v, int i, int j) { store(c + i * c_row + j * W, v); });
}

// Tile shapes: as many accumulators as there are registers, less a few for A and B.
constexpr int MAX_ROWS = CR_REGISTERS == 32 ? 14 : 6;
constexpr int WIDE = 2;

// The tile of so many rows; `narrow`: of one vector of columns, and not of two.
template <class T, bool ADJACENT = false, int M = 1>
TileFn<T> choose_tile(i64 rows, bool narrow) {
    if constexpr (M < MAX_ROWS)
        if (rows > M) return choose_tile<T, ADJACENT, M + 1>(rows, narrow);
    return narrow ? &multiply_tile<T, M, 1, ADJACENT> : &multiply_tile<T, M, WIDE, ADJACENT>;
}

}  // namespace cr::CR_ISA
