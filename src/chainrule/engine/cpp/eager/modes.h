// The blocks of `no_grad` and `enable_grad` (see grad_mode.py).
#pragma once
#include <Python.h>

namespace cr {

// __enter__ and __exit__ of a mode, whose tokens are in the slot `tokens`. Null without an error
// set: the Python code must run, and nothing was done.
PyObject* enter_mode(PyObject* tokens, PyObject* mode);
PyObject* leave_mode(PyObject* tokens, PyObject* mode);

}  // namespace cr
