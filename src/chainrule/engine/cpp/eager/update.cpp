#include "eager/update.h"

#include "eager/gateway.h"

namespace cr {

namespace {

// The tensors of the update of one parameter.
struct Row {
    Refs tensors, arrays;  // the inputs of the rule
    Refs written;          // what its results are assigned to
    Ref counter, counted;  // the counter of steps, if the rule does not count, and its next value
};

// Whether this is a tensor to which a write is seen nowhere else. False, perhaps with an error set.
bool is_writable(PyObject* tensor) {
    PyObject* data = is_tensor(tensor) ? python.tensor.data.get(tensor) : nullptr;
    return data && PyArray_CheckExact(data) && is_apart(tensor);
}

// Counts the step, where a state holds a counter that the rule does not know. False, perhaps with an
// error set, for what the Python code must do.
bool count(Row& row, PyObject* names, PyObject* state) {
    static PyObject* const step = PyUnicode_InternFromString("step");
    const int known = PySequence_Contains(names, step);
    if (known) return known > 0;
    row.counter = Ref::borrow(PyDict_GetItemWithError(state, step));
    if (!row.counter) return !PyErr_Occurred();
    if (!is_writable(row.counter.get())) return false;
    row.counted = Ref::steal(PyNumber_Add(row.counter.get(), python.one));
    return row.counted && is_tensor(row.counted.get());
}

// Finds the inputs by their names: `w` is the parameter and `g` its gradient; the others are state
// or options. False, perhaps with an error set, for what the Python code must do.
bool find(Row& row, PyObject* names, PyObject* parameter, PyObject* gradient, PyObject* state,
          PyObject* options) {
    if (!is_writable(parameter) || !is_tensor(gradient)) return false;
    row.written.add(Ref::borrow(parameter));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names); ++i) {
        PyObject* name = PyList_GET_ITEM(names, i);
        PyObject* x = PyDict_GetItemWithError(state, name);
        if (x) {
            if (!is_writable(x) || row.written.count == MAX_OPERANDS) return false;
            row.written.add(Ref::borrow(x));
        } else if (!PyErr_Occurred()) {
            const bool is_w = PyUnicode_CompareWithASCIIString(name, "w") == 0;
            const bool is_g = PyUnicode_CompareWithASCIIString(name, "g") == 0;
            x = is_w ? parameter : is_g ? gradient : PyDict_GetItemWithError(options, name);
        }
        if (PyErr_Occurred()) return false;
        if (!x) continue;
        PyObject* data = is_tensor(x) ? python.tensor.data.get(x) : nullptr;
        if (!data || row.tensors.count == MAX_OPERANDS) return false;
        row.tensors.add(Ref::borrow(x));
        row.arrays.add(Ref::borrow(data));
    }
    return count(row, names, state);
}

// Whether no other reference to the array of a tensor exists, so that it may be written.
bool is_alone(PyObject* data) {
    PyArrayObject* x = as_array(data);
    // One reference is the tensor's, and one that of the row, which reads it, too.
    return Py_REFCNT(data) == 2 && !PyArray_BASE(x) && PyArray_ISBEHAVED(x);
}

// The arrays for the results: those of the written tensors, or new ones. Kernels of updates may
// write over what they read (see kernels/update.h).
bool place(const KnownCall& call, const Row& row, Refs& results) {
    if (static_cast<int>(call.results.size()) != row.written.count) return false;
    for (int i = 0; i < row.written.count; ++i) {
        PyObject* before = python.tensor.data.get(row.written.at[i]);
        if (!call.results[i]->fits(before)) return false;
        Ref array = is_alone(before) ? Ref::borrow(before) : call.results[i]->make();
        if (!array) return false;
        results.add(std::move(array));
    }
    return true;
}

bool write(PyObject* tensor, PyObject* array, PyObject* caller) {
    const TensorClass& as = python.tensor;
    Ref version = Ref::steal(PyNumber_Add(as.version.get(tensor), python.one));
    if (!version) return false;
    as.version.set(tensor, std::move(version));
    as.written.set(tensor, caller);
    as.data.set(tensor, array);
    return true;
}

bool write(const Row& row, const Refs& results, PyObject* caller) {
    for (int i = 0; i < results.count; ++i)
        if (!write(row.written.at[i], results.at[i], caller)) return false;
    return !row.counter ||
           write(row.counter.get(), python.tensor.data.get(row.counted.get()), caller);
}

class Update {
  public:
    // False, perhaps with an error set, if this parameter needs the Python code.
    bool one(PyObject* parameter, PyObject* gradient, PyObject* state);

    PyObject *rule, *names, *options;
    Params flags;

  private:
    Ref caller_;  // the line of the user's program
};

bool Update::one(PyObject* parameter, PyObject* gradient, PyObject* state) {
    Row row;
    Calls* calls = Calls::of(rule);
    if (!calls || !find(row, names, parameter, gradient, state, options)) return false;
    Words words;
    if (!words.describe(flags, row.arrays.at, row.arrays.count)) return false;
    const std::shared_ptr<const KnownCall> call = calls->find(words);
    Refs results;
    if (!call || call->way != KnownCall::Way::kernel || !place(*call, row, results)) return false;
    if (run_into(*call, row.arrays.at, row.arrays.count, results).code != Code::ok) return false;
    if (!caller_) caller_ = caller();
    return caller_ && write(row, results, caller_.get());
}

}  // namespace

PyObject* update(PyObject* const* arguments, Py_ssize_t count) {
    Settings settings;
    if (count != 6 || !settings.read() || settings.gradients) return nullptr;
    PyObject *function = arguments[0], *group = arguments[1], *states = arguments[2];
    Update update;
    update.rule = arguments[3], update.names = arguments[4];
    const Ref params = Ref::steal(PyObject_GetAttrString(group, "params"));
    const Ref options = Ref::steal(PyObject_GetAttrString(group, "tensors"));
    if (!params || !options) return nullptr;
    update.options = options.get();
    if (!PyList_Check(params.get()) || !PyDict_Check(options.get()) || !PyDict_Check(states) ||
        !PyList_Check(update.names) || !PyDict_Check(arguments[5]) ||
        !update.flags.read(arguments[5]))
        return nullptr;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(params.get()); ++i) {
        const Ref parameter = Ref::borrow(PyList_GET_ITEM(params.get(), i));
        if (!is_tensor(parameter.get())) return nullptr;
        const Ref gradient = Ref::borrow(python.tensor.grad.get(parameter.get()));
        if (gradient.get() == Py_None) continue;
        const Ref state = Ref::borrow(PyDict_GetItemWithError(states, parameter.get()));
        if (state && PyDict_Check(state.get()) &&
            update.one(parameter.get(), gradient.get(), state.get()))
            continue;
        if (PyErr_Occurred()) return nullptr;
        PyObject* given[] = {parameter.get(), gradient.get(), group};
        const Ref done = Ref::steal(PyObject_Vectorcall(function, given, 3, nullptr));
        if (!done) return nullptr;
    }
    Py_RETURN_NONE;
}

}  // namespace cr
