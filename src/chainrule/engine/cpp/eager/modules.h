// `__call__` of a module (see nn/module.py) without hooks and without a watcher.
#pragma once
#include <Python.h>

namespace cr {

// parts: (_thread, EVERYWHERE, depth, passed, watcher), of which the last are the slots of `_Calls`.
// Null without an error set: the Python code must run, and nothing was done.
PyObject* call_module(PyObject* parts, PyObject* const* arguments, Py_ssize_t count,
                      PyObject* names);

}  // namespace cr
