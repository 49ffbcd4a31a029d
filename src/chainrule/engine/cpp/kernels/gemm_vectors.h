// Vectors of a row of C beside each other, for products that pass over rows of B.
#pragma once
#include "kernels/gemm_tile.h"
#include "kernels/operands.h"

namespace cr::CR_ISA {

// N vectors from `column` on; that at the edge has `count` numbers.
template <class T, int N> struct Vectors {
    static constexpr i64 W = WIDTH<T>;
    i64 column, count;
    Vec<T> at[N]{};

    template <class Change> CR_INLINE void each(Change change) {
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v) change(at[v], column + v * W);
    }
    CR_INLINE Vec<T> read(const T* x) const {
        return count == W ? load(x) : load_some(x, count, T(0));
    }
    // The products of x with a row of B are added.
    CR_INLINE void add(Vec<T> x, const T* b) {
        each([&](Vec<T>& v, i64 i) { v = fma(x, read(b + i), v); });
    }
    CR_INLINE void write(const Epilogue<T>& end, i64 row, T* c) {
        if (!plain(end)) each([&](Vec<T>& v, i64 i) { v = finish(v, end, row, i, count); });
        each([&](Vec<T> v, i64 i) {
            if (count == W) store(c + i, v);
            else store_some(c + i, v, count);
        });
    }
};

// Calls work(Vectors) for columns [column, last).
template <class T, class Work> CR_INLINE void by_vectors(i64 column, i64 last, Work work) {
    constexpr i64 W = WIDTH<T>;
    constexpr int SIDE = 4;
    for (; column + SIDE * W <= last; column += SIDE * W) work(Vectors<T, SIDE>{column, W});
    for (; column < last; column += W) work(Vectors<T, 1>{column, least(W, last - column)});
}

}  // namespace cr::CR_ISA
