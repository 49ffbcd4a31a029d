// A row of numbers at a time: its maximum, its exponentials and their sum.
#pragma once
#include "kernels/operands_read.h"
#include "math/vecmath.h"

namespace cr::CR_ISA {

template <class T> T row_maximum(const T* x, i64 n) {
    constexpr i64 W = WIDTH<T>;
    const T lowest = -Format<T>::infinity;
    Vec<T> top = splat(lowest);
    i64 i = 0;
    for (; i + W <= n; i += W) top = larger(load(x + i), top);
    if (i < n) top = larger(load_some(x + i, n - i, lowest), top);
    return folded(top, [](Vec<T> a, Vec<T> b) { return larger(b, a); });
}

// y = e^(x − top), and its sum; y may be null.
template <class T> T row_exponentials(const T* x, T top, T* y, i64 n) {
    constexpr i64 W = WIDTH<T>;
    Vec<T> sum{};
    i64 i = 0;
    for (; i + W <= n; i += W) {
        const Vec<T> e = exp<T>(load(x + i) - top);
        if (y) store(y + i, e);
        sum += e;
    }
    if (i < n) {
        const Vec<T> e = exp<T>(load_some(x + i, n - i, -Format<T>::infinity) - top);
        if (y) store_some(y + i, e, n - i);
        for (i64 l = 0; l < n - i; ++l) sum[l] += e[l];
    }
    return sum_of_lanes(sum);
}

template <class T, class F> CR_INLINE void map_row(const T* x, T* y, i64 n, F f) {
    constexpr i64 W = WIDTH<T>;
    i64 i = 0;
    for (; i + W <= n; i += W) store(y + i, f(load(x + i)));
    if (i < n) store_some(y + i, f(load_some(x + i, n - i, T(0))), n - i);
}

template <class T> T logarithm(T x) { return log<T>(splat(x))[0]; }

template <class T> const T* row_of(const View& v, i64 row) {
    return reinterpret_cast<const T*>(v.data + row * v.strides[0]);
}

inline bool rows_adjacent(const View& v, i64 size) {
    return v.ndim == 2 && (count(v) == 0 || v.shape[1] == 1 || v.strides[1] == size) &&
           v.strides[0] % size == 0;
}

}  // namespace cr::CR_ISA
