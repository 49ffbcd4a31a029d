// These functions are not bound by nanobind. If a daemon thread requests Python's lock while the
// interpreter shuts down, Python ends it by pthread_exit, which unwinds its stack. In `noexcept`
// frames of a binding this would call std::terminate, and the program would crash at its exit.
#include "runtime/doors.h"

#include <vector>

#include "runtime/program.h"

namespace cr {

PyObject* report(const Status& status, int instruction) {
    if (status.code == Code::ok) Py_RETURN_NONE;
    return Py_BuildValue("(isLLLi)", static_cast<int>(status.code), status.problem,
                         static_cast<long long>(status.position),
                         static_cast<long long>(status.value),
                         static_cast<long long>(status.limit), instruction);
}

PyObject* run_program(Program& program, PyObject* arrays, PyObject* callback, bool timed) {
    const Py_ssize_t n = PyList_Check(arrays) ? PyList_GET_SIZE(arrays) : -1;
    if (n != program.slots()) {
        PyErr_SetString(PyExc_ValueError, "a list with one array per slot");
        return nullptr;
    }
    if (program.inside()) Py_RETURN_NOTIMPLEMENTED;
    if (!program.enter()) return nullptr;
    bool bound = true;
    for (Py_ssize_t s = 0; bound && s < n; ++s) bound = program.bind(s, PyList_GET_ITEM(arrays, s));
    PyObject* result = bound ? run_bound(program, callback, timed) : nullptr;
    program.leave();
    return result;
}

PyObject* run_bound(Program& program, PyObject* callback, bool timed) {
    std::vector<double> times(timed ? program.instructions() : 0);
    Program::Outcome outcome;
    Py_BEGIN_ALLOW_THREADS
    outcome = program.run(callback, timed ? times.data() : nullptr);
    Py_END_ALLOW_THREADS
    if (outcome.python_error) return nullptr;
    if (outcome.status.code != Code::ok) return report(outcome.status, outcome.instruction);
    if (!timed) Py_RETURN_NONE;
    PyObject* list = PyList_New(static_cast<Py_ssize_t>(times.size()));
    for (std::size_t i = 0; list && i < times.size(); ++i)
        PyList_SET_ITEM(list, static_cast<Py_ssize_t>(i), PyFloat_FromDouble(times[i]));
    return list;
}

}  // namespace cr
