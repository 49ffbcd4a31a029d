// Views of arrays from Python, by the buffer protocol, without NumPy's headers.
#pragma once
#include <Python.h>

#include "runtime/call.h"

namespace cr {

// An exported buffer: keeps the array and its memory alive until it is released.
class Array {
  public:
    Array() = default;
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;
    ~Array() { release(); }

    // Reads the memory, shape and strides of an array. False, with a Python error set, unless it is
    // aligned, has a dtype that kernels know, and is writable if `writable`.
    bool read(PyObject* object, bool writable, View& view);
    void release();
    PyObject* object() const { return held_ ? buffer_.obj : nullptr; }

  private:
    Py_buffer buffer_{};
    bool held_ = false;
};

// The range of bytes that the view may access, relative to `view.data`. False on overflow.
bool reach(const View& view, i64& lowest, i64& highest);

// Whether both have the same dtype and shape, and the same strides where these matter.
bool same_layout(const View& a, const View& b);

i64 dtype_size(DType type);
bool dtype_named(const char* format, i64 item_size, DType& type);

}  // namespace cr
