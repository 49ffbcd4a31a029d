// The common part of recurrences: a product with the previous states, followed by a cell.
//
// Forward, a step is hₜ₋₁·Wᵀ followed by gates; backward, duₜ₊₁·W followed by their derivatives.
// In both, rows of the batch are independent, so a thread computes all time steps of some rows:
// there is one parallel region for the whole sequence, and the weights stay in the cache. The
// hidden units are processed in panels of one or two vectors, with all their gates, so that the
// cell reads the results of the product from the L1 cache.
//
// An element's sum runs over k in order, as in every tile: its bits depend on its row alone.
#pragma once
#include "math/vecmath.h"
#include "kernels/gemm.h"
#include "kernels/operands.h"
#include "kernels/pack.h"

namespace cr::CR_ISA {

// (T, N, features) or (N, features), with adjacent features.
template <class T> struct Rows {
    T* data;
    i64 step, row;  // in elements
    T* at(i64 t, i64 n) const { return data + t * step + n * row; }
};
template <class T> Rows<T> rows_of(const View& v) {
    const i64 size = sizeof(T);
    return {data<T>(v), v.ndim == 3 ? v.strides[0] / size : 0, v.strides[v.ndim - 2] / size};
}

// Steps in the order in which time runs.
struct Times {
    i64 steps;
    bool reverse;
    i64 at(i64 s) const { return reverse ? steps - 1 - s : s; }
};

struct Sizes {
    i64 steps, examples, hidden;
};

// Whether v is (T, N, features) or, for steps = 0, (N, features), and as `Rows` takes it.
template <class T> bool is_rows(const View& v, i64 steps, i64 examples, i64 features) {
    const int last = steps ? 2 : 1;
    if (v.ndim != last + 1 || (steps && v.shape[0] != steps) || v.shape[last - 1] != examples ||
        v.shape[last] != features || (features > 1 && v.strides[last] != i64(sizeof(T))))
        return false;
    for (int d = 0; d < last; ++d)
        if (v.strides[d] % i64(sizeof(T))) return false;
    return true;
}

// The weights (rows, columns), of any strides; and a panel of them as the tiles read it.
template <class T> struct Weights {
    const T* data;
    i64 of_k, of_unit, of_gate;  // elements from one to the next
    i64 depth, hidden;
};
template <class T> bool is_weights(const View& v, i64 rows, i64 columns) {
    const i64 size = sizeof(T);
    return v.ndim == 2 && v.shape[0] == rows && v.shape[1] == columns && v.strides[0] % size == 0 &&
           v.strides[1] % size == 0;
}

// What to do for which rows. A cell says GATES and UNITS, the vectors of a panel; `past(s, n)`, the
// rows that round s multiplies, or null where that is nothing; and `finish`, for one row and one
// vector of units, what follows. Rounds begin … end − 1 follow each other in time.
template <class T, class Cell> struct Recurrence {
    Cell cell;
    Weights<T> w;
    T* packed;
    i64 examples, begin, end;
    i64 height;  // rows of a piece
    static constexpr i64 VECTORS = Cell::GATES * Cell::UNITS, W = WIDTH<T>;

    i64 panels() const { return parts(w.hidden, Cell::UNITS * W); }
    i64 panel_size() const { return VECTORS * W * w.depth; }
    i64 units(i64 panel) const {  // vectors of units that a panel has
        return least(Cell::UNITS, parts(w.hidden - panel * Cell::UNITS * W, W));
    }
};

// A panel's vectors two by two, each pair k after k; the last alone if they are odd.
template <class T, class Cell> void pack_piece(void* context, i64 panel) {
    const auto& job = *static_cast<Recurrence<T, Cell>*>(context);
    constexpr i64 W = WIDTH<T>, G = Cell::GATES;
    const Weights<T>& w = job.w;
    const i64 vectors = job.units(panel) * G;
    for (i64 v = 0; v < vectors; ++v) {
        const i64 unit = (panel * Cell::UNITS + v / G) * W;
        const i64 wide = v / 2 * 2 + 1 < vectors ? 2 * W : W;
        pack_strip(w.data + v % G * w.of_gate + unit * w.of_unit, w.of_k, w.of_unit, w.depth,
                   least(W, w.hidden - unit), W, wide,
                   job.packed + panel * job.panel_size() + v / 2 * 2 * W * w.depth + v % 2 * W);
    }
}

// sums[i, v·W …] = Σₖ past[i, k]·packed[k, v·W …] for some rows and all vectors of a panel.
template <class T> void multiply_rows(const T* past, i64 row, i64 depth, const T* packed,
                                      i64 vectors, i64 rows, T* sums) {
    constexpr i64 W = WIDTH<T>;
    Tile<T> t{};
    t.a = past, t.a_row = row, t.a_k = 1, t.depth = depth, t.first = t.last = true;
    t.c_row = vectors * W;
    for (i64 v = 0; v < vectors; v += 2) {
        const bool narrow = v + 1 == vectors;
        t.columns = t.b_k = narrow ? W : 2 * W;
        t.b = packed + v * W * depth, t.c = sums + v * W;
        choose_tile<T>(rows, narrow)(t);
    }
}

template <class T, class Cell> void rows_piece(void* context, i64 piece) {
    const auto& job = *static_cast<Recurrence<T, Cell>*>(context);
    constexpr i64 W = WIDTH<T>, G = Cell::GATES;
    alignas(64) T sums[MAX_ROWS * Recurrence<T, Cell>::VECTORS * W];
    const i64 first = piece * job.height, rows = least(job.height, job.examples - first);
    const i64 chunks = parts(rows, MAX_ROWS);
    for (i64 s = job.begin; s < job.end; ++s)
        for (i64 panel = 0; panel < job.panels(); ++panel) {
            const i64 units = job.units(panel), length = units * G * W;
            const T* packed = job.packed + panel * job.panel_size();
            for (i64 i = 0, n = first; i < chunks; ++i) {
                const i64 height = parts(first + rows - n, chunks - i);
                const Rows<const T> past = job.cell.past(s);
                if (past.data)
                    multiply_rows(past.at(0, n), past.row, job.w.depth, packed, units * G, height,
                                  sums);
                else
                    __builtin_memset(sums, 0, height * length * sizeof(T));
                for (i64 r = 0; r < height; ++r, ++n)
                    for (i64 u = 0; u < units; ++u) {
                        const i64 unit = (panel * Cell::UNITS + u) * W;
                        const T* sum = sums + r * length + u * G * W;
                        if (unit + W <= job.w.hidden)
                            job.cell.template finish<true>(s, n, unit, W, sum);
                        else
                            job.cell.template finish<false>(s, n, unit, job.w.hidden - unit, sum);
                    }
            }
        }
}

// Packs the weights when the rounds are the first ones; then the rounds, rows shared out.
template <class T, class Cell> void run_rounds(Recurrence<T, Cell>& job, bool pack) {
    constexpr i64 MOST = 64, FEWEST = 4;
    const double products = double(Cell::GATES) * job.w.depth * job.w.hidden;
    const double work = (job.end - job.begin) * double(job.examples) *
                        (0.008 * (sizeof(T) / 4) * products + 2.0 * job.w.hidden);
    const int threads = useful_threads(work);
    if (pack && useful_threads(products) > 1) run_pieces(job.panels(), pack_piece<T, Cell>, &job);
    else if (pack) for (i64 j = 0; j < job.panels(); ++j) pack_piece<T, Cell>(&job, j);
    const i64 height = parts(job.examples, threads == 1 ? 1 : 2 * threads);
    job.height = height < FEWEST ? FEWEST : least(height, MOST);
    if (threads > 1) return run_pieces(parts(job.examples, job.height), rows_piece<T, Cell>, &job);
    for (i64 j = 0; j * job.height < job.examples; ++j) rows_piece<T, Cell>(&job, j);
}

// The numbers of a row that a vector of units covers; fewer than WIDTH at the end of the row.
template <bool WHOLE, class T> CR_INLINE Vec<T> get(const T* p, i64 n) {
    if constexpr (WHOLE) return load(p);
    else return load_some(p, n, T(0));
}
template <bool WHOLE, class T> CR_INLINE void put(T* p, Vec<T> v, i64 n) {
    if constexpr (WHOLE) store(p, v);
    else store_some(p, v, n);
}

}  // namespace cr::CR_ISA
