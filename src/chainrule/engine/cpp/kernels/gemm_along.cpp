// The matrix product of one row where B is stored along k: WIDTH elements of C in a vector. Columns
// of B are turned into rows on the way, a few k at a time, so that each lane adds up its own column,
// in the order of k. Each addition waits for the one before, so several groups of WIDTH columns take
// turns.
#include "kernels/gemm.h"
#include "kernels/operands.h"
#include "kernels/pack.h"

namespace cr::CR_ISA {

namespace {

// sum + the products of a with WIDTH columns of B from `b` on, for HALF k but the first `skipped`.
template <class T>
CR_INLINE Vec<T> add_products(const T* a, const T* b, i64 b_column, i64 skipped, Vec<T> sum) {
    Vec<T> rows[HALF<T>];
    load_rows(b, b_column, rows);
#pragma GCC unroll 16
    for (i64 k = 0; k < HALF<T>; ++k)
        if (k >= skipped) sum = fma_spread(a + k, rows[k], sum);
    return sum;
}

// The same for n columns and `depth` k, at most WIDTH of either.
template <class T>
CR_INLINE Vec<T> add_few_products(const T* a, const T* b, i64 b_column, i64 n, i64 depth, Vec<T> sum) {
    constexpr i64 W = WIDTH<T>;
    Vec<T> rows[W];
#pragma GCC unroll 16
    for (i64 l = 0; l < W; ++l) rows[l] = load_some(b + least(l, n - 1) * b_column, depth, T(0));
    transpose_round<int(W), int(W) / 2>(rows);
#pragma GCC unroll 16
    for (i64 k = 0; k < W; ++k)
        if (k < depth) sum = fma(rows[k], splat(a[k]), sum);
    return sum;
}

// Bias, residual and activation for the columns [column, column + n) of C. `sum` has those from `at`
// on.
template <class T>
CR_INLINE void put(const Product<T>& p, i64 at, i64 column, i64 n, Vec<T> sum) {
    T lanes[2 * WIDTH<T>]{};
    if (at < column) store(lanes, sum), sum = load(lanes + column - at);
    const Vec<T> c = finish(sum, p.end, 0, column, n);
    if (n == WIDTH<T>) store(p.c + column, c);
    else store_some(p.c + column, c, n);
}

// GROUPS·WIDTH columns from `column` on, of which those below `last` are written. The last group of
// columns, and the last k, begin earlier where fewer are left, so that they are whole. These are more
// columns than a processor follows by itself: the caches are asked for a line of each, two lines
// ahead, in as many steps as use up a line.
template <class T, int GROUPS> void multiply_groups(const Product<T>& p, i64 column, i64 last) {
    constexpr i64 W = WIDTH<T>, H = HALF<T>, LINE = 64 / sizeof(T);
    // longer vectors leave less time for it
    constexpr i64 ASKED = CR_VECTOR_BYTES == 64 ? 0 : most(1, W * H / LINE);
    const i64 b_column = p.b_column;
    const T* b[GROUPS];
#pragma GCC unroll 4
    for (int g = 0; g < GROUPS; ++g) b[g] = p.b + least(column + g * W, p.n - W) * b_column;
    const T* a = p.a;
    Vec<T> total[GROUPS]{};
    for (i64 block = 0; block < p.k; block += K_BLOCK) {
        const i64 depth = least(K_BLOCK, p.k - block), rest = depth % H;
        Vec<T> sum[GROUPS]{};
        const auto step = [&](i64 skipped, i64 from) __attribute__((always_inline)) {
#pragma GCC unroll 4
            for (int g = 0; g < GROUPS; ++g) {
#pragma GCC unroll 4
                for (i64 i = 0; i < ASKED; ++i)
                    __builtin_prefetch(b[g] + (from + i) * b_column + 2 * LINE);
                sum[g] = add_products(a - skipped, b[g] - skipped, b_column, skipped, sum[g]);
                b[g] += H - skipped;
                asm("" : "+r"(b[g]));  // not to be replaced by distances from one pointer
            }
            a += H - skipped;
        };
        const T* const end = a + depth - rest;
        while (end - a >= LINE)
#pragma GCC unroll 4
            for (i64 s = 0; s < LINE / H; ++s) step(0, s * ASKED);
        while (a < end) step(0, 0);
        if (rest) step(H - rest, 0);
        for (int g = 0; g < GROUPS; ++g) total[g] = block ? total[g] + sum[g] : sum[g];
    }
    for (int g = 0; g < GROUPS; ++g, column += W)
        put(p, least(column, p.n - W), column, least(W, last - column), total[g]);
}

// Up to WIDTH columns where there are fewer in all, or few k.
template <class T> void multiply_few(const Product<T>& p, i64 column, i64 last) {
    constexpr i64 W = WIDTH<T>;
    const i64 columns = least(W, p.n), first = least(column, p.n - columns);
    Vec<T> total{};
    for (i64 block = 0; block < p.k; block += K_BLOCK) {
        Vec<T> sum{};
        for (i64 k = block, end = least(block + K_BLOCK, p.k); k < end; k += W)
            sum = add_few_products(p.a + k, p.b + first * p.b_column + k, p.b_column, columns,
                                   least(W, end - k), sum);
        total = block ? total + sum : sum;
    }
    put(p, first, column, least(W, last - column), total);
}

// Groups at a time. A vector of 64 bytes takes longer to be turned than two additions wait.
constexpr int MOST_GROUPS = CR_VECTOR_BYTES == 64 ? 2 : 3;
template <class T> i64 groups_that_fit(i64 b_column) {
    constexpr i64 FEWEST = CR_VECTOR_BYTES == 64 ? 2 : 1;
    return most(FEWEST, lines_that_fit(b_column * i64(sizeof(T))) / WIDTH<T>);
}

// The same for a number of groups that is known at run time.
template <class T, int GROUPS = MOST_GROUPS>
void multiply_groups(const Product<T>& p, i64 column, i64 last, i64 groups) {
    if constexpr (GROUPS > 1)
        if (groups < GROUPS) return multiply_groups<T, GROUPS - 1>(p, column, last, groups);
    multiply_groups<T, GROUPS>(p, column, last);
}

}  // namespace

template <class T> void multiply_along(const Product<T>& p, i64 column, i64 columns) {
    constexpr i64 W = WIDTH<T>;
    const i64 last = column + columns;
    if (p.n < W || p.k < HALF<T>) {
        for (; column < last; column += W) multiply_few(p, column, last);
        return;
    }
    // One group takes as long as MOST_GROUPS, so none is left to the end.
    const i64 fit = least(MOST_GROUPS, groups_that_fit<T>(p.b_column));
    for (i64 groups; column < last; column += groups * W) {
        const i64 left = parts(last - column, W);
        groups = parts(left, parts(left, fit));
        multiply_groups(p, column, last, groups);
    }
}

template void multiply_along(const Product<float>&, i64, i64);
template void multiply_along(const Product<double>&, i64, i64);

}  // namespace cr::CR_ISA
