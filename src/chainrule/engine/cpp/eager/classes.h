// The Python classes and functions that the eager path works with.
//
// Tensor, Node, Alias, Group, Spec and Primitive are Python classes with `__slots__`. Here their slots
// are read and written in place, which takes a nanosecond. `connect` finds them by name.
#pragma once
#include "runtime/ref.h"

namespace cr {

class Slot {  // one attribute of a class with `__slots__`
  public:
    Slot() = default;
    explicit Slot(PyObject* member);              // of a member descriptor
    bool find(PyObject* type, const char* name);  // false with a Python error set
    // Borrowed; null if the attribute is not set.
    PyObject* get(PyObject* object) const { return at(object); }
    void set(PyObject* object, Ref value) const {
        PyObject* before = std::exchange(at(object), value.release());
        Py_XDECREF(before);
    }
    void set(PyObject* object, PyObject* borrowed) const { set(object, Ref::borrow(borrowed)); }

  private:
    PyObject*& at(PyObject* object) const {
        return *reinterpret_cast<PyObject**>(reinterpret_cast<char*>(object) + offset_);
    }
    Py_ssize_t offset_ = 0;
};

struct TensorClass {
    PyTypeObject* type;
    Slot data, grad, hooks, node, output, requires_grad, version, written, alias;
};
struct NodeClass {
    PyTypeObject* type;
    Slot edges, hooks, input_specs, order, outputs, params, place, primitive, recall, saved, specs;
};
struct AliasClass {
    PyTypeObject* type;
    Slot base, group, params, primitive, recorded, views;
};
struct GroupClass {
    PyTypeObject* type;
    Slot members, why_not;
};
struct SpecClass {
    PyTypeObject* type;
    Slot shape, dtype;
};
struct PrimitiveClass {
    PyTypeObject* type;
    Slot calls;
};

struct Python {
    TensorClass tensor;
    NodeClass node;
    AliasClass alias;
    GroupClass group;
    SpecClass spec;
    PrimitiveClass primitive;
    PyObject* settings;  // the context variable
    PyObject* native;    // the name of this engine in the settings
    PyObject* registry;    // the records by name
    PyObject* operations;  // records and compositions by name
    PyObject* apply;     // the gateway in Python
    PyObject* constant;  // constant(number, dtype) → the array of a Python number
    PyObject* tick;      // the clock of the tape
    PyObject *fitted, *run_hooks, *derive, *as_saved, *expect_each;  // of tape.py
    PyObject* placed;   // the class Placed
    PyObject* package;  // the folder of the package
    PyObject *zero, *one;  // 0, 1
    PyObject* nothing;  // ()
    bool connected;
};
extern Python python;

// Sets `python` from keyword arguments with these names. None, or null with an error set.
PyObject* connect(PyObject* module, PyObject* arguments, PyObject* names);

// The settings of this context, where this engine computes and no interpreter stands above. False
// without an error if it is not so.
struct Settings {
    bool read();
    bool gradients;    // whether ops are recorded on the tape
    Ref as_set;        // `gradients` as Python has it: True, False or None
};

inline bool is_tensor(PyObject* object) {
    return PyObject_TypeCheck(object, python.tensor.type);
}

// A Tensor around an array, as `wrap` in tensor.py makes one. Null with an error set.
Ref make_tensor(Ref array, PyObject* node = nullptr, PyObject* output = nullptr);

}  // namespace cr
