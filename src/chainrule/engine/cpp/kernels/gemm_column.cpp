// The matrix product of one column: WIDTH of its elements in a vector. A's rows are turned into
// columns on the way, a few k at a time, so that each lane adds up its own row, in the order of k.
// Each addition waits for the one before, so several groups of WIDTH rows take turns.
#include "kernels/gemm.h"
#include "kernels/operands.h"
#include "kernels/pack.h"

namespace cr::CR_ISA {

namespace {

// sum + the products of WIDTH rows of A from `a` on with b, for HALF k but the first `skipped`.
template <class T>
CR_INLINE Vec<T> add_products(const T* a, i64 a_row, const T* b, i64 skipped, Vec<T> sum) {
    Vec<T> columns[HALF<T>];
    load_rows(a, a_row, columns);
#pragma GCC unroll 16
    for (i64 k = 0; k < HALF<T>; ++k)
        if (k >= skipped) sum = fma_spread(b + k, columns[k], sum);
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
// rows, and the last k, begin earlier where fewer are left, so that they are whole.
template <class T, int GROUPS> void multiply_groups(const Product<T>& p, i64 row, i64 last) {
    constexpr i64 W = WIDTH<T>, H = HALF<T>;
    const i64 a_row = p.a_row;
    const T* a[GROUPS];
#pragma GCC unroll 4
    for (int g = 0; g < GROUPS; ++g) a[g] = p.a + least(row + g * W, p.m - W) * a_row;
    const T* b = p.b;
    Vec<T> total[GROUPS]{};
    for (i64 block = 0; block < p.k; block += K_BLOCK) {
        const i64 depth = least(K_BLOCK, p.k - block), rest = depth % H;
        Vec<T> sum[GROUPS]{};
        const auto step = [&](i64 skipped) __attribute__((always_inline)) {
#pragma GCC unroll 4
            for (int g = 0; g < GROUPS; ++g) {
                sum[g] = add_products(a[g] - skipped, a_row, b - skipped, skipped, sum[g]);
                a[g] += H - skipped;
                asm("" : "+r"(a[g]));  // not to be replaced by distances from one pointer
            }
            b += H - skipped;
        };
        const T* const end = b + depth - rest;
        while (b < end) step(0);
        if (rest) step(H - rest);
        for (int g = 0; g < GROUPS; ++g) total[g] = block ? total[g] + sum[g] : sum[g];
    }
    for (int g = 0; g < GROUPS; ++g, row += W)
        put(p, least(row, p.m - W), row, least(W, last - row), total[g]);
}

// Up to WIDTH rows where there are fewer in all, or few k.
template <class T> void multiply_few(const Product<T>& p, i64 row, i64 last) {
    constexpr i64 W = WIDTH<T>;
    const i64 rows = least(W, p.m), first = least(row, p.m - rows);
    Vec<T> total{};
    for (i64 block = 0; block < p.k; block += K_BLOCK) {
        Vec<T> sum{};
        for (i64 k = block, end = least(block + K_BLOCK, p.k); k < end; k += W)
            sum = add_few_products(p.a + first * p.a_row + k, p.a_row, rows, p.b + k,
                                   least(W, end - k), sum);
        total = block ? total + sum : sum;
    }
    put(p, first, row, least(W, last - row), total);
}

// Groups at a time. A vector of 64 bytes takes longer to be turned than two additions wait. Rows whose
// distance is a multiple of a large power of two compete for the same 8 lines of an L1 cache, and so
// do all with a distance of 4096 bytes.
constexpr int MOST_GROUPS = CR_VECTOR_BYTES == 64 ? 2 : 3;
template <class T> i64 groups_that_fit(i64 a_row) {
    constexpr i64 WAY = 4096, WAYS = 8, FEWEST = CR_VECTOR_BYTES == 64 ? 2 : 1;
    const i64 bytes = a_row * i64(sizeof(T)), apart = bytes & -bytes;
    const i64 rows = apart ? WAYS * WAY / least(apart, WAY) : WAYS;
    return rows < FEWEST * WIDTH<T> ? FEWEST : rows / WIDTH<T>;
}

// Rows [row, last), GROUPS groups at a time, if so many fit.
template <class T, int GROUPS>
void multiply_by_groups(const Product<T>& p, i64 row, i64 last, i64 fit) {
    constexpr i64 W = WIDTH<T>;
    for (; GROUPS <= fit && row + (GROUPS - 1) * W < last; row += GROUPS * W)
        multiply_groups<T, GROUPS>(p, row, last);
    if constexpr (GROUPS > 1) multiply_by_groups<T, GROUPS - 1>(p, row, last, fit);
}

}  // namespace

template <class T> void multiply_column(const Product<T>& p, i64 row, i64 rows) {
    constexpr i64 W = WIDTH<T>;
    const i64 last = row + rows;
    if (p.m >= W && p.k >= HALF<T>)
        return multiply_by_groups<T, MOST_GROUPS>(p, row, last, groups_that_fit<T>(p.a_row));
    for (; row < last; row += W) multiply_few(p, row, last);
}

template void multiply_column(const Product<float>&, i64, i64);
template void multiply_column(const Product<double>&, i64, i64);

}  // namespace cr::CR_ISA
