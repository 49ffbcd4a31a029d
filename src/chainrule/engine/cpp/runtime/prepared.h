// Prepared kernel calls: the layouts of operands are computed and checked once. A call on other
// arrays with the same layouts only needs their addresses.
#pragma once
#include <memory>
#include <vector>

#include "runtime/buffers.h"

namespace cr {

class Prepared {
  public:
    // A null kernel means that there is none for arrays with these layouts.
    Prepared(KernelFn kernel, std::vector<i64> ints, std::vector<double> floats)
        : kernel_(kernel), ints_(std::move(ints)), floats_(std::move(floats)) {}

    // The arrays of each call, in order: first those that are read, then those that are written.
    void add_array(const View& like, bool written);
    // An operand of the kernel: a view of one of the arrays; inputs before outputs. False if it
    // extends beyond that array.
    bool add_operand(i64 array, const View& seen);

    bool has_kernel() const { return kernel_; }
    bool of_copies = false;  // there is no kernel, but one for copies of the arrays in C order
    bool takes(const View* arrays, Py_ssize_t count) const;  // the inputs have these layouts
    Status run(char* const* memory) const;  // on the memory of all arrays
    // On a list of all arrays, without releasing Python's lock. None, or the report of an error.
    PyObject* call(PyObject* arrays) const;

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
    Py_ssize_t n_inputs_ = 0;
    int n_in_ = 0;
};

}  // namespace cr
