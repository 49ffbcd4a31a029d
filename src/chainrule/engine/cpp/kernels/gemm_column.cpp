// The matrix product of one column: WIDTH of its elements in a vector. A's rows are turned into
// columns on the way, WIDTH × WIDTH numbers at a time, so that each lane adds up its own row, in
// the order of k. Each addition waits for the one before, so several groups of rows take turns.
#include "kernels/gemm.h"
#include "kernels/pack.h"

namespace cr::CR_ISA {

namespace {

i64 least(i64 a, i64 b) { return a < b ? a : b; }

// sum + the products of n rows of A from `a` on with b, for k below `depth`, both at most WIDTH.
template <class T>
CR_INLINE Vec<T> add_products(const T* a, i64 a_row, i64 n, const T* b, i64 depth, Vec<T> sum) {
    constexpr i64 W = WIDTH<T>;
    Vec<T> columns[W];
    if (depth == W && n == W) {
        load_transposed(a, a_row, columns);
#pragma GCC unroll 16
        for (i64 k = 0; k < W; ++k) sum = fma(columns[k], splat(b[k]), sum);
        return sum;
    }
    for (i64 l = 0; l < W; ++l) columns[l] = load_some(a + least(l, n - 1) * a_row, depth, T(0));
    transpose_round<int(W), int(W) / 2>(columns);
    for (i64 k = 0; k < depth; ++k) sum = fma(columns[k], splat(b[k]), sum);
    return sum;
}

// Bias, residual and activation for n rows; they go down the column.
template <class T> void put(const Product<T>& p, i64 row, i64 n, Vec<T> sum) {
    constexpr i64 W = WIDTH<T>;
    Epilogue<T> end = p.end;
    Vec<T> other{};
    if (end.bias) sum = sum + (p.turned ? load_some(end.bias + row, n, T(0)) : splat(*end.bias));
    end.bias = nullptr;
    for (i64 l = 0; end.residual && l < n; ++l)
        other[l] = end.residual[(row + l) * end.residual_stride];
    if (end.residual) end.residual = reinterpret_cast<const T*>(&other);
    const Vec<T> c = finish(sum, end, 0, 0, W);
    for (i64 l = 0; l < n; ++l) p.c[(row + l) * p.c_row] = c[l];
}

}  // namespace

template <class T> void multiply_column(const Product<T>& p, i64 row, i64 rows) {
    constexpr i64 W = WIDTH<T>, GROUPS = 4;
    for (const i64 last = row + rows; row < last; row += GROUPS * W) {
        const auto height = [&](i64 g) { return least(W, last - row - g * W); };
        Vec<T> total[GROUPS];
        for (i64 block = 0; block == 0 || block < p.k; block += K_BLOCK) {
            const i64 end = least(block + K_BLOCK, p.k);
            Vec<T> sum[GROUPS]{};
            for (i64 k = block; k < end; k += W)
                for (i64 g = 0; g < GROUPS && height(g) > 0; ++g)
                    sum[g] = add_products(p.a + (row + g * W) * p.a_row + k, p.a_row, height(g),
                                          p.b + k, least(W, end - k), sum[g]);
            for (i64 g = 0; g < GROUPS; ++g) total[g] = block ? total[g] + sum[g] : sum[g];
        }
        for (i64 g = 0; g < GROUPS && height(g) > 0; ++g)
            put(p, row + g * W, height(g), total[g]);
    }
}

template void multiply_column(const Product<float>&, i64, i64);
template void multiply_column(const Product<double>&, i64, i64);

}  // namespace cr::CR_ISA
