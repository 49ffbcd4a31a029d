// A call of an op as numbers: its parameters, and the types and layouts of its inputs.
//
// Two calls of an op with the same numbers have results of the same specs, and run the same kernel
// or make the same view. So what is found out about the first holds for all (see calls.h).
#pragma once
#include <cstdint>

#include "runtime/call.h"
#include "runtime/numpy.h"

namespace cr {

// The parameters of a call. All references are borrowed.
struct Params {
    static constexpr int MOST = 24;
    bool read(PyObject* names, PyObject* const* values);  // a tuple of names, or null
    bool read(PyObject* dict);
    int count = 0;
    PyObject* names[MOST];
    PyObject* values[MOST];
};

class Words {
  public:
    // False for a call that cannot be told from others by numbers.
    bool describe(const Params& params, PyObject* const* arrays, int count);

    std::uint64_t hash() const;
    const i64* begin() const { return at_; }
    int size() const { return size_; }

  private:
    bool add_array(PyArrayObject* array);
    bool add_value(PyObject* value);
    bool add_sequence(PyObject* tuple);
    bool add_text(PyObject* text);
    bool add_scalar(PyObject* number);
    bool put(i64 word) {
        if (size_ == MOST) return false;
        at_[size_++] = word;
        return true;
    }
    bool put(const void* address) { return put(reinterpret_cast<i64>(address)); }

    static constexpr int MOST = 320;
    int size_ = 0;
    i64 at_[MOST];
};

}  // namespace cr
