// `walk` of tape.py: the backward pass.
#pragma once
#include "eager/calls.h"

namespace cr {

// walk(seeds, keep_graph, wrap, targets=None) → a list of (tensor, gradient). Null without an error
// set if the Python code must run.
PyObject* walk(PyObject* const* arguments, Py_ssize_t count);

}  // namespace cr
