// Kernel calls, prepared: how operands lie in arrays is settled and checked once, so that a call on
// other arrays of the same layouts only looks where their memory is.
#pragma once
#include <memory>
#include <vector>

#include "runtime/buffers.h"

namespace cr {

class Prepared {
  public:
    // Without a kernel it says that there is none for arrays of these layouts.
    Prepared(KernelFn kernel, std::vector<i64> ints, std::vector<double> floats)
        : kernel_(kernel), ints_(std::move(ints)), floats_(std::move(floats)) {}

    // The arrays of each call, in order: first those that are read, then those that are written.
    void add_array(const View& like, bool written);
    // An operand of the kernel, as it sees one of the arrays; inputs before outputs. False where it
    // does not lie inside that array.
    bool add_operand(i64 array, const View& seen);

    bool has_kernel() const { return kernel_; }
    bool of_copies = false;  // without a kernel: there is one for copies of the arrays in order
    bool takes(const View* arrays, Py_ssize_t count) const;  // whether the inputs lie like these
    Status run(char* const* memory) const;  // on the memory of all arrays
    // On a list of all arrays, with Python's lock held all the time. None, or what went wrong.
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

// The calls of one op with certain parameters: one for each combination of layouts it has met.
class Variants {
  public:
    Variants() = default;
    Variants(const Variants&) = delete;
    ~Variants();

    // `spares` holds, for each output, a list of arrays to write into, and a function that makes one.
    void add(const Prepared& call, PyObject* spares);

    // A tuple of the outputs; False for layouts not met before; None where no kernel takes them,
    // NotImplemented where one takes copies in order; a list of what went wrong (see `report`).
    PyObject* evaluate(PyObject* inputs);

  private:
    struct Variant {
        std::shared_ptr<const Prepared> call;
        PyObject* spares;
    };
    std::vector<Variant> variants_;
};

}  // namespace cr
