// NumPy's C interface. One file, numpy.cpp, imports it when the module is loaded.
#pragma once
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_1_22_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL chainrule_numpy
#ifndef CR_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

namespace cr {

bool import_numpy();  // false with a Python error set

inline PyArrayObject* as_array(PyObject* object) { return reinterpret_cast<PyArrayObject*>(object); }

// The number of an element type that tensors may have in the machine's byte order, else −1.
inline int type_of(PyArray_Descr* dtype) {
    const int type = dtype->type_num;
    const bool number = PyTypeNum_ISNUMBER(type) || PyTypeNum_ISBOOL(type);
    return number && PyArray_ISNBO(dtype->byteorder) ? type : -1;
}

}  // namespace cr
