// Why these are not bound by nanobind: a daemon thread that asks for Python's lock back while the
// interpreter shuts down is ended by pthread_exit, which unwinds its stack. A binding's `noexcept`
// frames would turn that into std::terminate, and the exit of a healthy program into a crash.
#include "doors.h"

#include <vector>

#include "dispatch.h"
#include "pool.h"
#include "program.h"
#include "selection.h"

namespace cr {

namespace {

// None when all is well, else (code, problem, position, value, limit, instruction).
PyObject* report(const Status& status, int instruction) {
    if (status.code == Code::ok) Py_RETURN_NONE;
    return Py_BuildValue("(isLLLi)", static_cast<int>(status.code), status.problem,
                         static_cast<long long>(status.position),
                         static_cast<long long>(status.value),
                         static_cast<long long>(status.limit), instruction);
}

template <class T, class Read> bool numbers(PyObject* object, std::vector<T>& to, Read read) {
    PyObject* items = PySequence_Fast(object, "a kernel's parameters are sequences of numbers");
    if (!items) return false;
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(items);
    to.reserve(n);
    for (Py_ssize_t i = 0; i < n; ++i) to.push_back(read(PySequence_Fast_GET_ITEM(items, i)));
    Py_DECREF(items);
    return !PyErr_Occurred();
}

}  // namespace

PyObject* call_kernel(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 5 || !PyTuple_Check(arguments[1]) || !PyTuple_Check(arguments[2])) {
        PyErr_SetString(PyExc_TypeError, "call(name, inputs, outputs, ints, floats), with tuples");
        return nullptr;
    }
    const char* name = PyUnicode_AsUTF8(arguments[0]);
    if (!name) return nullptr;
    const KernelFn kernel = kernel_named(name);
    const Py_ssize_t n_in = PyTuple_GET_SIZE(arguments[1]), n_out = PyTuple_GET_SIZE(arguments[2]);
    if (!kernel || n_in > MAX_OPERANDS || n_out > MAX_OPERANDS) {
        PyErr_SetString(PyExc_ValueError, kernel ? "too many operands" : "no such kernel");
        return nullptr;
    }
    std::vector<i64> ints;
    std::vector<double> floats;
    if (!numbers(arguments[3], ints, [](PyObject* x) { return i64(PyLong_AsLongLong(x)); }) ||
        !numbers(arguments[4], floats, [](PyObject* x) { return PyFloat_AsDouble(x); }))
        return nullptr;
    Array held[2 * MAX_OPERANDS];
    View views[2 * MAX_OPERANDS];
    for (Py_ssize_t i = 0; i < n_in + n_out; ++i) {
        PyObject* array = i < n_in ? PyTuple_GET_ITEM(arguments[1], i)
                                   : PyTuple_GET_ITEM(arguments[2], i - n_in);
        if (!held[i].read(array, i >= n_in, views[i])) return nullptr;
    }
    const Call call{views, views + n_in, ints.data(), floats.data(),
                    static_cast<std::int32_t>(n_in), static_cast<std::int32_t>(n_out),
                    static_cast<std::int32_t>(ints.size()),
                    static_cast<std::int32_t>(floats.size())};
    Status status;
    Py_BEGIN_ALLOW_THREADS
    status = kernel(call);
    Py_END_ALLOW_THREADS
    return report(status, -1);
}

PyObject* run_program(Program& program, PyObject* arrays, PyObject* callback, bool timed) {
    const Py_ssize_t n = PyList_Check(arrays) ? PyList_GET_SIZE(arrays) : -1;
    if (n != program.slots()) {
        PyErr_SetString(PyExc_ValueError, "a list with one array per slot");
        return nullptr;
    }
    for (Py_ssize_t s = 0; s < n; ++s)
        if (!program.bind(s, PyList_GET_ITEM(arrays, s))) return nullptr;
    return run_bound(program, callback, timed);
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
