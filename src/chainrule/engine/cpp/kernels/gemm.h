// The description of one matrix product, for the kernel `matmul` and the gradients of recurrences.
#pragma once
#include "kernels/gemm_tile.h"

namespace cr::CR_ISA {

template <class T> struct Product {
    const T *a, *b;
    T* c;
    i64 m, n, k;
    i64 a_row, a_k, b_k, b_column, c_row;  // in elements; columns of C are adjacent
    Epilogue<T> end;
    bool first = true, last = true;  // which parts of k of a deep product these are
    bool turned = false;  // Cᵀ = Bᵀ·Aᵀ in place of C = A·B, of one column: bias and residual go down it
};

// The part of C with rows [row, row + rows) and columns [column, column + columns), on this
// thread. `columns` is at most PIECE_COLUMNS.
constexpr i64 PIECE_COLUMNS = 256, PIECE_ROWS = 448;
template <class T>
void multiply_part(const Product<T>& p, i64 row, i64 rows, i64 column, i64 columns, T* packed);

// The whole product, on as many threads as pay. own_scratch() must have been called before.
template <class T> void multiply(const Product<T>& p);

}  // namespace cr::CR_ISA
