// The elementwise machine: a chain of elementwise ops, run on tiles that stay in the L1 cache.
//
// NumPy computes y = tanh(a·x + b)·m with four passes over memory. The machine processes the
// elements in tiles, and runs the whole chain on each tile, so intermediate results stay in the
// cache. Its program is a list of instructions on slots; a slot is an input, a constant or a
// register, each one tile long:
//
//     ints = slots of registers, constants, instructions, outputs, then
//            (op, slot to write, slots to read: three) per instruction, (slot) per output
//
// An input whose numbers are adjacent in memory for the length of a tile is read in place; any other
// (broadcast, transposed, of another dtype) is first gathered into a tile. Each op rounds its result
// as a separate op does, so a fused chain has the bits of the separate ops.
#pragma once
#include "kernels/fused_ops.h"
#include "kernels/operands.h"
#include "math/trigonometry.h"

namespace cr::CR_ISA {

// The bounds of a tile. The slots of a short chain share CACHED bytes, which every L1 cache has.
constexpr i64 SHORTEST_TILE = 512, LONGEST_TILE = 2048, CACHED = 32768;
constexpr int MAX_SLOTS = 128;

template <class T> CR_INLINE Vec<T> truth(Mask<T> m) { return from_bits<T>(m); }

// To the nearest integer, ties to even: adding and subtracting 1.5·2^digits drops the fraction.
template <class T> CR_INLINE Vec<T> round_of(Vec<T> x) {
    const T limit = Format<T>::digits == 23 ? T(8388608) : T(4503599627370496.0);
    const Vec<T> size = magnitude<T>(x);
    const Vec<T> near = (size + limit) - limit;
    return size < limit ? with_sign<T>(near, x) : x;
}
template <class T> CR_INLINE Vec<T> floor_of(Vec<T> x) {
    const Vec<T> near = round_of<T>(x);
    return near > x ? near - T(1) : near == T(0) ? with_sign<T>(near, x) : near;
}

// How one input is found in memory, dimensions merged where they are adjacent. A periodic input is
// a short row that repeats, as a bias.
struct Walk {
    const char* data;
    i64 shape[MAX_DIMS], strides[MAX_DIMS];
    int ndim;
    DType dtype;
    enum Kind { in_order, one_number, periodic, in_runs, gathered } kind;
    bool as_truth;

    i64 run() const { return ndim ? shape[ndim - 1] : 1; }  // the length of the last dimension
};

// Where a thread's slots lie: one tile each. `begins` is where in its period the tile of a periodic
// input starts; most tiles start at the same place, and the input is not gathered again.
template <class T> struct Slots {
    T* at[MAX_SLOTS];
    i64 begins[MAX_OPERANDS];
};

template <class T> struct Machine {
    const Call* call;
    const i64* code;     // instructions, five numbers each
    const i64* outputs;  // the slot of each output
    i64 n_registers, n_constants, n_instructions, n_outputs;
    i64 size;            // elements of the iteration space
    i64 room;            // numbers of a slot
    Walk walks[MAX_OPERANDS];
    bool direct[MAX_OPERANDS];  // an output whose register may lie in the output itself

    int n_slots() const { return int(call->n_in + n_constants + n_registers); }

    // Reads and checks the program. `ints` points at the four counts, `left` numbers follow.
    Status prepare(const Call& c, const i64* ints, i64 left, const i64* shape, int ndim);
    // The most rows of n numbers that fit a tile; if possible, they make whole vectors.
    i64 rows_of_tile(i64 n) const;
    // A good length of tiles: whole periods.
    i64 tile() const;
    // Whether the numbers are only read, in place; then tiles may have any length.
    bool reads() const {
        return n_slots() == 1 && n_outputs == 0 && walks[0].kind == Walk::in_order;
    }
    // Lays out the slots in the thread's work space and fills those that never change.
    void begin(Slots<T>& slots) const;
    // Runs the chain on elements [first, first + n) of the iteration space, n ≤ room. Afterwards
    // at[slot] holds each slot's numbers, and the outputs are in memory.
    void run(Slots<T>& slots, i64 first, i64 n) const;
    // Runs all instructions on the first n numbers of the slots, in whole vectors.
    void interpret_all(T* const* at, i64 n) const;
    // Runs them on the `rest` numbers after those, less than a vector. Slots in the arrays themselves
    // have nothing behind these, so they are replaced by copies.
    void run_rest(const Slots<T>& slots, i64 whole, i64 rest) const;
    double cost() const { return 0.02 * n_instructions + 0.05 * (call->n_in + n_outputs); }
};

}  // namespace cr::CR_ISA
