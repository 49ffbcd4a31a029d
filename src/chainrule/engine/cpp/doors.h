// The two calls that let go of Python's lock, as plain C functions of the Python API.
#pragma once
#include <Python.h>

namespace cr {

// call(kernel name, inputs, outputs, ints, floats) → None, or what went wrong.
PyObject* call_kernel(PyObject* self, PyObject* const* arguments, Py_ssize_t count);

class Program;
// run(arrays, callback, timed) → None, times, or what went wrong.
PyObject* run_program(Program& program, PyObject* arrays, PyObject* callback, bool timed);

}  // namespace cr
