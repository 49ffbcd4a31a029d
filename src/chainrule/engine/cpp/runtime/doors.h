// The calls that release Python's lock, as plain C functions of the Python API.
#pragma once
#include <Python.h>

#include "runtime/call.h"

namespace cr {

// None on success, else (code, problem, position, value, limit, instruction).
PyObject* report(const Status& status, int instruction);

class Program;
// A program runs in one thread at a time; another thread waits.
//
// run(arrays, callback, timed) → None, the times, or the report of an error; NotImplemented inside a
// run of the same program in the same thread.
PyObject* run_program(Program& program, PyObject* arrays, PyObject* callback, bool timed);

// As `run_program`, on the arrays that are already bound to the slots.
PyObject* run_bound(Program& program, PyObject* callback, bool timed = false);

// The parts of a record: a tuple that says how a compiled function is called.
//   CALLBACK  runs the instruction of a number by its reference
//   SETTINGS  what the settings of the context must be, or ()
//   PATTERN   a tuple like the arguments, in which the class Tensor stands for any tensor
//   LIMITS    (firsts, known, apart): for each tensor of the arguments the number of the first that
//             is the same one; tensors that are no arguments; and a function that says whether an
//             argument shares no numbers with written state, or None
//   FITS      fits(arguments) → whether what is not checked here holds; or None
//   WATCHED   the entries of guards
//   STATE     (slot, tensor, role) of each piece of state
//   OWN       own(number) → an array for that piece of state
//   REFUSE    refuse(report) raises the error of a run that failed
//   MADE      for each result, whether it gets a new array; the others are state
//   ANSWER    the slot of a result that is returned as a tensor, or a tuple of such slots. None is
//             for the arrays of all results, with None for those that are state
//   FINISH    finish(results, arguments) → what the call returns; or None
//   ALWAYS    whether every call is finished so, not only one after `own`
enum Part {
    PROGRAM, CALLBACK, SETTINGS, PATTERN, LIMITS, FITS, WATCHED, STATE, OWN, REFUSE, MADE, ANSWER,
    FINISH, ALWAYS, PARTS
};

// One call of a compiled function: its results. Null without an error set if a guard does not hold
// or the arguments do not fit, which changes nothing.
PyObject* replay_program(PyObject* record, PyObject* const* arguments, Py_ssize_t count);

// The version of a class, which changes with any attribute of the class or of its bases. 0 if Python
// has given it none.
i64 class_version(PyObject* cls);

}  // namespace cr
