// Matrix products in which no number that is read is used many times: of few rows, and of one k. They
// are as fast as memory is read or written, if this is done row by row.
#include "kernels/gemm.h"
#include "kernels/gemm_vectors.h"
#include "kernels/operands.h"

namespace cr::CR_ISA {

namespace {

// Adds the products of ROWS rows of B, the first of which is k, to columns [column, last) of a row of
// C. Until the end of a block its sums are kept in `sums`.
template <class T, int ROWS>
void add_rows(const Product<T>& p, i64 row, i64 k, i64 column, i64 last, T* sums) {
    const bool begins = k % K_BLOCK == 0, first = k < K_BLOCK, finished = k + ROWS == p.k;
    const bool kept = !finished && (k + ROWS) % K_BLOCK;
    const Epilogue<T> end = finished ? p.end : Epilogue<T>{};
    const i64 b_k = p.b_k;
    const T* b = p.b + k * b_k;
    T* c = p.c + row * p.c_row;
    Vec<T> a[ROWS];
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) a[r] = splat(p.a[row * p.a_row + (k + r) * p.a_k]);
    by_vectors<T>(column, last, [&](auto v) __attribute__((always_inline)) {
        if (!begins) v.each([&](Vec<T>& sum, i64 j) { sum = load(sums + j - column); });
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; ++r) v.add(a[r], b + r * b_k);
        if (kept) return v.each([&](Vec<T> sum, i64 j) { store(sums + j - column, sum); });
        if (!first) v.each([&](Vec<T>& sum, i64 j) { sum = v.read(c + j) + sum; });
        v.write(end, row, c);
    });
}

}  // namespace

template <class T>
void multiply_rows(const Product<T>& p, i64 row, i64 rows, i64 column, i64 columns, T* memory) {
    constexpr i64 ROOM = 4096 / i64(sizeof(T));  // columns, so that sums stay in the L1 cache
    for (const i64 last = column + columns; column < last; column += ROOM) {
        const i64 end = least(column + ROOM, last);
        i64 k = 0;
        for (; k + FEW_ROWS <= p.k; k += FEW_ROWS)
            for (i64 i = 0; i < rows; ++i)
                add_rows<T, FEW_ROWS>(p, row + i, k, column, end, memory + i * ROOM);
        for (; k < p.k; ++k)
            for (i64 i = 0; i < rows; ++i)
                add_rows<T, 1>(p, row + i, k, column, end, memory + i * ROOM);
    }
}

template <class T>
void multiply_outer(const Product<T>& p, i64 row, i64 rows, i64 column, i64 columns) {
    const Epilogue<T> end = p.end;
    const i64 a_row = p.a_row, c_row = p.c_row;
    const T *a = p.a, *b = p.b;
    T* c = p.c;
    for (const i64 last = row + rows; row < last; row += FEW_ROWS) {
        const i64 next = least(row + FEW_ROWS, last);
        by_vectors<T>(column, column + columns, [&](auto v) __attribute__((always_inline)) {
            for (i64 i = row; i < next; ++i) {
                auto sums = v;
                sums.add(splat(a[i * a_row]), b);
                sums.write(end, i, c + i * c_row);
            }
        });
    }
}

template void multiply_rows(const Product<float>&, i64, i64, i64, i64, float*);
template void multiply_rows(const Product<double>&, i64, i64, i64, i64, double*);
template void multiply_outer(const Product<float>&, i64, i64, i64, i64);
template void multiply_outer(const Product<double>&, i64, i64, i64, i64);

}  // namespace cr::CR_ISA
