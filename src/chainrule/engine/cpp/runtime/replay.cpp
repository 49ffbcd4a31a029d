// One call of a compiled function without Python code: check the guards, find the arrays, bind them
// to the slots, run the program.
//
// It stores nothing between calls: the caller owns all objects (see compiler/native_executable.py).
#include <nanobind/nanobind.h>
#include <structmember.h>

#include <cstring>

#include "eager/gateway.h"
#include "runtime/doors.h"
#include "runtime/program.h"

namespace cr {

namespace {

enum class Answer { yes, no, error };

// Whether two values are the same object, or equal and of the same type (floats by their bits). An
// instance of `object` stands for a missing value.
Answer equal_values(PyObject* now, PyObject* then) {
    if (!now) return Py_TYPE(then) == &PyBaseObject_Type ? Answer::yes : Answer::no;
    if (Py_TYPE(now) != Py_TYPE(then)) return Answer::no;
    if (PyFloat_CheckExact(now)) {
        const double a = PyFloat_AS_DOUBLE(now), b = PyFloat_AS_DOUBLE(then);
        return std::memcmp(&a, &b, sizeof a) ? Answer::no : Answer::yes;
    }
    if (!PyLong_Check(now) && !PyUnicode_CheckExact(now)) return Answer::no;
    const int same = PyObject_RichCompareBool(now, then, Py_EQ);
    return same < 0 ? Answer::error : same ? Answer::yes : Answer::no;
}

inline Answer equal(PyObject* now, PyObject* then) {
    return now == then ? Answer::yes : equal_values(now, then);
}

// Whether the keys of a dict are still these, in this order, and its elements these values. A key
// without a value has the tuple of keys in place of it. `values` may be None.
Answer same_items(PyObject* dict, PyObject* keys, PyObject* values) {
    const Py_ssize_t n = PyTuple_GET_SIZE(keys);
    if (PyDict_GET_SIZE(dict) != n) return Answer::no;
    Py_ssize_t at = 0;
    PyObject *key, *element;
    for (Py_ssize_t i = 0; i < n && PyDict_Next(dict, &at, &key, &element); ++i) {
        Answer answer = equal(key, PyTuple_GET_ITEM(keys, i));
        PyObject* value = values != Py_None ? PyTuple_GET_ITEM(values, i) : keys;
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

bool is_plain_slot(PyObject* descriptor) {
    return reinterpret_cast<PyMemberDescrObject*>(descriptor)->d_member->type == T_OBJECT_EX;
}

// Whether a slot of an object, which a descriptor reads, still has this value.
Answer equal_slot(PyObject* object, PyObject* descriptor, PyObject* value) {
    if (PyObject_TypeCheck(object, PyDescr_TYPE(descriptor)) && is_plain_slot(descriptor))
        return equal(Slot(descriptor).get(object), value);
    PyObject* type = reinterpret_cast<PyObject*>(Py_TYPE(object));
    const Ref now = Ref::steal(Py_TYPE(descriptor)->tp_descr_get(descriptor, object, type));
    if (!now && !PyErr_ExceptionMatches(PyExc_AttributeError)) return Answer::error;
    if (!now) PyErr_Clear();
    return equal(now.get(), value);
}

// Whether an entry still holds: container, key, value, values. Its forms: see compiler/lookup.py.
Answer unchanged(PyObject* const* entry) {
    PyObject *container = entry[0], *key = entry[1], *value = entry[2];
    if (PyCell_Check(container)) return equal(PyCell_GET(container), value);
    if (PyType_Check(key) && PyList_CheckExact(value)) return same_class(container, key, value);
    if (PyCode_Check(key) && PyFunction_Check(container))
        return same_function(container, key, value);
    if (key == Py_None) {
        if (PyTuple_Check(value))
            return PyDict_Check(container)
                       ? same_items(container, value, entry[3])
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

PyObject* part(PyObject* record, Part number) { return PyTuple_GET_ITEM(record, number); }

// Whether the settings of the context are these.
Answer are_current(PyObject* settings) {
    PyObject* now = nullptr;
    if (PyContextVar_Get(python.settings, nullptr, &now) != 0) return Answer::error;
    const Ref held = Ref::steal(now);
    Answer answer = Answer::yes;
    for (Py_ssize_t i = 0; answer == Answer::yes && i < PyTuple_GET_SIZE(settings); ++i)
        answer = equal(PyTuple_GET_ITEM(now, i), PyTuple_GET_ITEM(settings, i));
    return answer;
}

// Compares the arguments with their pattern and their limits (see doors.h), and binds the array of
// each tensor to the next slot.
class Arguments {
  public:
    Arguments(Program& program, PyObject* limits)
        : program_(program),
          firsts_(PyTuple_GET_ITEM(limits, 0)),
          known_(PyTuple_GET_ITEM(limits, 1)),
          apart_(PyTuple_GET_ITEM(limits, 2)),
          seen_(program.arguments) {
        seen_.clear();
    }

    Answer bind_each(PyObject* const* patterns, PyObject* const* values, Py_ssize_t count) {
        Answer answer = Answer::yes;
        for (Py_ssize_t i = 0; answer == Answer::yes && i < count; ++i)
            answer = bind(patterns[i], values[i]);
        return answer;
    }

  private:
    Answer bind(PyObject* pattern, PyObject* value) {
        if (pattern == reinterpret_cast<PyObject*>(python.tensor.type)) return bind_tensor(value);
        if (Py_TYPE(pattern) != Py_TYPE(value)) return Answer::no;
        if (PyDict_Check(pattern)) return bind_values(pattern, value);
        const bool tuple = PyTuple_Check(pattern);
        if (!tuple && !PyList_Check(pattern)) return equal(value, pattern);
        const Py_ssize_t n = PySequence_Fast_GET_SIZE(pattern);
        if (PySequence_Fast_GET_SIZE(value) != n) return Answer::no;
        return bind_each(PySequence_Fast_ITEMS(pattern), PySequence_Fast_ITEMS(value), n);
    }

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
        if (!is_tensor(value)) return Answer::no;
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
    PyObject *firsts_, *known_, *apart_;
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
    program.has_owned = true;
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

// Whether an answer is yes. Errors from unsuitable arguments count as no: the Python code then raises
// an error that explains. Others, such as no memory or Ctrl-C, stay set.
bool is_yes(Answer answer) {
    if (answer == Answer::error &&
        (PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_ValueError) ||
         PyErr_ExceptionMatches(PyExc_BufferError) || PyErr_ExceptionMatches(PyExc_LookupError) ||
         PyErr_ExceptionMatches(PyExc_AttributeError)))
        PyErr_Clear();
    return answer == Answer::yes;
}

// Binds new arrays to the slots of results, which are the last ones. False with a Python error set.
bool bind_results(Program& program, PyObject* made) {
    const Py_ssize_t n = PyTuple_GET_SIZE(made), first = program.slots() - n;
    for (Py_ssize_t i = 0; i < n; ++i)
        if (PyTuple_GET_ITEM(made, i) == Py_True && !program.bind_new(first + i)) return false;
    return true;
}

// The results of a run; see doors.h.
Ref results_of(const Program& program, PyObject* made, PyObject* answer) {
    const auto tensor = [&](PyObject* slot) {
        return make_tensor(Ref::borrow(program.bound(PyLong_AsSsize_t(slot))));
    };
    if (PyLong_Check(answer)) return tensor(answer);
    const bool tensors = answer != Py_None;
    const Py_ssize_t n = PyTuple_GET_SIZE(tensors ? answer : made), first = program.slots() - n;
    Ref all = Ref::steal(PyTuple_New(n));
    for (Py_ssize_t i = 0; all && i < n; ++i) {
        const bool is_new = tensors || PyTuple_GET_ITEM(made, i) == Py_True;
        Ref item = tensors  ? tensor(PyTuple_GET_ITEM(answer, i))
                   : is_new ? Ref::borrow(program.bound(first + i))
                            : Ref::borrow(Py_None);
        if (!item) return item;
        PyTuple_SET_ITEM(all.get(), i, item.release());
    }
    return all;
}

// Whether the guards hold and the arguments fit. If so, all arrays are bound.
bool prepare(Program& program, PyObject* record, PyObject* const* arguments) {
    PyObject *pattern = part(record, PATTERN), *watched = part(record, WATCHED);
    PyObject *state = part(record, STATE), *own = part(record, OWN);
    Arguments leaves(program, part(record, LIMITS));
    Answer answer = leaves.bind_each(&PyTuple_GET_ITEM(pattern, 0), arguments,
                                     PyTuple_GET_SIZE(pattern));
    for (Py_ssize_t i = 0; answer == Answer::yes && i < PyTuple_GET_SIZE(watched); i += 4)
        answer = unchanged(&PyTuple_GET_ITEM(watched, i));
    for (Py_ssize_t i = 0; answer == Answer::yes && i < PyTuple_GET_SIZE(state); ++i)
        answer = bind_state(program, PyTuple_GET_ITEM(state, i), own, i);
    return is_yes(answer) && bind_results(program, part(record, MADE));
}

// Removes new gradients, which may be partially written.
void clear_gradients(PyObject* state) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(state); ++i) {
        PyObject* entry = PyTuple_GET_ITEM(state, i);
        if (PyLong_AsLong(PyTuple_GET_ITEM(entry, 2)) & KEPT)
            python.tensor.grad.set(PyTuple_GET_ITEM(entry, 1), Py_None);
    }
    PyErr_Restore(type, value, traceback);
}

// A run on the bound arrays: its results.
Ref run(Program& program, PyObject* record) {
    PyObject* state = part(record, STATE);
    const Ref failure = Ref::steal(run_bound(program, part(record, CALLBACK)));
    if (failure.get() != Py_None) {
        clear_gradients(state);
        return failure ? Ref::steal(PyObject_CallOneArg(part(record, REFUSE), failure.get()))
                       : Ref();
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(state); ++i)
        if (!raise_version(PyTuple_GET_ITEM(state, i))) return Ref();
    return results_of(program, part(record, MADE), part(record, ANSWER));
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

PyObject* replay_program(PyObject* record, PyObject* const* arguments, Py_ssize_t count) {
    if (count != PyTuple_GET_SIZE(part(record, PATTERN))) return nullptr;
    if (!is_yes(are_current(part(record, SETTINGS)))) return nullptr;
    PyObject *fits = part(record, FITS), *finish = part(record, FINISH);
    if (fits != Py_None) {
        const Ref given = tuple_of(arguments, count);
        const Ref fitting = Ref::steal(given ? PyObject_CallOneArg(fits, given.get()) : nullptr);
        if (fitting.get() != Py_True) return nullptr;
    }
    Program& program = *nanobind::inst_ptr<Program>(part(record, PROGRAM));
    if (program.inside()) return PyObject_CallOneArg(part(record, REFUSE), Py_NotImplemented);
    if (!program.enter()) return nullptr;
    Ref results;
    if (prepare(program, record, arguments)) results = run(program, record);
    program.leave();
    const bool ends_here = !program.has_owned && part(record, ALWAYS) == Py_False;
    if (!results || finish == Py_None || ends_here) return results.release();
    program.has_owned = false;
    const Ref given = tuple_of(arguments, count);
    return given ? PyObject_CallFunctionObjArgs(finish, results.get(), given.get(), nullptr)
                 : nullptr;
}

}  // namespace cr
