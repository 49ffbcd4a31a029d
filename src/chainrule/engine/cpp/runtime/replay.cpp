// One call of a compiled function without Python code: check the guards, find the arrays, bind them
// to the slots, run the program.
//
// It stores nothing between calls: the caller owns all objects (see compiler/native_executable.py).
#include <cstring>

#include "eager/gateway.h"
#include "runtime/doors.h"
#include "runtime/program.h"

namespace cr {

namespace {

enum class Answer { yes, no, error };

// Whether two values are the same object, or equal and of the same type (floats by their bits). An
// instance of `object` stands for a missing value.
Answer equal(PyObject* now, PyObject* then) {
    if (!now) return Py_TYPE(then) == &PyBaseObject_Type ? Answer::yes : Answer::no;
    if (now == then) return Answer::yes;
    if (Py_TYPE(now) != Py_TYPE(then)) return Answer::no;
    if (PyFloat_CheckExact(now)) {
        const double a = PyFloat_AS_DOUBLE(now), b = PyFloat_AS_DOUBLE(then);
        return std::memcmp(&a, &b, sizeof a) ? Answer::no : Answer::yes;
    }
    if (!PyLong_Check(now) && !PyUnicode_CheckExact(now)) return Answer::no;
    const int same = PyObject_RichCompareBool(now, then, Py_EQ);
    return same < 0 ? Answer::error : same ? Answer::yes : Answer::no;
}

// Whether the keys of a dict are still these, in this order, and its elements these values. A key
// without a value has the tuple of keys in place of it. `values` may be null.
Answer same_items(PyObject* dict, PyObject* keys, PyObject* values) {
    if (PyDict_GET_SIZE(dict) != PyTuple_GET_SIZE(keys)) return Answer::no;
    Py_ssize_t at = 0;
    PyObject *key, *element;
    for (Py_ssize_t i = 0; PyDict_Next(dict, &at, &key, &element); ++i) {
        Answer answer = equal(key, PyTuple_GET_ITEM(keys, i));
        PyObject* value = values ? PyTuple_GET_ITEM(values, i) : keys;
        if (answer == Answer::yes && value != keys) answer = equal(element, value);
        if (answer != Answer::yes) return answer;
    }
    return Answer::yes;
}

// Whether a set or deque still has these elements, in this order.
Answer same_elements(PyObject* container, PyObject* elements) {
    const Py_ssize_t n = PyTuple_GET_SIZE(elements), size = PyObject_Size(container);
    if (size < 0) return Answer::error;
    if (size != n) return Answer::no;
    if (!n) return Answer::yes;
    const Ref iterator = Ref::steal(PyObject_GetIter(container));
    if (!iterator) return Answer::error;
    for (Py_ssize_t i = 0; i < n; ++i) {
        const Ref element = Ref::steal(PyIter_Next(iterator.get()));
        if (!element) return PyErr_Occurred() ? Answer::error : Answer::no;
        const Answer answer = equal(element.get(), PyTuple_GET_ITEM(elements, i));
        if (answer != Answer::yes) return answer;
    }
    return Answer::yes;
}

// Whether the code and the defaults of a function are still these.
Answer same_function(PyObject* function, PyObject* code, PyObject* defaults) {
    const auto now = [](PyObject* found) { return found ? found : Py_None; };
    const bool same =
        PyFunction_GET_CODE(function) == code &&
        now(PyFunction_GET_DEFAULTS(function)) == PyTuple_GET_ITEM(defaults, 0) &&
        now(PyFunction_GET_KW_DEFAULTS(function)) == PyTuple_GET_ITEM(defaults, 1);
    return same ? Answer::yes : Answer::no;
}

// Whether an object still has this class, or is the class itself, of this version.
Answer same_class(PyObject* object, PyObject* cls, PyObject* versions) {
    if (object != cls && Py_TYPE(object) != reinterpret_cast<PyTypeObject*>(cls)) return Answer::no;
    const i64 version = PyLong_AsLongLong(PyList_GET_ITEM(versions, 0));
    return version == class_version(cls) ? Answer::yes : Answer::no;
}

// Whether a slot of an object, which a descriptor reads, still has this value.
Answer equal_slot(PyObject* object, PyObject* descriptor, PyObject* value) {
    PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(object));
    const Ref now = Ref::steal(Py_TYPE(descriptor)->tp_descr_get(descriptor, object, type));
    if (!now && !PyErr_ExceptionMatches(PyExc_AttributeError)) return Answer::error;
    if (!now) PyErr_Clear();
    return equal(now.get(), value);
}

PyObject* values_of(PyObject* entry) {
    return PyTuple_GET_SIZE(entry) > 3 ? PyTuple_GET_ITEM(entry, 3) : nullptr;
}

// (container, key, value): whether an entry still holds. Its forms: see compiler/lookup.py. One of
// all elements of a dict is (dict, None, keys, values).
Answer unchanged(PyObject* entry) {
    PyObject *container = PyTuple_GET_ITEM(entry, 0), *key = PyTuple_GET_ITEM(entry, 1);
    PyObject* value = PyTuple_GET_ITEM(entry, 2);
    if (PyCell_Check(container)) return equal(PyCell_GET(container), value);
    if (PyType_Check(key) && PyList_CheckExact(value)) return same_class(container, key, value);
    if (PyCode_Check(key) && PyFunction_Check(container))
        return same_function(container, key, value);
    if (key == Py_None) {
        if (PyTuple_Check(value))
            return PyDict_Check(container)
                       ? same_items(container, value, values_of(entry))
                       : same_elements(container, value);
        const Py_ssize_t n = PyObject_Size(container);
        if (n < 0) return Answer::error;
        return n == PyLong_AsSsize_t(value) ? Answer::yes : Answer::no;
    }
    if (Py_IS_TYPE(key, &PyMemberDescr_Type)) return equal_slot(container, key, value);
    if (PyDict_Check(container)) {
        PyObject* now = PyDict_GetItemWithError(container, key);
        return !now && PyErr_Occurred() ? Answer::error : equal(now, value);
    }
    if (PyLong_CheckExact(key)) {
        const Ref now = Ref::steal(PySequence_GetItem(container, PyLong_AsSsize_t(key)));
        return now ? equal(now.get(), value) : Answer::error;
    }
    const Ref now = Ref::steal(PyObject_GetAttr(container, key));
    return now ? equal(now.get(), value) : Answer::error;
}

// Compares the arguments with their pattern and their limits (see doors.h), and binds the array of
// each tensor to the next slot.
class Arguments {
  public:
    Arguments(Program& program, PyObject* tensor_type, PyObject* limits)
        : program_(program),
          type_(tensor_type),
          firsts_(PyTuple_GET_ITEM(limits, 0)),
          known_(PyTuple_GET_ITEM(limits, 1)),
          apart_(PyTuple_GET_ITEM(limits, 2)),
          seen_(program.arguments) {
        seen_.clear();
    }

    Answer bind(PyObject* pattern, PyObject* value) {
        if (pattern == type_) return bind_tensor(value);
        if (Py_TYPE(pattern) != Py_TYPE(value)) return Answer::no;
        if (PyDict_Check(pattern)) return bind_values(pattern, value);
        const bool tuple = PyTuple_Check(pattern);
        if (!tuple && !PyList_Check(pattern)) return equal(value, pattern);
        const Py_ssize_t n = PySequence_Fast_GET_SIZE(pattern);
        if (PySequence_Fast_GET_SIZE(value) != n) return Answer::no;
        for (Py_ssize_t i = 0; i < n; ++i) {
            const Answer answer = bind(PySequence_Fast_GET_ITEM(pattern, i),
                                       PySequence_Fast_GET_ITEM(value, i));
            if (answer != Answer::yes) return answer;
        }
        return Answer::yes;
    }
    i64 slots() const { return slot_; }

  private:
    Answer bind_values(PyObject* pattern, PyObject* value) {
        if (PyDict_Size(pattern) != PyDict_Size(value)) return Answer::no;
        Py_ssize_t at = 0, here = 0;
        PyObject *key, *inner, *its_key, *its_value;
        while (PyDict_Next(pattern, &at, &key, &inner) &&
               PyDict_Next(value, &here, &its_key, &its_value)) {
            Answer answer = equal(its_key, key);
            if (answer == Answer::yes) answer = bind(inner, its_value);
            if (answer != Answer::yes) return answer;
        }
        return Answer::yes;
    }

    Answer bind_tensor(PyObject* value) {
        if (!PyObject_TypeCheck(value, reinterpret_cast<PyTypeObject*>(type_))) return Answer::no;
        const bool wants = python.tensor.requires_grad.get(value) != Py_False;
        if (wants || slot_ >= program_.slots()) return Answer::no;
        const Answer allowed = within_limits(value);
        if (allowed != Answer::yes) return allowed;
        return program_.bind(slot_++, python.tensor.data.get(value)) ? Answer::yes : Answer::error;
    }

    Answer within_limits(PyObject* tensor) {
        if (slot_ >= PyTuple_GET_SIZE(firsts_)) return Answer::no;
        seen_.push_back(tensor);
        i64 first = 0;
        while (seen_[first] != tensor) ++first;
        if (first != PyLong_AsLongLong(PyTuple_GET_ITEM(firsts_, slot_))) return Answer::no;
        const int is_known = PySet_Contains(known_, tensor);
        if (is_known) return is_known < 0 ? Answer::error : Answer::no;
        if (apart_ == Py_None || is_unshared(tensor)) return Answer::yes;
        if (PyErr_Occurred()) return Answer::error;
        const Ref apart = Ref::steal(PyObject_CallOneArg(apart_, tensor));
        return !apart ? Answer::error : apart.get() == Py_True ? Answer::yes : Answer::no;
    }

    Program& program_;
    PyObject *type_, *firsts_, *known_, *apart_;
    std::vector<PyObject*>& seen_;
    i64 slot_ = 0;
};

enum Role { GRADIENT = 1, WRITTEN = 2, KEPT = 4, PACKED = 8 };

i64 version_of(PyObject* tensor) {
    return PyLong_AsLongLong(python.tensor.version.get(tensor));
}

// (slot, tensor, role): bind the array of the tensor, or of its gradient. If the program writes it,
// or reads it as a transposed copy, no other reference to it may exist: otherwise `own` first gives
// the tensor another array. `own` also updates the copy, if the version of the tensor has changed,
// and it copies an array that is only read but that is not in the order of the plan, such as a view.
Answer bind_state(Program& program, PyObject* entry, PyObject* own, Py_ssize_t number) {
    const i64 slot = PyLong_AsLongLong(PyTuple_GET_ITEM(entry, 0));
    PyObject* tensor = PyTuple_GET_ITEM(entry, 1);
    const long role = PyLong_AsLong(PyTuple_GET_ITEM(entry, 2));
    const bool gradient = role & GRADIENT;
    PyObject* holder = gradient ? python.tensor.grad.get(tensor) : tensor;
    PyObject* array = holder == Py_None ? nullptr : python.tensor.data.get(holder);
    if (!(role & (WRITTEN | PACKED))) {
        if (!array) return Answer::no;
        if (program.bind(slot, array)) return Answer::yes;
        PyErr_Clear();
    } else {
        // References to the array: its tensor, the program, and the executable if it keeps the
        // memory. Reference to a gradient: its tensor.
        const int holders = 2 + (role & KEPT ? 1 : 0);
        const bool alone = array && program.bound(slot) == array && Py_REFCNT(array) == holders &&
                           (!gradient || Py_REFCNT(holder) == 1);
        const bool same = !(role & PACKED) || program.version(slot) == version_of(tensor);
        if (alone && same) return Answer::yes;
    }
    program.release(slot);
    const Ref index = Ref::steal(PyLong_FromSsize_t(number));
    const Ref owned = Ref::steal(index ? PyObject_CallOneArg(own, index.get()) : nullptr);
    if (owned.get() == Py_None) return Answer::no;
    if (role & PACKED) program.version(slot) = version_of(tensor);
    return owned && program.bind(slot, owned.get()) ? Answer::yes : Answer::error;
}

bool raise_version(PyObject* entry) {
    if (PyLong_AsLong(PyTuple_GET_ITEM(entry, 2)) != WRITTEN) return true;
    PyObject* tensor = PyTuple_GET_ITEM(entry, 1);
    Ref next = Ref::steal(PyLong_FromLongLong(version_of(tensor) + 1));
    if (!next) return false;
    python.tensor.version.set(tensor, std::move(next));
    return true;
}

// None for a guard that does not hold. Errors from unsuitable arguments also give None: the Python
// code then raises an error that explains. Others, such as no memory or Ctrl-C, are raised.
PyObject* miss(Answer answer) {
    if (answer == Answer::error) {
        const bool ours = PyErr_ExceptionMatches(PyExc_TypeError) ||
                          PyErr_ExceptionMatches(PyExc_ValueError) ||
                          PyErr_ExceptionMatches(PyExc_BufferError) ||
                          PyErr_ExceptionMatches(PyExc_LookupError) ||
                          PyErr_ExceptionMatches(PyExc_AttributeError);
        if (!ours) return nullptr;
        PyErr_Clear();
    }
    Py_RETURN_NONE;
}

// Binds new arrays to the slots of results, which are the last ones. False with a Python error set.
bool bind_results(Program& program, PyObject* made) {
    const Py_ssize_t n = PyTuple_GET_SIZE(made), first = program.slots() - n;
    for (Py_ssize_t i = 0; i < n; ++i)
        if (PyTuple_GET_ITEM(made, i) == Py_True && !program.bind_new(first + i)) return false;
    return true;
}

// What the call returns; see doors.h.
Ref answer_of(const Program& program, PyObject* made, PyObject* answer) {
    const auto tensor = [&](PyObject* slot) {
        return make_tensor(Ref::borrow(program.bound(PyLong_AsSsize_t(slot))));
    };
    if (PyLong_Check(answer)) return tensor(answer);
    const bool tensors = answer != Py_None;
    const Py_ssize_t n = PyTuple_GET_SIZE(tensors ? answer : made), first = program.slots() - n;
    Ref all = Ref::steal(PyList_New(n));
    for (Py_ssize_t i = 0; all && i < n; ++i) {
        const bool is_new = tensors || PyTuple_GET_ITEM(made, i) == Py_True;
        Ref item = tensors  ? tensor(PyTuple_GET_ITEM(answer, i))
                   : is_new ? Ref::borrow(program.bound(first + i))
                            : Ref::borrow(Py_None);
        if (!item) return item;
        PyList_SET_ITEM(all.get(), i, item.release());
    }
    return all;
}

PyObject* replay(Program& program, PyObject* record, PyObject* arguments) {
    PyObject *type = PyTuple_GET_ITEM(record, 1), *pattern = PyTuple_GET_ITEM(record, 2);
    PyObject *limits = PyTuple_GET_ITEM(record, 3), *watched = PyTuple_GET_ITEM(record, 4);
    PyObject *state = PyTuple_GET_ITEM(record, 5), *own = PyTuple_GET_ITEM(record, 6);
    PyObject* callback = PyTuple_GET_ITEM(record, 7);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(watched); ++i) {
        const Answer answer = unchanged(PyTuple_GET_ITEM(watched, i));
        if (answer != Answer::yes) return miss(answer);
    }
    Arguments leaves(program, type, limits);
    const Answer fitting = leaves.bind(pattern, arguments);
    if (fitting != Answer::yes) return miss(fitting);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(state); ++i) {
        const Answer answer = bind_state(program, PyTuple_GET_ITEM(state, i), own, i);
        if (answer != Answer::yes) return miss(answer);
    }
    PyObject* made = PyTuple_GET_ITEM(record, 8);
    if (!bind_results(program, made)) return nullptr;
    Ref failure = Ref::steal(run_bound(program, callback));
    if (failure.get() != Py_None) return failure.release();
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(state); ++i)
        if (!raise_version(PyTuple_GET_ITEM(state, i))) return nullptr;
    return answer_of(program, made, PyTuple_GET_ITEM(record, 9)).release();
}

}  // namespace

i64 class_version(PyObject* cls) {
    PyTypeObject* type = reinterpret_cast<PyTypeObject*>(cls);
    if (!type->tp_version_tag) {  // a look-up of an attribute assigns one
        const Ref found = Ref::steal(PyObject_GetAttrString(cls, "__init__"));
        if (!found) PyErr_Clear();
    }
    return type->tp_version_tag;
}

PyObject* replay_program(Program& program, PyObject* record, PyObject* arguments) {
    if (program.inside()) Py_RETURN_NOTIMPLEMENTED;
    if (!program.enter()) return nullptr;
    PyObject* outcome = replay(program, record, arguments);
    program.leave();
    return outcome;
}

}  // namespace cr
