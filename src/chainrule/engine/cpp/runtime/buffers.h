// Views of NumPy's arrays.
#pragma once
#include "runtime/call.h"
#include "runtime/numpy.h"
#include "runtime/ref.h"

namespace cr {

// Keeps an array and its memory alive until it is released.
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
    PyObject* object() const { return array_.get(); }

  private:
    Ref array_;
};

// The range of bytes that the view may access, relative to `view.data`. False on overflow.
bool reach(const View& view, i64& lowest, i64& highest);

// Whether both have the same dtype and shape, and the same strides where these matter.
bool same_layout(const View& a, const View& b);

i64 dtype_size(DType type);
int numpy_type(DType type);
bool dtype_named(const char* format, i64 item_size, DType& type);

}  // namespace cr
