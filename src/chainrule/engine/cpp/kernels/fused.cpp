// `fused`: a chain of elementwise ops over an iteration space, and optional sums or extremes of
// its results, over the last dimensions (rows) or the first ones (columns).
//
//     ints = mode, kept, n_reductions, ndim, shape…, (op, slot) per reduction, machine program
//     floats = the machine's constants, then one divisor per reduction
//
// `kept` is the number of leading dimensions that make up the outer index: in mode `rows` the
// results have that shape and the rest is reduced; in mode `columns` those are reduced.
//
// Sums are computed in float64. Their order depends only on the position inside a reduced row or
// column: a row is divided into blocks of a fixed length, each is summed lane by lane, and the
// blocks are added in order. So the result does not depend on threads and batch size.
#include "kernels/machine.h"

namespace cr::CR_ISA {

namespace {

enum class Mode : i64 { none, rows, columns };
enum class Fold : i64 { sum, maximum, minimum };
constexpr i64 ROW_BLOCK = 16384;
i64 column_block(i64 rows) { return rows > 4096 ? 256 : 64; }  // short columns: enough pieces
constexpr int MAX_REDUCTIONS = 4;

double identity(Fold fold) {
    return fold == Fold::sum ? 0.0 : fold == Fold::maximum ? -__builtin_inf() : __builtin_inf();
}
CR_INLINE double combine(Fold fold, double a, double b) {
    if (fold == Fold::sum) return a + b;
    if (fold == Fold::maximum) return a > b || a != a ? a : b;
    return a < b || a != a ? a : b;
}

// The sum of n numbers: sixteen interleaved chains, so that additions overlap, then a tree.
template <class T> double sum_run(const T* x, i64 n) {
    constexpr int L = 16;
    double lane[L] = {};
    i64 i = 0;
    for (; i + L <= n; i += L)
        for (int l = 0; l < L; ++l) lane[l] += double(x[i + l]);
    for (int l = 0; i < n; ++i, ++l) lane[l] += double(x[i]);
    for (int half = L / 2; half > 0; half /= 2)
        for (int l = 0; l < half; ++l) lane[l] += lane[l + half];
    return lane[0];
}

// The least or the greatest of n numbers, some vectors at a time.
template <class T> double extreme_run(Fold fold, const T* x, i64 n) {
    constexpr int V = 4, W = WIDTH<T>;
    const auto better = [fold](Vec<T> a, Vec<T> b) {
        return fold == Fold::maximum ? larger(a, b) : smaller(a, b);
    };
    Vec<T> best[V];
    for (Vec<T>& b : best) b = splat(T(identity(fold)));
    i64 i = 0;
    for (; i + V * W <= n; i += V * W)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) best[v] = better(best[v], load(x + i + v * W));
    const Vec<T> all = better(better(best[0], best[1]), better(best[2], best[3]));
    double result = identity(fold);
    for (int l = 0; l < W; ++l) result = combine(fold, result, double(all[l]));
    for (; i < n; ++i) result = combine(fold, result, double(x[i]));
    return result;
}

template <class T> double fold_run(Fold fold, const T* x, i64 n) {
    return fold == Fold::sum ? sum_run(x, n) : extreme_run(fold, x, n);
}

template <class T> struct Fused {
    Machine<T> machine;
    Mode mode;
    i64 rows, columns;  // the outer and the inner size of the iteration space
    i64 n_reductions;
    Fold folds[MAX_REDUCTIONS];
    i64 slots[MAX_REDUCTIONS];
    double divisors[MAX_REDUCTIONS];
    double* partial;      // [reduction][block][row] or [reduction][block][column]
    i64 block, blocks;    // each reduced row or column is cut into so many parts of this length
    i64 step;             // elements, rows or column chunks of a piece
    i64 per_tile;         // whole rows that fit a tile
    i64 column_chunks;

    void finish(i64 reduction, i64 at, double value) const {
        const View& out = machine.call->out[machine.n_outputs + reduction];
        const double y = value / divisors[reduction];
        if (out.dtype == DType::f32) data<float>(out)[at] = float(y);
        else data<double>(out)[at] = y;
    }
    void keep(i64 reduction, i64 block, i64 at, double value) const {
        const i64 results = mode == Mode::rows ? rows : columns;
        if (blocks == 1) finish(reduction, at, value);
        else partial[(reduction * blocks + block) * results + at] = value;
    }
};

template <class T> void elementwise_piece(void* context, i64 piece) {
    const Fused<T>& f = *static_cast<Fused<T>*>(context);
    T* at[MAX_SLOTS];
    f.machine.begin(at);
    const i64 from = piece * f.step;
    const i64 to = from + f.step < f.machine.size ? from + f.step : f.machine.size;
    for (i64 i = from; i < to; i += TILE) f.machine.run(at, i, to - i < TILE ? to - i : TILE);
}

// Short rows: several whole rows a tile. Long rows: one block of one row, tile after tile.
template <class T> void rows_piece(void* context, i64 piece) {
    const Fused<T>& f = *static_cast<Fused<T>*>(context);
    T* at[MAX_SLOTS];
    f.machine.begin(at);
    if (f.per_tile > 1) {
        const i64 end = (piece + 1) * f.step < f.rows ? (piece + 1) * f.step : f.rows;
        for (i64 row = piece * f.step; row < end; row += f.per_tile) {
            const i64 n = end - row < f.per_tile ? end - row : f.per_tile;
            f.machine.run(at, row * f.columns, n * f.columns);
            for (i64 r = 0; r < f.n_reductions; ++r)
                for (i64 i = 0; i < n; ++i)
                    f.finish(r, row + i,
                             fold_run(f.folds[r], at[f.slots[r]] + i * f.columns, f.columns));
        }
        return;
    }
    const i64 total = f.rows * f.blocks, first = piece * f.step;
    for (i64 item = first; item < first + f.step && item < total; ++item) {
        const i64 row = item / f.blocks, block = item % f.blocks, from = block * ROW_BLOCK;
        const i64 to = from + ROW_BLOCK < f.columns ? from + ROW_BLOCK : f.columns;
        double value[MAX_REDUCTIONS];
        for (i64 r = 0; r < f.n_reductions; ++r) value[r] = identity(f.folds[r]);
        for (i64 i = from; i < to; i += TILE) {
            const i64 n = to - i < TILE ? to - i : TILE;
            f.machine.run(at, row * f.columns + i, n);
            for (i64 r = 0; r < f.n_reductions; ++r)
                value[r] = combine(f.folds[r], value[r],
                                   fold_run(f.folds[r], at[f.slots[r]], n));
        }
        for (i64 r = 0; r < f.n_reductions; ++r) f.keep(r, block, row, value[r]);
    }
}

template <class T> void accumulate(Fold fold, double* sums, const T* x, i64 n) {
    if (fold == Fold::sum)
        for (i64 i = 0; i < n; ++i) sums[i] += double(x[i]);
    else
        for (i64 i = 0; i < n; ++i) sums[i] = combine(fold, sums[i], double(x[i]));
}

// The address of the numbers of a plain sum, if they need neither a chain nor a conversion.
template <class T> const T* plain(const Fused<T>& f) {
    const Machine<T>& m = f.machine;
    if (m.n_instructions || m.n_outputs || f.n_reductions != 1 || f.folds[0] != Fold::sum) return {};
    const Walk& walk = m.walks[f.slots[0]];
    constexpr DType own = sizeof(T) == 4 ? DType::f32 : DType::f64;
    const bool in_place = f.slots[0] < m.call->n_in && walk.kind == Walk::in_order;
    return in_place && walk.dtype == own ? reinterpret_cast<const T*>(walk.data) : nullptr;
}

// sums[j] = Σ x[i · stride + j] over the rows i, one after the other; in registers all the time.
template <int N, class T>
i64 sum_strips(const T* x, i64 stride, i64 rows, double* sums, i64 j, i64 n) {
    constexpr i64 W = WIDTH<double>;
    typedef T Some __attribute__((vector_size(sizeof(T) * WIDTH<double>), aligned(sizeof(T))));
    for (; j + N * W <= n; j += N * W) {
        Vec<double> sum[N] = {};
        for (i64 i = 0; i < rows; ++i) {
            const T* from = x + i * stride + j;
#pragma GCC unroll 16
            for (i64 v = 0; v < N; ++v) {
                const Some some = *reinterpret_cast<const Some*>(from + v * W);
                sum[v] = sum[v] + __builtin_convertvector(some, Vec<double>);
            }
        }
        for (i64 v = 0; v < N; ++v) store(sums + j + v * W, sum[v]);
    }
    return j;
}
template <class T> void sum_columns(const T* x, i64 stride, i64 rows, double* sums, i64 n) {
    i64 j = sum_strips<CR_REGISTERS / 2>(x, stride, rows, sums, 0, n);
    j = sum_strips<4>(x, stride, rows, sums, j, n);
    for (; j < n; ++j) {
        sums[j] = 0;
        for (i64 i = 0; i < rows; ++i) sums[j] += double(x[i * stride + j]);
    }
}

// A block of rows by a chunk of columns, added up row after row.
template <class T> void columns_piece(void* context, i64 piece) {
    const Fused<T>& f = *static_cast<Fused<T>*>(context);
    T* at[MAX_SLOTS];
    f.machine.begin(at);
    const i64 block = piece / f.column_chunks, from = piece % f.column_chunks * TILE;
    const i64 n = f.columns - from < TILE ? f.columns - from : TILE;
    const i64 end = (block + 1) * f.block < f.rows ? (block + 1) * f.block : f.rows;
    double sums[MAX_REDUCTIONS][TILE];
    if (const T* x = plain(f)) {
        const i64 first = block * f.block;
        sum_columns(x + first * f.columns + from, f.columns, end - first, sums[0], n);
        for (i64 i = 0; i < n; ++i) f.keep(0, block, from + i, sums[0][i]);
        return;
    }
    for (i64 r = 0; r < f.n_reductions; ++r)
        for (i64 i = 0; i < n; ++i) sums[r][i] = identity(f.folds[r]);
    for (i64 row = block * f.block; row < end; row += f.per_tile) {
        const i64 height = end - row < f.per_tile ? end - row : f.per_tile;
        f.machine.run(at, row * f.columns + from, f.per_tile > 1 ? height * n : n);
        for (i64 r = 0; r < f.n_reductions; ++r)
            for (i64 i = 0; i < height; ++i)
                accumulate(f.folds[r], sums[r], at[f.slots[r]] + i * n, n);
    }
    for (i64 r = 0; r < f.n_reductions; ++r)
        for (i64 i = 0; i < n; ++i) f.keep(r, block, from + i, sums[r][i]);
}

// Folds the blocks of all results, in order, into the first one.
template <class T> void add_blocks(const Fused<T>& f, i64 reduction, double* first, i64 results) {
    for (i64 b = 1; b < f.blocks; ++b) {
        const double* next = first + b * results;
        if (f.folds[reduction] == Fold::sum)
            for (i64 i = 0; i < results; ++i) first[i] += next[i];
        else
            for (i64 i = 0; i < results; ++i)
                first[i] = combine(f.folds[reduction], first[i], next[i]);
    }
    for (i64 i = 0; i < results; ++i) f.finish(reduction, i, first[i]);
}

template <class T> Status reduce(Fused<T>& f) {
    const i64 results = f.mode == Mode::rows ? f.rows : f.columns;
    const i64 length = f.mode == Mode::rows ? f.columns : f.rows;
    f.block = f.mode == Mode::rows ? ROW_BLOCK : column_block(f.rows);
    f.blocks = parts(length, f.block);
    if (results == 0) return OK;
    if (f.machine.size == 0) {
        for (i64 r = 0; r < f.n_reductions; ++r)
            for (i64 i = 0; i < results; ++i) f.finish(r, i, identity(f.folds[r]));
        return OK;
    }
    f.partial = nullptr;
    if (f.blocks > 1) {
        const std::size_t wanted = sizeof(double) * f.n_reductions * f.blocks * results;
        f.partial = static_cast<double*>(shared_scratch(wanted));
        if (!f.partial) return NO_MEMORY;
    }
    f.per_tile = f.columns <= TILE ? TILE / f.columns : 1;
    const bool columns_alone = f.mode == Mode::columns && plain(f);
    const double nanoseconds =
        f.machine.size * (columns_alone ? 0.03 : f.machine.cost() + 0.1 * f.n_reductions);
    const bool alone = useful_threads(nanoseconds) == 1;
    if (f.mode == Mode::rows) {
        const i64 items = f.rows * f.blocks;
        f.step = alone ? items : parts(items, 16);
        f.step = parts(f.step, f.per_tile) * f.per_tile;
        run_pieces(parts(items, f.step), rows_piece<T>, &f);
    } else {
        f.column_chunks = parts(f.columns, TILE);
        const i64 pieces = f.blocks * f.column_chunks;
        if (alone)
            for (i64 piece = 0; piece < pieces; ++piece) columns_piece<T>(&f, piece);
        else
            run_pieces(pieces, columns_piece<T>, &f);
    }
    for (i64 r = 0; f.blocks > 1 && r < f.n_reductions; ++r)
        add_blocks(f, r, f.partial + r * f.blocks * results, results);
    return OK;
}

template <class T> Status fused_of(const Call& call) {
    Fused<T> f;
    const i64* ints = call.ints;
    if (call.n_ints < 4) return bad_call("fused: the program is cut off");
    f.mode = Mode(ints[0]);
    const i64 kept = ints[1], ndim = ints[3];
    f.n_reductions = ints[2];
    if (ndim < 0 || ndim > MAX_DIMS || kept < 0 || kept > ndim || f.n_reductions < 0 ||
        f.n_reductions > MAX_REDUCTIONS || call.n_ints < 4 + ndim + 2 * f.n_reductions ||
        (f.mode == Mode::none) != (f.n_reductions == 0))
        return bad_call("fused: a count is out of bounds");
    const i64* shape = ints + 4;
    const i64* folds = shape + ndim;
    const i64* program = folds + 2 * f.n_reductions;
    const Status status =
        f.machine.prepare(call, program, call.ints + call.n_ints - program, shape, int(ndim));
    if (status.code != Code::ok) return status;
    f.rows = f.columns = 1;
    for (i64 d = 0; d < ndim; ++d) (d < kept ? f.rows : f.columns) *= shape[d];
    const i64 results = f.mode == Mode::rows ? f.rows : f.columns;
    if (call.n_out != f.machine.n_outputs + f.n_reductions ||
        call.n_floats != f.machine.n_constants + f.n_reductions)
        return bad_call("fused: outputs or floats are missing");
    for (i64 r = 0; r < f.n_reductions; ++r) {
        f.folds[r] = Fold(folds[2 * r]);
        f.slots[r] = folds[2 * r + 1];
        f.divisors[r] = call.floats[f.machine.n_constants + r];
        const View& out = call.out[f.machine.n_outputs + r];
        if (f.slots[r] < 0 || f.slots[r] >= f.machine.slots() || count(out) != results ||
            !contiguous(out) || (out.dtype != DType::f32 && out.dtype != DType::f64))
            return bad_call("fused: a reduction does not fit its output");
    }
    if (!own_scratch()) return NO_MEMORY;
    if (f.mode != Mode::none) return reduce(f);
    if (f.machine.size == 0) return OK;
    const double nanoseconds = f.machine.size * f.machine.cost();
    const i64 pieces = useful_threads(nanoseconds) == 1 ? 1 : 16;
    f.step = parts(parts(f.machine.size, pieces), TILE) * TILE;
    run_pieces(parts(f.machine.size, f.step), elementwise_piece<T>, &f);
    return OK;
}

}  // namespace

// The arithmetic is in float32 by `fused` and in float64 by `fused64`; inputs of other dtypes are
// converted on the way in.
CR_KERNEL(fused) { return fused_of<float>(call); }
CR_KERNEL(fused64) { return fused_of<double>(call); }

}  // namespace cr::CR_ISA
