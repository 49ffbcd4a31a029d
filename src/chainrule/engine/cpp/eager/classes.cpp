#include "eager/classes.h"

#include <structmember.h>

namespace cr {

Python python{};

Slot::Slot(PyObject* member)
    : offset_(reinterpret_cast<PyMemberDescrObject*>(member)->d_member->offset) {}

bool Slot::find(PyObject* type, const char* name) {
    const Ref member = Ref::steal(PyObject_GetAttrString(type, name));
    if (!member) return false;
    if (!Py_IS_TYPE(member.get(), &PyMemberDescr_Type)) {
        PyErr_Format(PyExc_TypeError, "%s is no slot of %R", name, type);
        return false;
    }
    *this = Slot(member.get());
    return true;
}

namespace {

// The class given under a name, and its slots.
template <class Class>
bool find(PyObject* given, const char* name, Class& found,
          std::initializer_list<std::pair<Slot Class::*, const char*>> slots) {
    PyObject* type = PyDict_GetItemString(given, name);
    if (!type || !PyType_Check(type)) {
        PyErr_Format(PyExc_TypeError, "connect takes the class %s", name);
        return false;
    }
    Py_INCREF(type);
    found.type = reinterpret_cast<PyTypeObject*>(type);
    for (const auto& [slot, attribute] : slots)
        if (!(found.*slot).find(type, attribute)) return false;
    return true;
}

bool find(PyObject* given, const char* name, PyObject*& found) {
    PyObject* object = PyDict_GetItemString(given, name);
    if (!object) PyErr_Format(PyExc_TypeError, "connect takes %s", name);
    found = Py_XNewRef(object);
    return object;
}

bool find_classes(PyObject* given) {
    using T = TensorClass;
    using N = NodeClass;
    using A = AliasClass;
    using G = GroupClass;
    using S = SpecClass;
    return find(given, "Tensor", python.tensor,
                {{&T::data, "_data"}, {&T::grad, "_grad"}, {&T::hooks, "_hooks"},
                 {&T::node, "_node"}, {&T::output, "_output"}, {&T::alias, "_alias"},
                 {&T::requires_grad, "_requires_grad"}, {&T::version, "_version"},
                 {&T::written, "_written"}}) &&
           find(given, "Node", python.node,
                {{&N::edges, "edges"}, {&N::hooks, "hooks"}, {&N::input_specs, "input_specs"},
                 {&N::order, "order"}, {&N::outputs, "outputs"}, {&N::params, "params"},
                 {&N::place, "place"}, {&N::primitive, "primitive"}, {&N::recall, "recall"},
                 {&N::saved, "saved"}, {&N::specs, "specs"}}) &&
           find(given, "Alias", python.alias,
                {{&A::base, "base"}, {&A::group, "group"}, {&A::params, "params"},
                 {&A::primitive, "primitive"}, {&A::recorded, "recorded"}, {&A::views, "views"}}) &&
           find(given, "Group", python.group,
                {{&G::members, "members"}, {&G::why_not, "why_not"}}) &&
           find(given, "Spec", python.spec, {{&S::shape, "shape"}, {&S::dtype, "dtype"}}) &&
           find(given, "Primitive", python.primitive, {{&PrimitiveClass::calls, "calls"}});
}

}  // namespace

PyObject* connect(PyObject*, PyObject* arguments, PyObject* given) {
    if (PyTuple_GET_SIZE(arguments) || !given) {
        PyErr_SetString(PyExc_TypeError, "connect takes keyword arguments");
        return nullptr;
    }
    python.native = PyUnicode_InternFromString("native");
    python.zero = PyLong_FromLong(0);
    python.one = PyLong_FromLong(1);
    python.nothing = PyTuple_New(0);
    const bool found = find_classes(given) && find(given, "settings", python.settings) &&
                       find(given, "registry", python.registry) &&
                       find(given, "operations", python.operations) &&
                       find(given, "apply", python.apply) &&
                       find(given, "constant", python.constant) &&
                       find(given, "tick", python.tick) && find(given, "fitted", python.fitted) &&
                       find(given, "run_hooks", python.run_hooks) &&
                       find(given, "derive", python.derive) &&
                       find(given, "as_saved", python.as_saved) &&
                       find(given, "expect_each", python.expect_each) &&
                       find(given, "Placed", python.placed) &&
                       find(given, "package", python.package);
    if (!found) return nullptr;
    python.connected = true;
    Py_RETURN_NONE;
}

bool Settings::read() {
    if (!python.connected) return false;
    PyObject* now = nullptr;
    if (PyContextVar_Get(python.settings, nullptr, &now) != 0 || !now) return false;
    const Ref settings = Ref::steal(now);  // (gradients, own_dtype, interpreter, engine)
    PyObject* engine = PyTuple_GET_ITEM(now, 3);
    if (PyTuple_GET_ITEM(now, 2) != Py_None) return false;
    if (engine != python.native && PyUnicode_Compare(engine, python.native) != 0) return false;
    as_set = Ref::borrow(PyTuple_GET_ITEM(now, 0));
    gradients = as_set.get() == Py_True;
    return true;
}

Ref make_tensor(Ref array, PyObject* node, PyObject* output) {
    const TensorClass& as = python.tensor;
    Ref made = Ref::steal(as.type->tp_alloc(as.type, 0));
    if (!made) return made;
    PyObject* tensor = made.get();
    as.data.set(tensor, std::move(array));
    for (const Slot* slot : {&as.grad, &as.hooks, &as.written, &as.alias}) slot->set(tensor, Py_None);
    as.node.set(tensor, node ? node : Py_None);
    as.output.set(tensor, output ? output : python.zero);
    as.version.set(tensor, python.zero);
    as.requires_grad.set(tensor, node ? Py_True : Py_False);
    return made;
}

}  // namespace cr
