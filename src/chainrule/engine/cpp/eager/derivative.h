// `derive` of tape.py: the derivative of one node.
#pragma once
#include "eager/calls.h"
#include "eager/classes.h"

namespace cr {

using Gradients = std::vector<Ref>;  // of the outputs of a node; null where none has arrived

inline bool is_node(PyObject* target) { return Py_IS_TYPE(target, python.node.type); }

// The gradients of the inputs, a tuple. Uses up `gradients`. Null with an error set.
Ref derive(PyObject* node, Gradients& gradients, PyObject* needs, PyObject* wrap);

}  // namespace cr
