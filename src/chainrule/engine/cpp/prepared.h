// One kernel call, prepared: how its operands lie in the arrays is settled and checked once, so
// that calling it on other arrays of the same layouts only looks where their memory is.
#pragma once
#include <vector>

#include "buffers.h"

namespace cr {

class Prepared {
  public:
    Prepared(KernelFn kernel, std::vector<i64> ints, std::vector<double> floats)
        : kernel_(kernel), ints_(std::move(ints)), floats_(std::move(floats)) {}

    // The arrays of each call, in order: first those that are read, then those that are written.
    void add_array(const View& like, bool written) { arrays_.push_back({like, written}); }
    // An operand of the kernel, as it sees one of the arrays; inputs before outputs. False where it
    // does not lie inside that array.
    bool add_operand(i64 array, const View& seen);

    // Python's lock is held; it is released while the kernel runs. None, or what went wrong; null
    // with a Python error when an array is not what was announced.
    PyObject* call(PyObject* inputs, PyObject* outputs) const;

  private:
    struct Expected {
        View like;
        bool written;
    };
    struct Operand {
        i64 array;
        View seen;
    };
    KernelFn kernel_;
    std::vector<i64> ints_;
    std::vector<double> floats_;
    std::vector<Expected> arrays_;
    std::vector<Operand> operands_;
    int n_in_ = 0;
};

}  // namespace cr
