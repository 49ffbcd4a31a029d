// The step of an optimizer: one update rule for all parameters of a group (see optim/rule.py).
#pragma once
#include <Python.h>

namespace cr {

// update(one, group, states, rule, names, flags) → None. Null without an error set if the Python
// code must run for all parameters. Where it must for one of them, that is what `one` does.
PyObject* update(PyObject* const* arguments, Py_ssize_t count);

}  // namespace cr
