// One matrix product, described; used by the kernels `matmul` and `conv2d`, and by recurrences.
#pragma once
#include "kernels/gemm_tile.h"

namespace cr::CR_ISA {

template <class T> struct Product {
    const T *a, *b;
    T* c;
    i64 m, n, k;
    i64 a_row, a_k, b_k, b_column, c_row;  // in elements; columns of C are adjacent
    Epilogue<T> end;
    bool first = true, last = true;  // of the parts of k that a deep product is done in
    bool turned = false;  // Cᵀ = Bᵀ·Aᵀ in place of C = A·B, of one column: bias and residual go down it
};

// The part of C with rows [row, row + rows) and columns [column, column + columns), on this
// thread. `columns` is at most PIECE_COLUMNS.
constexpr i64 PIECE_COLUMNS = 256, PIECE_ROWS = 448;
template <class T>
void multiply_part(const Product<T>& p, i64 row, i64 rows, i64 column, i64 columns, T* packed);

// The whole product, on as many threads as it is worth. own_scratch() must have been had before.
template <class T> void multiply(const Product<T>& p);

}  // namespace cr::CR_ISA
