// The matrix product of one column.
#include "kernels/gemm.h"
#include "kernels/pack.h"

namespace cr::CR_ISA {

namespace {

i64 least(i64 a, i64 b) { return a < b ? a : b; }

}  // namespace

// C of one column: WIDTH of its elements in a vector. A's rows are turned into columns on the way,
// WIDTH × WIDTH numbers at a time, so that each lane adds up its own row, in the order of k.
template <class T> void multiply_column(const Product<T>& p, i64 row, i64 rows) {
    constexpr i64 W = WIDTH<T>;
    for (i64 at = row; at < row + rows; at += W) {
        const i64 n = least(W, row + rows - at);
        Vec<T> total{}, other{};
        for (i64 block = 0; block < p.k; block += K_BLOCK) {
            const i64 end = least(block + K_BLOCK, p.k);
            Vec<T> sum{};
            for (i64 k = block; k < end; k += W) {
                const i64 depth = least(W, end - k);
                Vec<T> a[W];
                for (i64 l = 0; l < W; ++l) {
                    const T* from = p.a + (at + least(l, n - 1)) * p.a_row + k;
                    a[l] = depth == W ? load(from) : load_some(from, depth, T(0));
                }
                transpose_round<int(W), int(W) / 2>(a);
                for (i64 d = 0; d < depth; ++d) sum = fma(a[d], splat(p.b[k + d]), sum);
            }
            total = block ? total + sum : sum;
        }
        Epilogue<T> end = p.end;
        if (end.bias)
            total = total + (p.turned ? load_some(end.bias + at, n, T(0)) : splat(*end.bias));
        end.bias = nullptr;
        for (i64 l = 0; end.residual && l < n; ++l)
            other[l] = end.residual[(at + l) * end.residual_stride];
        if (end.residual) end.residual = reinterpret_cast<const T*>(&other);
        const Vec<T> c = finish(total, end, 0, 0, W);
        for (i64 l = 0; l < n; ++l) p.c[(at + l) * p.c_row] = c[l];
    }
}

template void multiply_column(const Product<float>&, i64, i64);
template void multiply_column(const Product<double>&, i64, i64);

}  // namespace cr::CR_ISA
