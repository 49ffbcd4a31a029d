#include "eager/calls.h"

#include <algorithm>
#include <unordered_set>

#include "eager/classes.h"
#include "runtime/doors.h"

namespace cr {

namespace {

constexpr std::size_t MOST = 1024;  // calls of one op

std::unordered_set<Calls*>& everywhere() {
    static auto& calls = *new std::unordered_set<Calls*>;
    return calls;
}

Ref attribute(PyObject* object, const char* name) {
    return Ref::steal(PyObject_GetAttrString(object, name));
}

bool is_true(PyObject* object, const char* name, bool& found) {
    const Ref value = attribute(object, name);
    found = value && PyObject_IsTrue(value.get()) == 1;
    return !PyErr_Occurred();
}

bool is_given(PyObject* object, const char* name, bool& found) {
    const Ref value = attribute(object, name);
    found = value && value.get() != Py_None;
    return static_cast<bool>(value);
}

bool numbers(PyObject* object, const char* name, std::vector<int>& found) {
    const Ref list = attribute(object, name);
    const Ref items = Ref::steal(list ? PySequence_Tuple(list.get()) : nullptr);
    if (!items) return false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items.get()); ++i)
        found.push_back(static_cast<int>(PyLong_AsLong(PyTuple_GET_ITEM(items.get(), i))));
    return !PyErr_Occurred();
}

// Appends the strings of a list to another list.
bool append(PyObject* list, PyObject* object, const char* name) {
    const Ref more = attribute(object, name);
    return more && PyList_SetSlice(list, PY_SSIZE_T_MAX, PY_SSIZE_T_MAX, more.get()) == 0;
}

}  // namespace

// -- facts -----------------------------------------------------------------------------------------

bool Facts::read(PyObject* primitive) {
    const Ref names = Ref::steal(PyList_New(0)), how = attribute(primitive, "promote");
    const Ref start = attribute(primitive, "variadic_from"), needs = Ref::steal(PyList_New(0));
    const Ref word = Ref::steal(PyUnicode_InternFromString("needs"));
    if (!names || !how || !start || !needs || !word) return false;
    promote = PyUnicode_CompareWithASCIIString(how.get(), "none") == 0    ? Promote::none
              : PyUnicode_CompareWithASCIIString(how.get(), "float") == 0 ? Promote::floating
                                                                         : Promote::common;
    variadic_from = static_cast<int>(PyLong_AsLong(start.get()));
    PyObject* list = names.get();
    const bool found = is_given(primitive, "arguments", has_arguments) &&
                       is_given(primitive, "view", is_view) &&
                       is_true(primitive, "partial", partial) &&
                       is_true(primitive, "asks_needs", asks_needs) &&
                       numbers(primitive, "saved_positions", saved_positions) &&
                       numbers(primitive, "spec_positions", spec_positions) &&
                       numbers(primitive, "output_positions", output_positions) &&
                       append(list, primitive, "saved_params");
    if (!found) return false;
    saved_params = Ref::steal(PyList_AsTuple(list));
    if (!append(list, primitive, "saved_inputs") || !append(list, primitive, "saved_specs") ||
        !append(list, primitive, "saved_outputs") ||
        (asks_needs && PyList_Append(list, word.get()) != 0))
        return false;
    asked = Ref::steal(PyList_AsTuple(list));
    return saved_params && asked;
}

// -- calls -----------------------------------------------------------------------------------------

Calls::~Calls() { everywhere().erase(this); }

Calls* Calls::of(PyObject* primitive) {
    const Slot& slot = python.primitive.calls;
    if (PyObject* capsule = slot.get(primitive))
        return static_cast<Calls*>(PyCapsule_GetPointer(capsule, nullptr));
    auto made = std::make_unique<Calls>();
    if (!made->facts.read(primitive)) return nullptr;
    Ref capsule = Ref::steal(PyCapsule_New(made.get(), nullptr, [](PyObject* object) {
        delete static_cast<Calls*>(PyCapsule_GetPointer(object, nullptr));
    }));
    if (!capsule) return nullptr;
    slot.set(primitive, std::move(capsule));
    everywhere().insert(made.get());
    return made.release();
}

void Calls::forget_all() {
    for (Calls* calls : everywhere()) {
        decltype(calls_) before;
        before.swap(calls->calls_);
    }
}

std::shared_ptr<const KnownCall> Calls::find(const Words& words) const {
    const auto [first, last] = calls_.equal_range(words.hash());
    for (auto entry = first; entry != last; ++entry) {
        const std::vector<i64>& known = entry->second->words;
        if (static_cast<int>(known.size()) == words.size() &&
            std::equal(known.begin(), known.end(), words.begin()))
            return entry->second;
    }
    return nullptr;
}

void Calls::add(const Words& words, std::shared_ptr<KnownCall> call) {
    if (calls_.size() >= MOST) {
        decltype(calls_) before;
        before.swap(calls_);
    }
    call->words.assign(words.begin(), words.begin() + words.size());
    calls_.emplace(words.hash(), std::move(call));
}

// -- running ---------------------------------------------------------------------------------------

namespace {

Outcome run_kernel(const KnownCall& call, PyObject* const* arrays, int count, Refs& results,
                   Status& status) {
    for (const auto& like : call.results) {
        Ref made = like->take();
        if (!made) return Outcome::error;
        results.add(std::move(made));
    }
    status = run_into(call, arrays, count, results);
    return status.code == Code::ok ? Outcome::done : Outcome::failed;
}

Ref view(const Window& window, PyObject* base) {
    if (window.same) return Ref::borrow(base);
    PyArrayObject* x = as_array(base);
    PyArray_Descr* dtype = PyArray_DESCR(x);
    Py_INCREF(dtype);
    const int flags = window.writable && PyArray_ISWRITEABLE(x) ? NPY_ARRAY_WRITEABLE : 0;
    Ref made = Ref::steal(PyArray_NewFromDescr(
        &PyArray_Type, dtype, window.ndim, window.shape, window.strides,
        PyArray_BYTES(x) + window.offset, flags, nullptr));
    if (made && PyArray_SetBaseObject(as_array(made.get()), Py_NewRef(base)) != 0) return Ref();
    return made;
}

// The NumPy reference, from and to arrays in C order.
Outcome run_reference(const KnownCall& call, PyObject* primitive, PyObject* const* arrays, int count,
                      Refs& results) {
    const Ref reference = attribute(primitive, "reference");
    if (!reference) return Outcome::error;
    Ref made = Ref::steal(
        PyObject_VectorcallDict(reference.get(), arrays, count, call.params.get()));
    if (!made) return Outcome::error;
    const Py_ssize_t n = PyTuple_Check(made.get()) ? PyTuple_GET_SIZE(made.get()) : 1;
    if (call.several != PyTuple_Check(made.get()) || n != std::ssize(call.results)) {
        PyErr_Format(PyExc_TypeError, "%R does not give as many results as its spec rule",
                     primitive);
        return Outcome::error;
    }
    for (Py_ssize_t i = 0; i < n; ++i) {
        PyObject* result = call.several ? PyTuple_GET_ITEM(made.get(), i) : made.get();
        Ref array = PyArray_CheckExact(result)
                        ? Ref::borrow(result)
                        : Ref::steal(PyArray_FROM_OF(result, NPY_ARRAY_ENSUREARRAY));
        if (!array) return Outcome::error;
        results.add(std::move(array));
    }
    return Outcome::done;
}

}  // namespace

Status run_into(const KnownCall& call, PyObject* const* arrays, int count, const Refs& results) {
    char* memory[2 * MAX_OPERANDS];
    for (int i = 0; i < count; ++i) memory[i] = PyArray_BYTES(as_array(arrays[i]));
    for (int i = 0; i < results.count; ++i)
        memory[count + i] = PyArray_BYTES(as_array(results.at[i]));
    if (!call.large) return call.kernel.run(memory);
    Status status;
    Py_BEGIN_ALLOW_THREADS
    status = call.kernel.run(memory);
    Py_END_ALLOW_THREADS
    return status;
}

Outcome run(const KnownCall& call, PyObject* primitive, PyObject* const* arrays, int count,
            Refs& results, Status& status) {
    switch (call.way) {
        case KnownCall::Way::kernel: return run_kernel(call, arrays, count, results, status);
        case KnownCall::Way::view: {
            Ref made = view(call.window, arrays[0]);
            if (!made) return Outcome::error;
            results.add(std::move(made));
            return Outcome::done;
        }
        default: return run_reference(call, primitive, arrays, count, results);
    }
}

PyObject* evaluate(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 3 || !PyTuple_Check(arguments[1]) || !PyDict_Check(arguments[2])) {
        PyErr_SetString(PyExc_TypeError, "evaluate(primitive, arrays, params)");
        return nullptr;
    }
    Calls* calls = Calls::of(arguments[0]);
    if (!calls) return nullptr;
    const int n = static_cast<int>(PyTuple_GET_SIZE(arguments[1]));
    PyObject* const* arrays = &PyTuple_GET_ITEM(arguments[1], 0);
    Params params;
    Words words;
    if (!params.read(arguments[2]) || !words.describe(params, arrays, n)) Py_RETURN_NOTIMPLEMENTED;
    const std::shared_ptr<const KnownCall> call = calls->find(words);
    if (!call) Py_RETURN_NOTIMPLEMENTED;
    if (call->way == KnownCall::Way::copies) Py_RETURN_NONE;
    Refs results;
    Status status = OK;
    const Outcome outcome = run(*call, arguments[0], arrays, n, results, status);
    if (outcome == Outcome::error) return nullptr;
    if (outcome == Outcome::failed) {
        const Ref problem = Ref::steal(report(status, -1));
        return problem ? PySequence_List(problem.get()) : nullptr;
    }
    if (!call->several) return Py_NewRef(results.at[0]);
    PyObject* tuple = PyTuple_New(results.count);
    for (int i = 0; tuple && i < results.count; ++i)
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(results.at[i]));
    return tuple;
}

}  // namespace cr
