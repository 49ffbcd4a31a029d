// Arrays from Python as views, through the buffer protocol: no dependency on NumPy's headers.
#pragma once
#include <Python.h>

#include "runtime/call.h"

namespace cr {

// An exported buffer: keeps the array alive and its memory in place until it is let go.
class Array {
  public:
    Array() = default;
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;
    ~Array() { release(); }

    // Reads the array's memory, shape and strides. False, with a Python error set, if it is not an
    // aligned array of a dtype that kernels know, or is read-only when it is to be written.
    bool read(PyObject* object, bool writable, View& view);
    void release();
    PyObject* object() const { return held_ ? buffer_.obj : nullptr; }

  private:
    Py_buffer buffer_{};
    bool held_ = false;
};

// The bytes from `view.data` that the view may touch, relative to it; false on overflow.
bool reach(const View& view, i64& lowest, i64& highest);

// Whether the two have one dtype and shape, and the same strides where these mean anything.
bool same_layout(const View& a, const View& b);

i64 dtype_size(DType type);
bool dtype_named(const char* format, i64 item_size, DType& type);

}  // namespace cr
