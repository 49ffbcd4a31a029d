// A shortcut: a Python function, and C++ code that does the same for the usual arguments.
//
// A call first tries the C++ code. Where that does not apply (an interpreter stands above, a call is
// seen for the first time, an argument is wrong), it has done nothing, and the Python function runs.
// A shortcut is a method in a class, as a Python function is. Its attributes are the function's.
#pragma once
#include <Python.h>

namespace cr {

// Shortcut(kind, function, detail=None), where the kind says what the C++ code does:
//
//   apply      function(op, *inputs, **params) is the gateway
//   operator   function(a, b) is the op with the name `detail`
//   reflected  function(b, a) is the op with the name `detail`, of (a, b)
//   record     function(record, *args, **kwargs) calls a record
//   method     function(*args, **kwargs) calls `detail`, a record or its name
//   tensor     function(array) is `from_numpy`
//   walk       function(seeds, keep_graph, wrap, targets) is the backward pass
//   update     function(one, group, states, rule, names, flags) is the step of an optimizer
//   replay     function(self, *args) runs the record in the slot `detail` of self (see doors.h)
//   enter      function(mode) begins a block of a mode with its tokens in the slot `detail`
//   exit       function(mode, kind, error, traceback) ends it
//   module     function(self, *args, **kwargs) calls a module (see modules.h for `detail`)
PyObject* make_shortcut_type();  // null with a Python error set

}  // namespace cr
