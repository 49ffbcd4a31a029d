#include "eager/shortcut.h"

#include <structmember.h>

#include <cstring>

#include "eager/gateway.h"
#include "eager/modes.h"
#include "eager/modules.h"
#include "eager/update.h"
#include "eager/walk.h"
#include "runtime/doors.h"

namespace cr {

namespace {

struct Shortcut;
using Attempt = PyObject* (*)(Shortcut*, PyObject* const*, Py_ssize_t, PyObject*);

struct Shortcut {
    PyObject_HEAD
    vectorcallfunc call;
    Attempt attempt;  // null without an error set if it does not apply
    PyObject* function;
    PyObject* detail;
};

bool is_record(PyObject* object) { return Py_IS_TYPE(object, python.primitive.type); }

// -- what shortcuts do -----------------------------------------------------------------------------

// The gateway on what `arguments` returned: inputs and parameters. Runs Python's if needed.
PyObject* apply_to(PyObject* record, PyObject* inputs, PyObject* named) {
    const Ref list = Ref::steal(PySequence_Tuple(inputs));
    if (!list) return nullptr;
    const Py_ssize_t count = PyTuple_GET_SIZE(list.get());
    Params params;
    if (count <= MAX_OPERANDS && params.read(named)) {
        PyObject* result = apply(record, &PyTuple_GET_ITEM(list.get(), 0), count, params);
        if (result || PyErr_Occurred()) return result;
    }
    const Ref first = Ref::steal(PyTuple_Pack(1, record));
    const Ref all = Ref::steal(first ? PySequence_Concat(first.get(), list.get()) : nullptr);
    return all ? PyObject_Call(python.apply, all.get(), named) : nullptr;
}

PyObject* call_record(PyObject* record, PyObject* const* arguments, Py_ssize_t count,
                      PyObject* names) {
    for (Py_ssize_t i = 0; names && i < PyTuple_GET_SIZE(names); ++i) {
        PyObject* name = PyTuple_GET_ITEM(names, i);  // Python puts these in their places
        if (PyUnicode_CompareWithASCIIString(name, "input") == 0 ||
            PyUnicode_CompareWithASCIIString(name, "other") == 0)
            return nullptr;
    }
    const Calls* calls = Calls::of(record);
    if (!calls) return nullptr;
    if (!calls->facts.has_arguments) {
        Params params;
        return params.read(names, arguments + count)
                   ? apply(record, arguments, count, params) : nullptr;
    }
    Settings settings;
    if (!settings.read()) return nullptr;
    const Ref function = Ref::steal(PyObject_GetAttrString(record, "arguments"));
    if (!function) return nullptr;
    const Ref pair = Ref::steal(PyObject_Vectorcall(function.get(), arguments, count, names));
    if (!pair) return nullptr;
    if (!PyTuple_Check(pair.get()) || PyTuple_GET_SIZE(pair.get()) != 2 ||
        !PyDict_Check(PyTuple_GET_ITEM(pair.get(), 1))) {
        PyErr_Format(PyExc_TypeError, "`arguments` of %R returns (inputs, parameters)", record);
        return nullptr;
    }
    return apply_to(record, PyTuple_GET_ITEM(pair.get(), 0), PyTuple_GET_ITEM(pair.get(), 1));
}

PyObject* attempt_apply(Shortcut*, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    if (count < 1) return nullptr;
    PyObject* op = arguments[0];
    if (PyUnicode_CheckExact(op)) op = PyDict_GetItemWithError(python.registry, op);
    Params params;
    if (!op || !is_record(op) || !params.read(names, arguments + count)) return nullptr;
    return apply(op, arguments + 1, count - 1, params);
}

PyObject* attempt_operator(Shortcut* self, PyObject* const* arguments, Py_ssize_t count,
                           PyObject* names) {
    PyObject* op = PyDict_GetItemWithError(python.registry, self->detail);
    const Params none{};
    return op && count == 2 && !names ? apply(op, arguments, 2, none) : nullptr;
}

PyObject* attempt_reflected(Shortcut* self, PyObject* const* arguments, Py_ssize_t count,
                            PyObject* names) {
    if (count != 2) return nullptr;
    PyObject* const swapped[] = {arguments[1], arguments[0]};
    return attempt_operator(self, swapped, 2, names);
}

PyObject* attempt_record(Shortcut*, PyObject* const* arguments, Py_ssize_t count,
                         PyObject* names) {
    if (count < 1 || !is_record(arguments[0])) return nullptr;
    return call_record(arguments[0], arguments + 1, count - 1, names);
}

PyObject* attempt_method(Shortcut* self, PyObject* const* arguments, Py_ssize_t count,
                         PyObject* names) {
    PyObject* op = self->detail;
    if (PyUnicode_CheckExact(op)) op = PyDict_GetItemWithError(python.operations, op);
    return op && is_record(op) ? call_record(op, arguments, count, names) : nullptr;
}

PyObject* attempt_tensor(Shortcut*, PyObject* const* arguments, Py_ssize_t count,
                         PyObject* names) {
    if (count != 1 || names || !PyArray_CheckExact(arguments[0])) return nullptr;
    switch (type_of(PyArray_DESCR(as_array(arguments[0])))) {
        case NPY_BOOL: case NPY_BYTE: case NPY_UBYTE: case NPY_SHORT: case NPY_INT: case NPY_LONG:
        case NPY_HALF: case NPY_FLOAT: case NPY_DOUBLE: break;
        default: return nullptr;  // Python code converts it, or raises the error
    }
    return Settings().read() ? make_tensor(Ref::borrow(arguments[0])).release() : nullptr;
}

PyObject* attempt_walk(Shortcut*, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    return names ? nullptr : walk(arguments, count);
}

PyObject* attempt_update(Shortcut*, PyObject* const* arguments, Py_ssize_t count,
                         PyObject* names) {
    return names ? nullptr : update(arguments, count);
}

PyObject* attempt_replay(Shortcut* self, PyObject* const* arguments, Py_ssize_t count,
                         PyObject* names) {
    PyObject* member = self->detail;
    if (names || count < 1 || !PyObject_TypeCheck(arguments[0], PyDescr_TYPE(member)))
        return nullptr;
    const Ref record = Ref::borrow(Slot(member).get(arguments[0]));
    if (!record || record.get() == Py_None) return nullptr;
    return replay_program(record.get(), arguments + 1, count - 1);
}

PyObject* attempt_enter(Shortcut* self, PyObject* const* arguments, Py_ssize_t count,
                        PyObject* names) {
    return names || count != 1 ? nullptr : enter_mode(self->detail, arguments[0]);
}

PyObject* attempt_exit(Shortcut* self, PyObject* const* arguments, Py_ssize_t count,
                       PyObject* names) {
    return names || count != 4 ? nullptr : leave_mode(self->detail, arguments[0]);
}

PyObject* attempt_module(Shortcut* self, PyObject* const* arguments, Py_ssize_t count,
                         PyObject* names) {
    return call_module(self->detail, arguments, count, names);
}

struct Kind {
    const char* name;
    Attempt attempt;
};
constexpr Kind kinds[] = {
    {"apply", attempt_apply},         {"operator", attempt_operator},
    {"reflected", attempt_reflected}, {"record", attempt_record},
    {"method", attempt_method},       {"tensor", attempt_tensor},
    {"walk", attempt_walk},           {"update", attempt_update},
    {"replay", attempt_replay},       {"module", attempt_module},
    {"enter", attempt_enter},         {"exit", attempt_exit},
};

// -- the type --------------------------------------------------------------------------------------

Shortcut* as_shortcut(PyObject* object) { return reinterpret_cast<Shortcut*>(object); }

PyObject* call(PyObject* object, PyObject* const* arguments, std::size_t flags, PyObject* names) {
    Shortcut* self = as_shortcut(object);
    if (python.connected) {
        const Py_ssize_t count = PyVectorcall_NARGS(flags);
        PyObject* result = self->attempt(self, arguments, count, names);
        if (result || PyErr_Occurred()) return result;
    }
    return PyObject_Vectorcall(self->function, arguments, flags, names);
}

PyObject* make(PyTypeObject* type, PyObject* arguments, PyObject*) {
    const char* name;
    PyObject *function, *detail = Py_None;
    if (!PyArg_ParseTuple(arguments, "sO|O", &name, &function, &detail)) return nullptr;
    for (const Kind& kind : kinds) {
        if (std::strcmp(kind.name, name) != 0) continue;
        PyObject* object = type->tp_alloc(type, 0);
        if (!object) return nullptr;
        Shortcut* self = as_shortcut(object);
        self->call = call;
        self->attempt = kind.attempt;
        self->function = Py_NewRef(function);
        self->detail = Py_NewRef(detail);
        return object;
    }
    PyErr_Format(PyExc_ValueError, "there is no shortcut %s", name);
    return nullptr;
}

PyObject* bound(PyObject* self, PyObject* object, PyObject*) {
    return object ? PyMethod_New(self, object) : Py_NewRef(self);
}

PyObject* attribute(PyObject* self, PyObject* name) {
    PyObject* own = PyObject_GenericGetAttr(self, name);
    if (own || !PyErr_ExceptionMatches(PyExc_AttributeError)) return own;
    PyErr_Clear();
    return PyObject_GetAttr(as_shortcut(self)->function, name);
}

PyObject* of_function(PyObject* self, void* name) {
    return PyObject_GetAttrString(as_shortcut(self)->function, static_cast<const char*>(name));
}

PyObject* wrapped(PyObject* self, void*) { return Py_NewRef(as_shortcut(self)->function); }

// A shortcut is pickled and copied by its name, as a function is.
PyObject* reduced(PyObject* self, PyObject*) {
    return PyObject_GetAttrString(as_shortcut(self)->function, "__qualname__");
}

PyObject* text(PyObject* self) { return PyObject_Repr(as_shortcut(self)->function); }

int traverse(PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(as_shortcut(self)->function);
    Py_VISIT(as_shortcut(self)->detail);
    return 0;
}

int clear(PyObject* self) {
    Py_CLEAR(as_shortcut(self)->function);
    Py_CLEAR(as_shortcut(self)->detail);
    return 0;
}

void destroy(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

PyGetSetDef attributes[] = {
    {"__doc__", of_function, nullptr, nullptr, const_cast<char*>("__doc__")},
    {"__module__", of_function, nullptr, nullptr, const_cast<char*>("__module__")},
    {"__wrapped__", wrapped, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyMethodDef methods[] = {
    {"__reduce__", reduced, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Shortcut, call), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};
PyType_Slot slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(make)},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_descr_get, reinterpret_cast<void*>(bound)},
    {Py_tp_getattro, reinterpret_cast<void*>(attribute)},
    {Py_tp_repr, reinterpret_cast<void*>(text)},
    {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(clear)},
    {Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
    {Py_tp_getset, attributes},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {0, nullptr},
};
PyType_Spec spec = {
    "chainrule.engine._native.Shortcut", sizeof(Shortcut), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
        Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_IMMUTABLETYPE,
    slots,
};

}  // namespace

PyObject* make_shortcut_type() { return PyType_FromSpec(&spec); }

}  // namespace cr
