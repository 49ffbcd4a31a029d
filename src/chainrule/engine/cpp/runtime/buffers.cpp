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

int numpy_type(DType type) {
    switch (type) {
        case DType::f32: return NPY_FLOAT32;
        case DType::f64: return NPY_FLOAT64;
        case DType::i64: return NPY_INT64;
        case DType::i32: return NPY_INT32;
        case DType::u8: return NPY_UINT8;
        default: return NPY_BOOL;
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

namespace {

// The element type of an array. False if no kernel knows it.
bool dtype_of(PyArrayObject* array, DType& type) {
    switch (type_of(PyArray_DESCR(array))) {
        case NPY_FLOAT: type = DType::f32; return true;
        case NPY_DOUBLE: type = DType::f64; return true;
        case NPY_INT: case NPY_LONG: case NPY_LONGLONG:
            type = PyArray_ITEMSIZE(array) == 8 ? DType::i64 : DType::i32;
            return true;
        case NPY_UBYTE: type = DType::u8; return true;
        case NPY_BOOL: type = DType::boolean; return true;
        default: return false;
    }
}

// Whether the interpreter shuts down: a thread that it ends gets here without Python's lock.
bool finalizing() {
#if PY_VERSION_HEX >= 0x030d0000
    return Py_IsFinalizing();
#else
    return _Py_IsFinalizing();
#endif
}

bool refused(PyObject* kind, const char* problem) {
    PyErr_SetString(kind, problem);
    return false;
}

}  // namespace

bool Array::read(PyObject* object, bool writable, View& view) {
    release();
    view = View{};
    if (!PyArray_Check(object)) return refused(PyExc_TypeError, "kernels take NumPy arrays");
    PyArrayObject* array = as_array(object);
    if (writable && !PyArray_ISWRITEABLE(array))
        return refused(PyExc_ValueError, "the array is read-only");
    view.ndim = PyArray_NDIM(array);
    if (!dtype_of(array, view.dtype) || view.ndim > MAX_DIMS)
        return refused(PyExc_TypeError, "no native kernel takes an array of this dtype");
    view.data = PyArray_BYTES(array);
    const i64 size = dtype_size(view.dtype);
    bool aligned = reinterpret_cast<std::uintptr_t>(view.data) % size == 0;
    for (int d = 0; d < view.ndim; ++d) {
        view.shape[d] = PyArray_DIM(array, d), view.strides[d] = PyArray_STRIDE(array, d);
        aligned = aligned && (view.strides[d] % size == 0 || view.shape[d] < 2);
    }
    if (!aligned) return refused(PyExc_ValueError, "the array is not aligned to its elements");
    array_ = Ref::borrow(object);
    return true;
}

void Array::release() {
    if (finalizing()) array_.release();
    else array_ = Ref();
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
