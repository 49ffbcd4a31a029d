// A program: a list of kernel calls over buffers, which run one after the other.
//
// Kernels are looked up, and views are computed and checked, when the program is built. A run binds
// the arrays of the call to their slots, and then only calls functions. It allocates nothing, and
// does not hold Python's lock.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "eager/results.h"
#include "runtime/buffers.h"
#include "runtime/trials.h"

namespace cr {

struct Place {  // the place of a buffer: a base (the arena, a constant, a slot), and an offset
    int base;
    i64 offset;
    View view;
};

class Program {
  public:
    Program() = default;
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    // Bases that do not change (arena, constants), then slots, whose arrays are passed to each run.
    int add_base(PyObject* array, bool writable);
    int add_slot(const View& like, bool written);
    int add_buffer(const Place& place);
    void add_call(KernelFn kernel, std::vector<int> in, std::vector<int> out,
                  std::vector<i64> ints, std::vector<double> floats);
    void add_callback();  // an instruction that calls back into Python with its number
    void seal();

    // One run at a time. While another thread runs this program, `enter` releases Python's lock and
    // waits. `inside` is true if this thread runs it.
    bool inside() const;
    bool enter();  // false with a Python error, if a signal arrived while it waited
    void leave() { running_ = false; }

    struct Outcome {
        Status status = OK;
        int instruction = -1;
        bool python_error = false;
    };
    // With Python's lock held: set the array of a slot. False with a Python error set.
    bool bind(i64 slot, PyObject* array);
    // The current array of a slot, or null. `release` drops the reference to it.
    PyObject* bound(i64 slot) const { return bases_[slots_[slot].base].array->object(); }
    // Binds an array for a result: with undefined numbers, and without another reference to it.
    bool bind_new(i64 slot);
    i64& version(i64 slot) { return slots_[slot].version; }  // of the bound tensor; set by callers
    void release(i64 slot) { bases_[slots_[slot].base].array->release(); }
    // With the lock released; it is acquired only for `callback`. `times`, unless null, in seconds.
    Outcome run(PyObject* callback, double* times);

    // Whether an instruction shared its work with other threads in the last run.
    bool shares(i64 instruction) const { return trials_.shares(instruction); }

    i64 instructions() const { return static_cast<i64>(calls_.size()); }
    i64 slots() const { return static_cast<i64>(slots_.size()); }
    // From this instruction on, Ctrl-C does not interrupt a run.
    std::size_t committed = SIZE_MAX;
    std::string problem;  // why the last add_… failed, or empty
    std::vector<PyObject*> arguments;  // the tensors of the present call, borrowed
    bool has_owned = false;  // state has got other arrays since a call was last finished in Python

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
        std::shared_ptr<Arrays> arrays{};  // for results
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

    bool running_ = false;  // these three are read and written with Python's lock held
    std::thread::id runner_;
    unsigned runs_in_ = 0;  // the number of forks before the run began

    std::vector<Base> bases_;
    std::vector<Slot> slots_;
    std::vector<Place> buffers_;
    std::vector<int> view_buffers_;  // the buffer of each view of an instruction
    std::vector<View> views_;
    std::vector<Instruction> calls_;
    Trials trials_;
};

}  // namespace cr
