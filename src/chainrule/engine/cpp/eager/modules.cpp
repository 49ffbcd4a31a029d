#include "eager/modules.h"

#include "eager/classes.h"

namespace cr {

namespace {

// Whether an object has hooks. If they cannot be read: true, with an error set.
bool has_hooks(PyObject* object) {
    static PyObject* const name = PyUnicode_InternFromString("_hooks");
    const Ref hooks = Ref::steal(PyObject_GetAttr(object, name));
    return !hooks || PyObject_IsTrue(hooks.get()) != 0;
}

// Notes the shape of what a module returns, for errors. False with an error set.
bool note(PyObject* passed, PyObject* module, PyObject* output) {
    static PyObject* const shape = PyUnicode_InternFromString("shape");
    static PyObject* const shape_of = PyUnicode_InternFromString("_shape_of");
    PyObject* data = is_tensor(output) ? python.tensor.data.get(output) : nullptr;
    const Ref found = Ref::steal(data ? PyObject_GetAttr(data, shape)
                                      : PyObject_CallMethodOneArg(module, shape_of, output));
    const Ref both = Ref::steal(found ? PyTuple_Pack(2, module, found.get()) : nullptr);
    return both && PyList_Append(passed, both.get()) == 0;
}

// Lets the module add to the error that is set, or set another one.
void explain(PyObject* module, PyObject* const* arguments, Py_ssize_t count) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback) PyException_SetTraceback(value, traceback);
    const Ref given = tuple_of(arguments, count);
    const Ref explained = Ref::steal(
        given ? PyObject_CallMethod(module, "_explain", "OO", value, given.get()) : nullptr);
    if (explained) {
        PyErr_Restore(type, value, traceback);
    } else {
        for (PyObject* part : {type, value, traceback}) Py_XDECREF(part);
    }
}

}  // namespace

PyObject* call_module(PyObject* parts, PyObject* const* arguments, Py_ssize_t count,
                      PyObject* names) {
    static PyObject* const module_calls = PyUnicode_InternFromString("module_calls");
    static PyObject* const forward = PyUnicode_InternFromString("forward");
    const Slot depth(PyTuple_GET_ITEM(parts, 2)), passed(PyTuple_GET_ITEM(parts, 3));
    const Slot watcher(PyTuple_GET_ITEM(parts, 4));
    Settings settings;
    if (count < 1 || !settings.read()) return nullptr;
    const Ref calls = Ref::steal(PyObject_GetAttr(PyTuple_GET_ITEM(parts, 0), module_calls));
    if (!calls || watcher.get(calls.get()) != Py_None) return nullptr;
    if (has_hooks(arguments[0]) || has_hooks(PyTuple_GET_ITEM(parts, 1))) return nullptr;
    Ref outside = Ref::borrow(depth.get(calls.get()));
    const long outer = PyLong_AsLong(outside.get());
    depth.set(calls.get(), Ref::steal(PyLong_FromLong(outer + 1)));
    PyObject* list = passed.get(calls.get());
    Ref output = Ref::steal(PyObject_VectorcallMethod(forward, arguments, count, names));
    if (output && outer && !note(list, arguments[0], output.get())) output = Ref();
    if (!output) explain(arguments[0], arguments + 1, count - 1);
    depth.set(calls.get(), std::move(outside));
    const Py_ssize_t steps = outer ? 0 : PyList_GET_SIZE(list);
    if (steps && PyList_SetSlice(list, 0, steps, nullptr) != 0) return nullptr;
    return output.release();
}

}  // namespace cr
