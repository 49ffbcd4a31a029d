// The calls that release Python's lock, as plain C functions of the Python API.
#pragma once
#include <Python.h>

#include "runtime/call.h"

namespace cr {

// None on success, else (code, problem, position, value, limit, instruction).
PyObject* report(const Status& status, int instruction);

class Program;
// A program runs in one thread at a time; another thread waits. Both calls return NotImplemented
// inside a run of the same program in the same thread.
//
// run(arrays, callback, timed) → None, the times, or the report of an error.
PyObject* run_program(Program& program, PyObject* arrays, PyObject* callback, bool timed);

// As `run_program`, on the arrays that are already bound to the slots.
PyObject* run_bound(Program& program, PyObject* callback, bool timed = false);

// replay(record, arguments) → the results; None if a guard does not hold or the arguments do not
// fit, which changes nothing; or the report of an error. The record is (program, tensor type,
// pattern, limits, watched, state, own, callback, made, answer). `limits` is (firsts, known, apart):
// for each tensor of the arguments the number of the first that is the same one; tensors that are
// no arguments; and a function that says whether an argument shares no numbers with written state,
// or None. `made` tells for each result whether it gets a new array; the others are state. `answer`
// is the slot of a result that is returned as a tensor, or a tuple of such slots for a list of
// tensors. None is for a list of the arrays of all results, with None for those that are state.
constexpr Py_ssize_t REPLAY_RECORD = 10;
PyObject* replay_program(Program& program, PyObject* record, PyObject* arguments);

// The version of a class, which changes with any attribute of the class or of its bases. 0 if Python
// has given it none.
i64 class_version(PyObject* cls);

}  // namespace cr
