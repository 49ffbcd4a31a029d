// The calls that let go of Python's lock, as plain C functions of the Python API.
#pragma once
#include <Python.h>

#include "call.h"

namespace cr {

// None when all is well, else (code, problem, position, value, limit, instruction).
PyObject* report(const Status& status, int instruction);

class Program;
// run(arrays, callback, timed) → None, times, or what went wrong.
PyObject* run_program(Program& program, PyObject* arrays, PyObject* callback, bool timed);

// The same on the arrays that are bound to the slots already.
PyObject* run_bound(Program& program, PyObject* callback, bool timed = false);

// replay(tensor type, pattern, watched, state, own, callback, arguments, results) → True; None for
// "not as it was", which changes nothing; or what went wrong.
constexpr int REPLAY_ARGUMENTS = 8;
PyObject* replay_program(Program& program, PyObject* const* arguments);

}  // namespace cr
