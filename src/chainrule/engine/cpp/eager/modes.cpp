#include "eager/modes.h"

#include "eager/classes.h"

namespace cr {

PyObject* enter_mode(PyObject* tokens, PyObject* mode) {
    static PyObject* const name = PyUnicode_InternFromString("_switched");
    const Slot entered(tokens);
    const Ref switched = Ref::steal(PyObject_GetAttr(mode, name));  // (outside, inside)
    PyObject* now = nullptr;
    if (!switched || PyContextVar_Get(python.settings, nullptr, &now) != 0) return nullptr;
    const Ref settings = Ref::steal(now);
    if (now != PyTuple_GET_ITEM(switched.get(), 0)) return nullptr;
    PyObject* inside = PyTuple_GET_ITEM(switched.get(), 1);
    const Ref token = Ref::steal(PyContextVar_Set(python.settings, inside));
    if (!token) return nullptr;
    PyObject* others = entered.get(mode);
    Ref all = Ref::steal(PyTuple_Pack(2, token.get(), others ? others : Py_None));
    if (!all) return nullptr;
    entered.set(mode, std::move(all));
    Py_RETURN_NONE;
}

PyObject* leave_mode(PyObject* tokens, PyObject* mode) {
    const Slot entered(tokens);
    const Ref all = Ref::borrow(entered.get(mode));
    if (!all || all.get() == Py_None) return nullptr;
    entered.set(mode, PyTuple_GET_ITEM(all.get(), 1));
    if (PyContextVar_Reset(python.settings, PyTuple_GET_ITEM(all.get(), 0)) != 0) return nullptr;
    Py_RETURN_NONE;
}

}  // namespace cr
