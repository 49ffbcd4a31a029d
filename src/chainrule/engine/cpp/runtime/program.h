// A program: a flat list of kernel calls over buffers, run from first to last in one go.
//
// All that can be decided early is: kernels are looked up, views laid out and checked when the
// program is built. Running it binds the arrays of this call to their slots, and then only calls
// functions: nothing is allocated, and Python's lock is not held.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "runtime/buffers.h"

namespace cr {

struct Place {  // where a buffer lies: in a base (the arena, a constant, a slot), at an offset
    int base;
    i64 offset;
    View view;
};

class Program {
  public:
    Program() = default;
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    // Bases known from the start (arena, constants), then slots whose arrays come with each run.
    int add_base(PyObject* array, bool writable);
    int add_slot(const View& like, bool written);
    int add_buffer(const Place& place);
    void add_call(KernelFn kernel, std::vector<int> in, std::vector<int> out,
                  std::vector<i64> ints, std::vector<double> floats);
    void add_callback();  // an instruction that calls back into Python with its number
    void seal();

    // One run at a time. `enter` waits, with Python's lock given back, while another thread runs this
    // program; `inside` says that this thread does.
    bool inside() const;
    bool enter();  // false with a Python error: a signal came while it waited
    void leave() { running_ = false; }

    struct Outcome {
        Status status = OK;
        int instruction = -1;
        bool python_error = false;
    };
    // With Python's lock held: take over the array of a slot. False with a Python error set.
    bool bind(i64 slot, PyObject* array);
    // The array that a slot has now, or null; and letting go of it.
    PyObject* bound(i64 slot) const { return bases_[slots_[slot].base].array->object(); }
    i64& version(i64 slot) { return slots_[slot].version; }  // of what was bound, for the caller
    void release(i64 slot) { bases_[slots_[slot].base].array->release(); }
    // With the lock released; it is taken around `callback` only. Times, if wanted, in seconds.
    Outcome run(PyObject* callback, double* times);

    i64 instructions() const { return static_cast<i64>(calls_.size()); }
    i64 slots() const { return static_cast<i64>(slots_.size()); }
    // From this instruction on a run goes to its end: there, Ctrl-C waits.
    std::size_t committed = SIZE_MAX;
    std::string problem;  // why the last add_… failed; empty when all is well

  private:
    struct Base {
        std::unique_ptr<Array> array;
        char* data;
        i64 bytes;
        bool writable;
    };
    struct Slot {
        View like;
        int base;
        bool written;
        i64 version = -1;
    };
    struct Instruction {
        KernelFn kernel;  // null for a callback
        i64 first_view;
        int n_in, n_out;
        std::vector<i64> ints;
        std::vector<double> floats;
        Call call;
    };
    void refresh(int base);

    bool running_ = false;  // these three are read and written under Python's lock
    std::thread::id runner_;
    unsigned runs_in_ = 0;  // how often the process had forked when the run began

    std::vector<Base> bases_;
    std::vector<Slot> slots_;
    std::vector<Place> buffers_;
    std::vector<int> view_buffers_;  // which buffer each view of an instruction shows
    std::vector<View> views_;
    std::vector<Instruction> calls_;
};

}  // namespace cr
