// `show` of aliases.py.
#include "eager/gateway.h"

namespace cr {

namespace {

constexpr Py_ssize_t BETWEEN_CLEANUPS = 16;

Ref make_alias(PyObject* base, PyObject* primitive, PyObject* params, PyObject* recorded) {
    const AliasClass& as = python.alias;
    Ref alias = Ref::steal(as.type->tp_alloc(as.type, 0));
    Ref views = Ref::steal(PyList_New(0));
    if (!alias || !views) return Ref();
    as.base.set(alias.get(), base);
    as.primitive.set(alias.get(), primitive);
    as.params.set(alias.get(), params);
    as.recorded.set(alias.get(), recorded);
    as.group.set(alias.get(), Py_None);
    as.views.set(alias.get(), std::move(views));
    return alias;
}

// Removes the references to tensors that no longer exist. False with an error set.
bool clean(PyObject* references) {
    const Ref list = Ref::steal(PyList_New(0));
    for (Py_ssize_t i = 0; list && i < PyList_GET_SIZE(references); ++i) {
        const Ref reference = Ref::borrow(PyList_GET_ITEM(references, i));
        const Ref tensor = Ref::steal(PyObject_CallNoArgs(reference.get()));
        if (!tensor || (tensor.get() != Py_None && PyList_Append(list.get(), reference.get()) != 0))
            return false;
    }
    return list && PyList_SetSlice(references, 0, PY_SSIZE_T_MAX, list.get()) == 0;
}

// Whether at most so many tensors of a list of references exist. False, perhaps with an error set.
bool at_most(Py_ssize_t count, PyObject* references) {
    if (PyList_GET_SIZE(references) <= count) return true;
    const Ref kept = Ref::borrow(references);
    return clean(references) && PyList_GET_SIZE(references) <= count;
}

bool add_view(PyObject* base, PyObject* view) {
    Ref alias = Ref::borrow(python.tensor.alias.get(base));
    if (alias.get() == Py_None) {
        alias = make_alias(Py_None, Py_None, Py_None, Py_False);
        if (!alias) return false;
        python.tensor.alias.set(base, alias.get());
    }
    const Ref views = Ref::borrow(python.alias.views.get(alias.get()));
    const bool due = PyList_GET_SIZE(views.get()) % BETWEEN_CLEANUPS == BETWEEN_CLEANUPS - 1;
    if (due && !clean(views.get())) return false;
    const Ref reference = Ref::steal(PyWeakref_NewRef(view, nullptr));
    return reference && PyList_Append(views.get(), reference.get()) == 0;
}

}  // namespace

bool is_unshared(PyObject* tensor) {
    const Ref alias = Ref::borrow(python.tensor.alias.get(tensor));
    if (alias.get() == Py_None) return true;
    const AliasClass& as = python.alias;
    if (as.base.get(alias.get()) != Py_None) return false;
    const Ref group = Ref::borrow(as.group.get(alias.get()));
    return at_most(0, as.views.get(alias.get())) &&
           (group.get() == Py_None || at_most(1, python.group.members.get(group.get())));
}

bool is_apart(PyObject* tensor) {
    if (!is_unshared(tensor)) return false;
    PyObject* alias = python.tensor.alias.get(tensor);
    PyObject* group = alias == Py_None ? Py_None : python.alias.group.get(alias);
    return group == Py_None || python.group.why_not.get(group) == Py_None;
}

bool show(PyObject* view, PyObject* base, PyObject* primitive, const KnownCall& call,
          PyObject* recorded) {
    Ref alias = make_alias(base, primitive, call.params.get(), recorded);
    if (!alias) return false;
    python.tensor.alias.set(view, std::move(alias));
    return add_view(base, view);
}

}  // namespace cr
