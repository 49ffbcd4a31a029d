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
};

// Many products of equal sizes: element strides of the operands along each dimension of the batch.
constexpr int MAX_BATCH_DIMS = MAX_DIMS - 2;
struct Batch {
    int dims = 0;
    i64 shape[MAX_BATCH_DIMS];
    i64 a[MAX_BATCH_DIMS], b[MAX_BATCH_DIMS], c[MAX_BATCH_DIMS], residual[MAX_BATCH_DIMS];

    i64 count() const {
        i64 n = 1;
        for (int d = 0; d < dims; ++d) n *= shape[d];
        return n;
    }
};

// All products, on as many threads as pay. own_scratch() must have been called before. The only
// failure is NO_MEMORY, where k is long.
template <class T> Status multiply(const Product<T>& p, const Batch& batch = {});

// The part of C with these rows and columns, computed as that of Cᵀ, in `memory` of own_scratch();
// and whether that is faster for a part of so many rows and columns.
template <class T>
void multiply_turned(const Product<T>& p, i64 row, i64 rows, i64 column, i64 columns, T* memory);
template <class T> bool better_turned(const Product<T>& p, i64 rows, i64 columns);

// C of one column, rows [row, row + rows), with `memory` of own_scratch(); and of one row where A and B
// are stored along k, columns [column, column + columns). k is at most PART.
template <class T> void multiply_column(const Product<T>& p, i64 row, i64 rows, T* memory);
template <class T> void multiply_along(const Product<T>& p, i64 column, i64 columns);

// A part of C where columns of B are adjacent: of no more than FEW_ROWS rows, which use as many rows of
// B at a time, with `memory` of own_scratch(); and where k is 1.
constexpr int FEW_ROWS = 8;
template <class T>
void multiply_rows(const Product<T>& p, i64 row, i64 rows, i64 column, i64 columns, T* memory);
template <class T>
void multiply_outer(const Product<T>& p, i64 row, i64 rows, i64 column, i64 columns);

}  // namespace cr::CR_ISA
