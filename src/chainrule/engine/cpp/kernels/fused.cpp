// `fused`: a chain of elementwise ops over an iteration space, and optional sums or extremes of
// its results.
//
//     ints = lead, kept, n_reductions, ndim, shape…, (op, slot) per reduction, machine program
//     floats = the machine's constants, then one divisor per reduction
//
// The first `lead` dimensions are reduced, then come `kept` ones, which are the shape of the
// results, and the rest is reduced. If there is a rest, its numbers are a row: each row is folded by
// itself, and then the rows of one result. If not, rows are added to each other as vectors.
//
// Sums are computed in float64. Their order depends only on the position inside a reduced row or
// column: a row is divided into blocks of a fixed length, each is summed lane by lane, and the
// blocks are added in order. So the result does not depend on threads and batch size.
#include "kernels/folds.h"
#include "kernels/machine.h"

namespace cr::CR_ISA {

namespace {

constexpr i64 ROW_BLOCK = 16384, COLUMNS = 512, MOST_COLUMNS = 2048;
i64 column_block(i64 rows) { return rows > 4096 ? 256 : 64; }  // short columns: enough pieces
constexpr int MAX_REDUCTIONS = 4;

template <class T> struct Fused {
    Machine<T> machine;
    bool in_rows;                // whether the last dimensions are reduced
    i64 lead, results;           // sizes of the leading reduced dimensions and of the kept ones
    i64 rows, columns;           // the outer and the inner size of the iteration space
    i64 n_reductions;
    Fold folds[MAX_REDUCTIONS];
    i64 slots[MAX_REDUCTIONS];
    double divisors[MAX_REDUCTIONS];
    double* partial;             // [reduction][block][row] or [reduction][block][column]
    i64 block, blocks;           // each row or column is cut into so many parts of this length
    i64 step;                    // elements, rows or column chunks of a piece
    i64 tile;                    // elements of a tile, or whole rows where several fit one
    i64 chunk, column_chunks;    // columns of a piece, and into how many such parts rows are cut

    i64 folded() const { return in_rows ? rows : results; }  // what the machine's run leaves
    double* part(i64 reduction, i64 block) const {
        return partial + (reduction * blocks + block) * folded();
    }
    // Writes n results from position `at` on.
    void finish(i64 reduction, i64 at, const double* values, i64 n) const {
        const View& out = machine.call->out[machine.n_outputs + reduction];
        const double divisor = divisors[reduction];
        if (out.dtype == DType::f32)
            for (i64 i = 0; i < n; ++i) data<float>(out)[at + i] = float(values[i] / divisor);
        else
            for (i64 i = 0; i < n; ++i) data<double>(out)[at + i] = values[i] / divisor;
    }
    void keep(i64 reduction, i64 block, i64 at, const double* values, i64 n) const {
        if (!partial) return finish(reduction, at, values, n);
        __builtin_memcpy(part(reduction, block) + at, values, std::size_t(n) * sizeof(double));
    }
};

template <class T> void elementwise_piece(void* context, i64 piece) {
    const Fused<T>& f = *static_cast<Fused<T>*>(context);
    Slots<T> slots;
    f.machine.begin(slots);
    const i64 from = piece * f.step, to = least(from + f.step, f.machine.size);
    for (i64 i = from; i < to; i += f.tile) f.machine.run(slots, i, least(f.tile, to - i));
}

// Short rows: several whole rows a tile.
template <class T> void short_rows_piece(void* context, i64 piece) {
    const Fused<T>& f = *static_cast<Fused<T>*>(context);
    Slots<T> slots;
    f.machine.begin(slots);
    const i64 end = least((piece + 1) * f.step, f.rows);
    for (i64 row = piece * f.step; row < end; row += f.tile) {
        const i64 n = least(f.tile, end - row);
        f.machine.run(slots, row * f.columns, n * f.columns);
        for (i64 r = 0; r < f.n_reductions; ++r) {
            double values[LONGEST_TILE];
            for (i64 i = 0; i < n; ++i) {
                Running running(f.folds[r]);
                fold_part(f.folds[r], running, slots.at[f.slots[r]] + i * f.columns, f.columns);
                values[i] = running.result(f.folds[r]);
            }
            f.keep(r, 0, row, values, n);
        }
    }
}

// Long rows: one block of one row, tile after tile.
template <class T> void long_rows_piece(void* context, i64 piece) {
    const Fused<T>& f = *static_cast<Fused<T>*>(context);
    Slots<T> slots;
    f.machine.begin(slots);
    const i64 end = least((piece + 1) * f.step, f.rows * f.blocks);
    for (i64 item = piece * f.step; item < end; ++item) {
        const i64 row = item / f.blocks, block = item % f.blocks, from = block * ROW_BLOCK;
        const i64 to = least(from + ROW_BLOCK, f.columns);
        Running running[MAX_REDUCTIONS];
        for (i64 r = 0; r < f.n_reductions; ++r) running[r] = Running(f.folds[r]);
        for (i64 i = from; i < to; i += f.tile) {
            const i64 n = least(f.tile, to - i);
            f.machine.run(slots, row * f.columns + i, n);
            for (i64 r = 0; r < f.n_reductions; ++r)
                fold_part(f.folds[r], running[r], slots.at[f.slots[r]], n);
        }
        for (i64 r = 0; r < f.n_reductions; ++r) {
            const double value = running[r].result(f.folds[r]);
            f.keep(r, block, row, &value, 1);
        }
    }
}

// A block of rows by a chunk of columns, added up row after row. Long rows have several tiles.
template <class T> void columns_piece(void* context, i64 piece) {
    const Fused<T>& f = *static_cast<Fused<T>*>(context);
    Slots<T> slots;
    f.machine.begin(slots);
    const i64 block = piece / f.column_chunks, from = piece % f.column_chunks * f.chunk;
    const i64 n = least(f.chunk, f.columns - from), end = least((block + 1) * f.block, f.rows);
    double values[MAX_REDUCTIONS][MOST_COLUMNS];
    for (i64 r = 0; r < f.n_reductions; ++r)
        for (i64 i = 0; i < n; ++i) values[r][i] = identity(f.folds[r]);
    for (i64 row = block * f.block; row < end; row += f.tile) {
        const i64 height = least(f.tile, end - row);
        for (i64 at = 0; at < n; at += f.machine.room) {
            const i64 width = least(f.machine.room, n - at);
            f.machine.run(slots, row * f.columns + from + at, height * width);
            for (i64 r = 0; r < f.n_reductions; ++r)
                fold_rows(f.folds[r], slots.at[f.slots[r]], height, width, values[r] + at);
        }
    }
    for (i64 r = 0; r < f.n_reductions; ++r) f.keep(r, block, from, values[r], n);
}

// Folds the parts of all results: first the blocks of each row or column, then the rows of a result.
template <class T> void fold_parts(const Fused<T>& f, i64 reduction) {
    const i64 n = f.folded();
    const Fold fold = f.folds[reduction];
    double* first = f.part(reduction, 0);
    fold_rows(fold, first + n, f.blocks - 1, n, first);
    fold_rows(fold, first + f.results, n / f.results - 1, f.results, first);
    f.finish(reduction, 0, first, f.results);
}

template <class T> void run_rows(Fused<T>& f, bool alone) {
    const bool several = f.columns <= f.machine.room;
    const bool reads = f.machine.reads();
    f.tile = several ? (reads ? least(LONGEST_TILE, parts(f.rows, 16))
                              : f.machine.rows_of_tile(f.columns))
             : reads ? ROW_BLOCK : f.machine.room;
    const i64 items = f.rows * f.blocks, at_once = several ? f.tile : 1;
    f.step = parts(alone ? items : parts(items, 16), at_once) * at_once;
    run_pieces(parts(items, f.step), several ? short_rows_piece<T> : long_rows_piece<T>, &f);
}

template <class T> void run_columns(Fused<T>& f, int threads) {
    f.tile = f.columns > COLUMNS ? 1 : f.machine.reads() ? f.block
             : f.machine.rows_of_tile(f.columns);
    // Memory delivers whole rows faster than parts of them, where these are enough for all threads.
    f.chunk = threads == 1 || f.blocks >= 4 * threads ? MOST_COLUMNS : COLUMNS;
    f.column_chunks = parts(f.columns, f.chunk);
    const i64 pieces = f.blocks * f.column_chunks;
    if (threads > 1) return run_pieces(pieces, columns_piece<T>, &f);
    for (i64 piece = 0; piece < pieces; ++piece) columns_piece<T>(&f, piece);
}

template <class T> Status reduce(Fused<T>& f) {
    if (f.results == 0) return OK;
    if (f.machine.size == 0) {
        for (i64 r = 0; r < f.n_reductions; ++r)
            for (i64 i = 0; i < f.results; ++i) {
                const double nothing = identity(f.folds[r]);
                f.finish(r, i, &nothing, 1);
            }
        return OK;
    }
    f.block = f.in_rows ? ROW_BLOCK : column_block(f.rows);
    f.blocks = parts(f.in_rows ? f.columns : f.rows, f.block);
    f.partial = nullptr;
    if (f.blocks * f.folded() > f.results) {
        const i64 wanted = i64(sizeof(double)) * f.n_reductions * f.blocks * f.folded();
        f.partial = static_cast<double*>(shared_scratch(std::size_t(wanted)));
        if (!f.partial) return NO_MEMORY;
    }
    const double nanoseconds = f.machine.size * (f.machine.cost() + 0.05 * f.n_reductions);
    const int threads = useful_threads(nanoseconds);
    if (f.in_rows) run_rows(f, threads == 1);
    else run_columns(f, threads);
    for (i64 r = 0; f.partial && r < f.n_reductions; ++r) fold_parts(f, r);
    return OK;
}

template <class T> Status fused_of(const Call& call) {
    Fused<T> f;
    const i64* ints = call.ints;
    if (call.n_ints < 4) return bad_call("fused: the program is cut off");
    const i64 lead = ints[0], kept = ints[1], ndim = ints[3];
    f.n_reductions = ints[2];
    if (ndim < 0 || ndim > MAX_DIMS || lead < 0 || lead > ndim || kept < 0 || kept > ndim - lead ||
        f.n_reductions < 0 || f.n_reductions > MAX_REDUCTIONS ||
        call.n_ints < 4 + ndim + 2 * f.n_reductions)
        return bad_call("fused: a count is out of bounds");
    const i64* shape = ints + 4;
    const i64* folds = shape + ndim;
    const i64* program = folds + 2 * f.n_reductions;
    const Status status =
        f.machine.prepare(call, program, call.ints + call.n_ints - program, shape, int(ndim));
    if (status.code != Code::ok) return status;
    f.lead = f.results = f.columns = 1;
    for (i64 d = 0; d < ndim; ++d)
        (d < lead ? f.lead : d < lead + kept ? f.results : f.columns) *= shape[d];
    f.in_rows = lead + kept < ndim || lead == 0;
    f.rows = f.lead * (f.in_rows ? f.results : 1);
    if (!f.in_rows) f.columns = f.results;
    if (call.n_out != f.machine.n_outputs + f.n_reductions ||
        call.n_floats != f.machine.n_constants + f.n_reductions)
        return bad_call("fused: outputs or floats are missing");
    for (i64 r = 0; r < f.n_reductions; ++r) {
        f.folds[r] = Fold(folds[2 * r]);
        f.slots[r] = folds[2 * r + 1];
        f.divisors[r] = call.floats[f.machine.n_constants + r];
        const View& out = call.out[f.machine.n_outputs + r];
        if (f.slots[r] < 0 || f.slots[r] >= f.machine.n_slots() || count(out) != f.results ||
            !contiguous(out) || (out.dtype != DType::f32 && out.dtype != DType::f64))
            return bad_call("fused: a reduction does not fit its output");
    }
    if (!own_scratch()) return NO_MEMORY;
    if (f.n_reductions) return reduce(f);
    if (f.machine.size == 0) return OK;
    const double nanoseconds = f.machine.size * f.machine.cost();
    const i64 pieces = useful_threads(nanoseconds) == 1 ? 1 : 16;
    f.tile = f.machine.tile();
    f.step = parts(parts(f.machine.size, pieces), f.tile) * f.tile;
    run_pieces(parts(f.machine.size, f.step), elementwise_piece<T>, &f);
    return OK;
}

}  // namespace

// The arithmetic is in float32 by `fused` and in float64 by `fused64`; inputs of other dtypes are
// converted on the way in.
CR_KERNEL(fused) { return fused_of<float>(call); }
CR_KERNEL(fused64) { return fused_of<double>(call); }

}  // namespace cr::CR_ISA
