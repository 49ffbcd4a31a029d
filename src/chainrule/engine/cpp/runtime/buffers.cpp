#include "runtime/buffers.h"

#include <cstring>

namespace cr {

i64 dtype_size(DType type) {
    switch (type) {
        case DType::f64: case DType::i64: return 8;
        case DType::f32: case DType::i32: return 4;
        default: return 1;
    }
}

bool dtype_named(const char* format, i64 item_size, DType& type) {
    if (!format || !*format) return false;
    if (*format == '@' || *format == '=') ++format;
    if (std::strlen(format) != 1) return false;
    switch (*format) {
        case 'f': type = DType::f32; return true;
        case 'd': type = DType::f64; return true;
        case 'l': case 'q': type = item_size == 8 ? DType::i64 : DType::i32; return true;
        case 'i': type = DType::i32; return true;
        case 'B': type = DType::u8; return true;
        case '?': type = DType::boolean; return true;
        default: return false;
    }
}

bool Array::read(PyObject* object, bool writable, View& view) {
    release();
    const int flags = PyBUF_STRIDES | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(object, &buffer_, flags) != 0) return false;
    held_ = true;
    view = View{};
    view.data = static_cast<char*>(buffer_.buf);
    view.ndim = buffer_.ndim;
    const bool known = dtype_named(buffer_.format, buffer_.itemsize, view.dtype);
    if (!known || buffer_.ndim > MAX_DIMS) {
        PyErr_SetString(PyExc_TypeError, "no native kernel takes an array of this dtype");
        release();
        return false;
    }
    const i64 size = dtype_size(view.dtype);
    bool aligned = reinterpret_cast<std::uintptr_t>(view.data) % size == 0;
    for (int d = 0; d < view.ndim; ++d) {
        view.shape[d] = buffer_.shape[d];
        view.strides[d] = buffer_.strides[d];
        aligned = aligned && (buffer_.strides[d] % size == 0 || buffer_.shape[d] < 2);
    }
    if (!aligned) {
        PyErr_SetString(PyExc_ValueError, "the array is not aligned to its elements");
        release();
        return false;
    }
    return true;
}

// Whether the interpreter shuts down: a thread that it ends gets here without Python's lock.
static bool finalizing() {
#if PY_VERSION_HEX >= 0x030d0000
    return Py_IsFinalizing();
#else
    return _Py_IsFinalizing();
#endif
}

void Array::release() {
    if (held_ && !finalizing()) PyBuffer_Release(&buffer_);
    held_ = false;
}

bool reach(const View& view, i64& lowest, i64& highest) {
    lowest = 0;
    highest = dtype_size(view.dtype);
    i64 elements = 1;
    for (int d = 0; d < view.ndim; ++d) {
        if (view.shape[d] < 0) return false;
        if (view.shape[d] == 0) {
            lowest = highest = 0;
            return true;
        }
        i64 steps;
        if (__builtin_mul_overflow(view.shape[d] - 1, view.strides[d], &steps) ||
            __builtin_mul_overflow(elements, view.shape[d], &elements) ||
            __builtin_add_overflow(steps < 0 ? lowest : highest, steps,
                                   steps < 0 ? &lowest : &highest))
            return false;
    }
    return true;
}

bool same_layout(const View& a, const View& b) {
    if (a.dtype != b.dtype || a.ndim != b.ndim) return false;
    bool empty = false, same_strides = true;  // the strides of an empty array do not matter
    for (int d = 0; d < a.ndim; ++d) {
        if (a.shape[d] != b.shape[d]) return false;
        empty = empty || a.shape[d] == 0;
        same_strides = same_strides && (a.strides[d] == b.strides[d] || a.shape[d] == 1);
    }
    return empty || same_strides;
}

}  // namespace cr
