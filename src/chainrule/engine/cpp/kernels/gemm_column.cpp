// The matrix product of one column: WIDTH of its elements in a vector. A's rows are turned into
// columns on the way, WIDTH × WIDTH numbers at a time, so that each lane adds up its own row, in
// the order of k. Each addition waits for the one before, so two groups of rows take turns.
#include "kernels/gemm.h"
#include "kernels/pack.h"

namespace cr::CR_ISA {

namespace {

i64 least(i64 a, i64 b) { return a < b ? a : b; }

// sum + the products of WIDTH rows of A from `a` on with b, for WIDTH k but the first `skipped`.
template <class T>
CR_INLINE Vec<T> add_products(const T* a, i64 a_row, const T* b, i64 skipped, Vec<T> sum) {
    constexpr i64 W = WIDTH<T>;
    Vec<T> columns[W];
    load_transposed(a, a_row, columns);
    if (!skipped) {
#pragma GCC unroll 16
        for (i64 k = 0; k < W; ++k) sum = fma(columns[k], splat(b[k]), sum);
    } else {
#pragma GCC unroll 16
        for (i64 k = 1; k < W; ++k)
            if (k >= skipped) sum = fma(columns[k], splat(b[k]), sum);
    }
    return sum;
}

// The same for n rows and `depth` k, at most WIDTH of either.
template <class T>
CR_INLINE Vec<T> add_few_products(const T* a, i64 a_row, i64 n, const T* b, i64 depth, Vec<T> sum) {
    constexpr i64 W = WIDTH<T>;
    Vec<T> columns[W];
#pragma GCC unroll 16
    for (i64 l = 0; l < W; ++l) columns[l] = load_some(a + least(l, n - 1) * a_row, depth, T(0));
    transpose_round<int(W), int(W) / 2>(columns);
#pragma GCC unroll 16
    for (i64 k = 0; k < W; ++k)
        if (k < depth) sum = fma(columns[k], splat(b[k]), sum);
    return sum;
}

// Bias, residual and activation for the rows [row, row + n) of C; they go down the column. `sum` has
// those from `at` on.
template <class T>
CR_INLINE void put(const Product<T>& p, i64 at, i64 row, i64 n, Vec<T> sum) {
    constexpr i64 W = WIDTH<T>;
    const i64 known = least(W, p.m - at);
    Epilogue<T> end = p.end;
    Vec<T> other{};
    if (end.bias) sum = sum + (p.turned ? load_some(end.bias + at, known, T(0)) : splat(*end.bias));
    end.bias = nullptr;
    for (i64 i = row; end.residual && i < row + n; ++i)
        other[i - at] = end.residual[i * end.residual_stride];
    if (end.residual) end.residual = reinterpret_cast<const T*>(&other);
    const Vec<T> c = finish(sum, end, 0, 0, W);
    if (n == W && p.c_row == 1) return store(p.c + row, c);
    for (i64 i = row; i < row + n; ++i) p.c[i * p.c_row] = c[i - at];
}

// GROUPS·WIDTH rows of C from `row` on, of which those below `last` are written. The last group of
// rows, and of k, begins earlier where fewer are left, so that it is whole, unless there are FEW.
template <class T, int GROUPS, bool FEW>
void multiply_groups(const Product<T>& p, i64 row, i64 last) {
    constexpr i64 W = WIDTH<T>;
    const i64 rows = least(W, p.m);
    const T* a[GROUPS];
    for (int g = 0; g < GROUPS; ++g) a[g] = p.a + least(row + g * W, p.m - rows) * p.a_row;
    Vec<T> total[GROUPS]{};
    for (i64 block = 0; block < p.k; block += K_BLOCK) {
        Vec<T> sum[GROUPS]{};
        for (i64 k = block, end = least(block + K_BLOCK, p.k); k < end; k += W) {
            const i64 from = FEW ? k : least(k, end - W);
            const T* b = p.b + from;
#pragma GCC unroll 4
            for (int g = 0; g < GROUPS; ++g)
                if constexpr (FEW)
                    sum[g] = add_few_products(a[g] + k, p.a_row, rows, b, least(W, end - k), sum[g]);
                else sum[g] = add_products(a[g] + from, p.a_row, b, k - from, sum[g]);
        }
        for (int g = 0; g < GROUPS; ++g) total[g] = block ? total[g] + sum[g] : sum[g];
    }
    for (int g = 0; g < GROUPS; ++g, row += W)
        put(p, least(row, p.m - rows), row, least(W, last - row), total[g]);
}

}  // namespace

template <class T> void multiply_column(const Product<T>& p, i64 row, i64 rows) {
    constexpr i64 W = WIDTH<T>;
    const bool few = p.m < W || p.k < W;
    const i64 last = row + rows;
    for (; few && row < last; row += W) multiply_groups<T, 1, true>(p, row, last);
    for (; row + W < last; row += 2 * W) multiply_groups<T, 2, false>(p, row, last);
    if (row < last) multiply_groups<T, 1, false>(p, row, last);
}

template void multiply_column(const Product<float>&, i64, i64);
template void multiply_column(const Product<double>&, i64, i64);

}  // namespace cr::CR_ISA
