#include "eager/words.h"

#include <algorithm>
#include <cstring>

namespace cr {

namespace {

// What kind of value the following words describe.
enum Tag : i64 { NONE, FALSE, TRUE, ELLIPSIS, INTEGER, FLOAT, TEXT, TUPLE, SLICE, DTYPE, SCALAR };

}  // namespace

bool Params::read(PyObject* keys, PyObject* const* given) {
    const Py_ssize_t n = keys ? PyTuple_GET_SIZE(keys) : 0;
    if (n > MOST) return false;
    for (count = 0; count < n; ++count) {
        names[count] = PyTuple_GET_ITEM(keys, count);
        values[count] = given[count];
    }
    return true;
}

bool Params::read(PyObject* dict) {
    if (PyDict_GET_SIZE(dict) > MOST) return false;
    Py_ssize_t position = 0;
    for (count = 0; PyDict_Next(dict, &position, &names[count], &values[count]);) ++count;
    return true;
}

bool Words::describe(const Params& params, PyObject* const* arrays, int count) {
    if (count > MAX_OPERANDS || !put(count)) return false;
    for (int i = 0; i < count; ++i)
        if (!PyArray_Check(arrays[i]) || !add_array(as_array(arrays[i]))) return false;
    for (int i = 0; i < params.count; ++i)
        if (!add_text(params.names[i]) || !add_value(params.values[i])) return false;
    return true;
}

bool Words::add_array(PyArrayObject* array) {
    const int ndim = PyArray_NDIM(array), type = type_of(PyArray_DESCR(array));
    if (type < 0 || ndim > MAX_DIMS) return false;
    if (!put(type | ndim << 8 | PyArray_ISALIGNED(array) << 16)) return false;
    const bool empty = PyArray_SIZE(array) == 0;
    for (int d = 0; d < ndim; ++d) {
        const npy_intp n = PyArray_DIM(array, d);
        // Where there is no second element, the stride does not matter.
        if (!put(n) || !put(empty || n == 1 ? 0 : PyArray_STRIDE(array, d))) return false;
    }
    return true;
}

bool Words::add_value(PyObject* value) {
    if (value == Py_None) return put(NONE);
    if (value == Py_True || value == Py_False) return put(value == Py_True ? TRUE : FALSE);
    if (value == Py_Ellipsis) return put(ELLIPSIS);
    if (PyLong_CheckExact(value)) {
        int overflow;
        const long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
        return !overflow && put(INTEGER) && put(static_cast<i64>(number));
    }
    if (PyFloat_CheckExact(value)) {
        i64 bits;
        const double number = PyFloat_AS_DOUBLE(value);
        std::memcpy(&bits, &number, sizeof bits);
        return put(FLOAT) && put(bits);
    }
    if (PyTuple_Check(value)) return add_sequence(value);
    if (PyUnicode_CheckExact(value)) return put(TEXT) && add_text(value);
    if (PySlice_Check(value)) {
        const auto* slice = reinterpret_cast<PySliceObject*>(value);
        return put(SLICE) && add_value(slice->start) && add_value(slice->stop) &&
               add_value(slice->step);
    }
    if (PyArray_DescrCheck(value)) {
        const int type = type_of(reinterpret_cast<PyArray_Descr*>(value));
        return type >= 0 && put(DTYPE) && put(type);
    }
    return PyArray_CheckScalar(value) && !PyArray_Check(value) && add_scalar(value);
}

// A named tuple is told from others by its class, which the parameters that are kept keep alive.
bool Words::add_sequence(PyObject* tuple) {
    const Py_ssize_t n = PyTuple_GET_SIZE(tuple);
    if (!put(TUPLE) || !put(Py_TYPE(tuple)) || !put(n)) return false;
    for (Py_ssize_t i = 0; i < n; ++i)
        if (!add_value(PyTuple_GET_ITEM(tuple, i))) return false;
    return true;
}

bool Words::add_text(PyObject* text) {
    Py_ssize_t length;
    const char* bytes = PyUnicode_AsUTF8AndSize(text, &length);
    if (!bytes) {
        PyErr_Clear();
        return false;
    }
    if (!put(length)) return false;
    for (Py_ssize_t i = 0; i < length; i += sizeof(i64)) {
        i64 word = 0;
        std::memcpy(&word, bytes + i, std::min<std::size_t>(sizeof word, length - i));
        if (!put(word)) return false;
    }
    return true;
}

bool Words::add_scalar(PyObject* number) {
    PyArray_Descr* dtype = PyArray_DescrFromScalar(number);
    const int type = dtype ? type_of(dtype) : -1;
    const bool small = dtype && PyDataType_ELSIZE(dtype) <= static_cast<npy_intp>(sizeof(i64));
    Py_XDECREF(dtype);
    if (type < 0 || !small) {
        PyErr_Clear();
        return false;
    }
    i64 bits = 0;
    PyArray_ScalarAsCtype(number, &bits);
    return put(SCALAR) && put(type) && put(bits);
}

std::uint64_t Words::hash() const {
    std::uint64_t hash = static_cast<std::uint64_t>(size_);
    for (int i = 0; i < size_; ++i) {
        hash = (hash ^ static_cast<std::uint64_t>(at_[i])) * 0x9E3779B97F4A7C15ull;
        hash ^= hash >> 29;
    }
    return hash;
}

}  // namespace cr
