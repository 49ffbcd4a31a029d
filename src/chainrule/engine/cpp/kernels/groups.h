// Reductions over adjacent dimensions: a contiguous array is viewed as (outer, n, inner), and each
// column of n numbers is reduced to one.
//
// The work is divided into items, which are some adjacent columns; a piece is a range of items. One
// thread reduces a column from its first number to its last.
#pragma once
#include "kernels/operands.h"
#include "math/vec.h"

namespace cr::CR_ISA {

constexpr i64 COLUMNS = 256;  // in one item, so that their accumulators stay in the L1 cache

struct Groups {
    i64 outer, n, inner, step;  // step: items of a piece

    i64 chunks() const { return (inner + COLUMNS - 1) / COLUMNS; }
    i64 items() const { return outer * chunks(); }
};

struct Item {
    i64 first;  // where its first column begins
    i64 result, columns;
};

template <class F> CR_INLINE void each_item(const Groups& g, i64 piece, F f) {
    const i64 chunks = g.chunks();
    const i64 end = (piece + 1) * g.step < g.items() ? (piece + 1) * g.step : g.items();
    for (i64 i = piece * g.step; i < end; ++i) {
        const i64 o = i / chunks, from = i % chunks * COLUMNS, left = g.inner - from;
        f(Item{o * g.n * g.inner + from, o * g.inner + from, left < COLUMNS ? left : COLUMNS});
    }
}

// Whether x and y of a call lie in order and have just these sizes.
inline bool fits(const Groups& g, const Call& call) {
    return call.n_in == 1 && call.n_out == 1 && g.outer >= 0 && g.n >= 0 && g.inner >= 0 &&
           contiguous(call.in[0]) && contiguous(call.out[0]) &&
           count(call.in[0]) == g.outer * g.n * g.inner &&
           count(call.out[0]) == g.outer * g.inner;
}

// Runs a job, which has `groups`, piece by piece.
template <class J> void run_groups(J& job, double nanoseconds, PieceFn piece) {
    const i64 items = job.groups.items();
    if (items == 0) return;
    const i64 pieces = useful_threads(nanoseconds) == 1 ? 1 : 16;
    job.groups.step = (items + pieces - 1) / pieces;
    run_pieces((items + job.groups.step - 1) / job.groups.step, piece, &job);
}

}  // namespace cr::CR_ISA
