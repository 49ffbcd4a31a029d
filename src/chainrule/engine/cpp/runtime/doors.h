// The calls that let go of Python's lock, as plain C functions of the Python API.
#pragma once
#include <Python.h>

#include "runtime/call.h"

namespace cr {

// None when all is well, else (code, problem, position, value, limit, instruction).
PyObject* report(const Status& status, int instruction);

class Program;
// A program runs once at a time: another thread waits. Inside its own run both give NotImplemented.
//
// run(arrays, callback, timed) → None, times, or what went wrong.
PyObject* run_program(Program& program, PyObject* arrays, PyObject* callback, bool timed);

// The same on the arrays that are bound to the slots already.
PyObject* run_bound(Program& program, PyObject* callback, bool timed = false);

// replay(record, arguments), the record (program, tensor type, pattern, watched, state, own, callback,
// spares) → the list of results; None for "not as it was", which changes nothing; or what went
// wrong. `spares` has for each result None, or a list of arrays to write into and what makes one.
constexpr Py_ssize_t REPLAY_RECORD = 8;
PyObject* replay_program(Program& program, PyObject* record, PyObject* arguments);

// An array of the list that only the list holds, else a new one: a new reference, or null.
PyObject* spare(PyObject* list, PyObject* make);

}  // namespace cr
