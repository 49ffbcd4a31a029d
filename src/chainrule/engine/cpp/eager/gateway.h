// `apply` of gateway.py for the usual case: tensors and Python numbers, calls that are known, plain
// evaluation by this engine. It gives what the Python code gives: tensors, nodes, aliases.
#pragma once
#include "eager/calls.h"
#include "eager/classes.h"

namespace cr {

// Null without an error set: this call needs the Python code, and nothing was done.
PyObject* apply(PyObject* primitive, PyObject* const* inputs, Py_ssize_t count,
                const Params& params);

// -- tape.cpp --------------------------------------------------------------------------------------

// Adds a node for the outputs, and attaches them to it. False with an error set.
bool record(const Facts& facts, PyObject* primitive, const KnownCall& call, const Refs& tensors,
            const Refs& arrays, PyObject* const* outputs, int count);

// (code, instruction) of the innermost Python frame outside of the package, as `caller` in tape.py.
Ref caller();

// -- aliases.cpp -----------------------------------------------------------------------------------

// Whether no other tensor shares numbers with this one: it is no view, and has no living views and no
// others in its group. False, perhaps with an error set.
bool is_unshared(PyObject* tensor);

// Whether a write to a tensor is allowed and reaches no other. False, perhaps with an error set.
bool is_apart(PyObject* tensor);

// Records that a tensor is a view of another. False with an error set.
bool show(PyObject* view, PyObject* base, PyObject* primitive, const KnownCall& call,
          PyObject* recorded);

}  // namespace cr
