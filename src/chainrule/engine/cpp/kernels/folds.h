// Sums and extremes of many numbers, in float64 and in a fixed order.
#pragma once
#include "kernels/ahead.h"
#include "kernels/operands.h"
#include "math/vec.h"

namespace cr::CR_ISA {

enum class Fold : i64 { sum, maximum, minimum };

inline double identity(Fold fold) {
    return fold == Fold::sum ? 0.0 : fold == Fold::maximum ? -__builtin_inf() : __builtin_inf();
}
CR_INLINE double combine(Fold fold, double a, double b) {
    if (fold == Fold::sum) return a + b;
    if (fold == Fold::maximum) return a > b || a != a ? a : b;
    return a < b || a != a ? a : b;
}

// As many numbers as fit a vector in float64. GCC converts floats by halves, so it is told how.
template <class T> CR_INLINE Vec<double> widened(const T* x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) return (Vec<double>)_mm512_cvtps_pd(_mm256_loadu_ps(x));
#elif defined(__AVX2__)
    if constexpr (sizeof(T) == 4) return (Vec<double>)_mm256_cvtps_pd(_mm_loadu_ps(x));
#endif
    typedef T Some __attribute__((vector_size(sizeof(T) * WIDTH<double>), aligned(sizeof(T)),
                                  may_alias));
    return __builtin_convertvector(*reinterpret_cast<const Some*>(x), Vec<double>);
}

// A fold of numbers that come part by part. A sum has eight vectors of interleaved chains, so that
// additions overlap. All parts but the last have whole multiples of their length.
struct Running {
    static constexpr int V = 8, W = WIDTH<double>;
    Vec<double> sum[V] = {};
    double value = 0;  // the extreme, or the sum of the last numbers, which fill no vector

    Running() = default;
    explicit Running(Fold fold) : value(identity(fold)) {}

    double result(Fold fold) const {
        if (fold != Fold::sum) return value;
        Vec<double> tree[V / 2];
        for (int v = 0; v < V / 2; ++v) tree[v] = sum[v] + sum[v + V / 2];
        return sum_of_lanes((tree[0] + tree[2]) + (tree[1] + tree[3])) + value;
    }
};

template <class T> CR_INLINE void add(Running& running, const T* x, i64 n) {
    constexpr int V = Running::V, W = Running::W;
    constexpr i64 AHEAD = 4096 / sizeof(T);  // the processor itself does not look far enough
    Vec<double> sum[V];
    i64 i = 0;
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) sum[v] = running.sum[v];
    for (; i + V * W <= n; i += V * W) {
        ask_for(x + i + AHEAD, V * W);
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) sum[v] = sum[v] + widened(x + i + v * W);
    }
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v)
        if (i + W <= n) {
            sum[v] = sum[v] + widened(x + i);
            i += W;
        }
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) running.sum[v] = sum[v];
    for (; i < n; ++i) running.value += double(x[i]);
}

// The least or the greatest of n numbers, some vectors at a time. A processor's own minimum and
// maximum lose a NaN, so Σ 0·x is computed, too: it is NaN if one of the numbers is not finite.
template <Fold FOLD, class T> double extreme(const T* x, i64 n) {
    constexpr int V = 4, W = WIDTH<T>;
    constexpr bool greatest = FOLD == Fold::maximum;
    const auto better = [](Vec<T> a, Vec<T> b) { return greatest ? at_least(a, b) : at_most(a, b); };
    Vec<T> best[V], odd[V] = {};
    for (Vec<T>& b : best) b = splat(T(identity(FOLD)));
    i64 i = 0;
    for (; i + V * W <= n; i += V * W)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
            const Vec<T> some = load(x + i + v * W);
            best[v] = better(some, best[v]);
            odd[v] = fma(some, Vec<T>{}, odd[v]);
        }
    const Vec<T> lanes = better(better(best[0], best[1]), better(best[2], best[3]));
    const T found = folded(lanes, [&](Vec<T> a, Vec<T> b) { return better(b, a); });
    bool nan = false;
    if (!all((odd[0] + odd[1]) + (odd[2] + odd[3]) == T(0)))
        for (i64 k = 0; k < i; ++k) nan |= x[k] != x[k];
    double result = nan ? __builtin_nan("") : double(found);
    for (; i < n; ++i) result = combine(FOLD, result, double(x[i]));
    return result;
}

template <class T> CR_INLINE void fold_part(Fold fold, Running& running, const T* x, i64 n) {
    if (fold == Fold::sum) return add(running, x, n);
    const double some = fold == Fold::maximum ? extreme<Fold::maximum>(x, n)
                                              : extreme<Fold::minimum>(x, n);
    running.value = combine(fold, running.value, some);
}

// sums[j] += Σ x[i·n + j] over the rows i, one after the other, from column j on: strips of N
// vectors of columns, then of half as many. Returns the first column that is left. Meanwhile it asks
// for the rows that are `ahead` of these.
template <int N, class T>
i64 add_strips(const T* x, i64 rows, i64 n, double* sums, i64 j, i64 ahead) {
    constexpr i64 W = WIDTH<double>;
    for (; j + N * W <= n; j += N * W) {
        Vec<double> sum[N];
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v) sum[v] = load(sums + j + v * W);
        for (i64 i = 0; i < rows; ++i) {
            const T* from = x + i * n + j;
            ask_for(from + ahead * n, N * W);
#pragma GCC unroll 8
            for (int v = 0; v < N; ++v) sum[v] = sum[v] + widened(from + v * W);
        }
#pragma GCC unroll 8
        for (int v = 0; v < N; ++v) store(sums + j + v * W, sum[v]);
    }
    if constexpr (N == 1) return j;
    else return add_strips<N / 2>(x, rows, n, sums, j, ahead);
}

// The same for the columns from j on, which are fewer than a vector has lanes. The others read on into
// the next row, as long as there is one, and are dropped.
template <class T> void add_last(const T* x, i64 rows, i64 n, double* sums, i64 j) {
    constexpr i64 W = WIDTH<double>;
    double lane[W] = {};
    for (i64 k = j; k < n; ++k) lane[k - j] = sums[k];
    Vec<double> sum = load(lane);
    i64 i = 0;
    for (; i * n + j + W <= rows * n; ++i) sum = sum + widened(x + i * n + j);
    store(lane, sum);
    for (i64 k = j; k < n; ++k) {
        sums[k] = lane[k - j];
        for (i64 rest = i; rest < rows; ++rest) sums[k] += double(x[rest * n + k]);
    }
}

// The rows are added some at a time, as many as fit half of an L1 cache, while the next ones come
// into the other half. Memory delivers whole rows faster than parts of many.
template <class T> void add_rows(const T* x, i64 rows, i64 n, double* sums) {
    constexpr i64 HALF = 16384, FEWEST = 4;
    const i64 at_once = most(FEWEST, HALF / (n * i64(sizeof(T))));
    for (i64 i = 0; i < rows; i += at_once) {
        const i64 some = least(at_once, rows - i), ahead = i + some < rows ? some : 0;
        const i64 left = add_strips<CR_REGISTERS / 4>(x + i * n, some, n, sums, 0, ahead);
        if (left < n) add_last(x + i * n, some, n, sums, left);
    }
}

// Folds rows of n numbers into n results.
template <class T> void fold_rows(Fold fold, const T* x, i64 rows, i64 n, double* results) {
    if (fold == Fold::sum) return add_rows(x, rows, n, results);
    for (i64 i = 0; i < rows; ++i)
        for (i64 k = 0; k < n; ++k) results[k] = combine(fold, results[k], double(x[i * n + k]));
}

}  // namespace cr::CR_ISA
