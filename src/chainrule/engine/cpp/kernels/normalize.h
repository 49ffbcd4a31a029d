// What normalization and its gradient share. x is (outer, kept, inner), reduced over outer and
// inner: batch norm is (N, C, H·W), layer norm (1, rows, n).
//
// Sums are computed in float64, in an order that depends only on the position in x.
#pragma once
#include "kernels/folds.h"

namespace cr::CR_ISA {

struct Normalization {
    const Call* call;
    i64 outer, kept, inner;
    bool along;  // w and b have one number for each position of inner, not for each kept index
    double epsilon;
    i64 step = 1;   // kept indices of a piece
    i64 group = 1;  // and how many of them are read together

    i64 stride() const { return kept * inner; }  // from a run of inner to the next one
    double size() const { return double(outer) * double(inner); }
    i64 end(i64 piece) const { return least((piece + 1) * step, kept); }
    i64 total() const { return outer * kept * inner; }
    i64 numbers() const { return along ? inner : kept; }  // of w and of b
    bool columns() const { return inner == 1 && outer > 1; }
};

// Whether the sizes are positive, their product can be computed, and w fits.
inline bool sound(const Normalization& job) {
    i64 rest = count(job.call->in[0]);
    for (int i = 0; i < 3; ++i) {
        const i64 n = job.call->ints[i];
        if (n < 1 || rest % n) return false;
        rest /= n;
    }
    return rest == 1 && (!job.along || job.outer == 1);
}

constexpr i64 WIDE_COLUMNS = 64;  // columns that are reduced side by side
constexpr i64 MOST_GROUPED = 16;

// A sum of runs, in sixteen interleaved chains, so that additions overlap, and one of the numbers at
// the end of each run that fill no vector.
struct Sum {
    static constexpr int W = WIDTH<double>, VECTORS = 16 / W;
    Vec<double> chain[VECTORS];
    double rest;

    double total() const {
        Vec<double> tree[VECTORS];
        for (int v = 0; v < VECTORS; ++v) tree[v] = chain[v];
#pragma GCC unroll 4
        for (int half = VECTORS / 2; half > 0; half /= 2)
            for (int v = 0; v < half; ++v) tree[v] += tree[v + half];
        return sum_of_lanes(tree[0]) + rest;
    }
};

// Goes along a run: vectors(position, number of a vector of chains), then single(position).
template <class F, class G> CR_INLINE void along_run(i64 n, F vectors, G single) {
    constexpr int W = Sum::W, V = Sum::VECTORS;
    i64 i = 0;
    for (; i + V * W <= n; i += V * W)
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) vectors(i + v * W, v);
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v)
        if (i + W <= n) vectors(i, v), i += W;
    for (; i < n; ++i) single(i);
}

// Fetches the line of the cache that begins here, if a vector of chains with this number is the first
// in it. So the next run, which is in another page, comes as this one is added up.
template <class T> CR_INLINE void fetch_line(const T* next, int v) {
    if (v * Sum::W % LINE<T> == 0) ask_for(next, 1);
}

// Whether the first n operands are contiguous, of this dtype, with so many elements.
inline bool fit(const View* views, int n, i64 size, DType type) {
    for (int i = 0; i < n; ++i)
        if (!contiguous(views[i]) || views[i].dtype != type || count(views[i]) != size) return false;
    return true;
}

// Runs a piece for so many kept indices that the threads have enough to do. Where runs are short,
// those of several kept indices, which are neighbours, are read together: a processor fetches
// memory ahead within a page only.
inline void run_kept(Normalization& job, double nanoseconds, PieceFn piece) {
    constexpr i64 PAGE = 1024;
    const i64 pieces = useful_threads(nanoseconds) == 1 ? 1 : 16;
    job.step = job.columns() ? WIDE_COLUMNS : parts(job.kept, pieces);
    job.group = least(most(1, PAGE / job.inner), least(job.step, MOST_GROUPED));
    run_pieces(parts(job.kept, job.step), piece, &job);
}

}  // namespace cr::CR_ISA
