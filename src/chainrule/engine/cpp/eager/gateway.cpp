#include "eager/gateway.h"

#include <cstring>
#include <unordered_map>

namespace cr {

namespace {

// -- Python numbers among the inputs --------------------------------------------------------------

struct Number {
    i64 bits;
    int type;
    bool is_float;
    bool operator==(const Number&) const = default;
};

struct HashNumber {
    std::size_t operator()(const Number& n) const {
        return static_cast<std::size_t>(n.bits * 0x9E3779B97F4A7C15ull) ^ (2 * n.type + n.is_float);
    }
};

constexpr std::size_t MOST_NUMBERS = 1024;

// The array of a Python number beside tensors of a type. Null without an error for one that the
// gateway does not keep: a float beside integers, a large integer.
Ref constant(PyObject* number, PyArray_Descr* dtype) {
    static auto& known = *new std::unordered_map<Number, Ref, HashNumber>;
    Number key{0, dtype->type_num, static_cast<bool>(PyFloat_CheckExact(number))};
    if (key.is_float) {
        const double value = PyFloat_AS_DOUBLE(number);
        if (!PyTypeNum_ISFLOAT(key.type)) return Ref();
        std::memcpy(&key.bits, &value, sizeof value);
    } else {
        int overflow;
        if (!PyLong_CheckExact(number) || PyTypeNum_ISBOOL(key.type)) return Ref();
        key.bits = PyLong_AsLongLongAndOverflow(number, &overflow);
        if (overflow) return Ref();
    }
    if (const auto found = known.find(key); found != known.end())
        return Ref::borrow(found->second.get());
    PyObject* arguments[] = {number, reinterpret_cast<PyObject*>(dtype)};
    Ref made = Ref::steal(PyObject_Vectorcall(python.constant, arguments, 2, nullptr));
    if (!made) return made;
    if (known.size() >= MOST_NUMBERS) known.clear();
    known.emplace(key, Ref::borrow(made.get()));
    return made;
}

// -- inputs ----------------------------------------------------------------------------------------

struct Inputs {
    Refs tensors, arrays;  // of a number, the tensor is None until the tape needs one
    bool want_gradients = false;

    // False, perhaps with an error set, if the Python code must read them.
    bool read(PyObject* const* given, Py_ssize_t count);
    bool fit(Facts::Promote promote) const;  // nothing is to be converted
};

bool Inputs::read(PyObject* const* given, Py_ssize_t count) {
    if (count > MAX_OPERANDS) return false;
    PyArray_Descr* dtype = nullptr;  // of the tensors; a number takes it
    bool numbers = false, mixed = false;
    for (Py_ssize_t i = 0; i < count; ++i) {
        if (!is_tensor(given[i])) {
            numbers = true;
            continue;
        }
        PyObject* data = python.tensor.data.get(given[i]);
        if (!data || !PyArray_Check(data)) return false;
        PyArray_Descr* own = PyArray_DESCR(as_array(data));
        mixed = mixed || (dtype && own != dtype);
        dtype = own;
        want_gradients |= python.tensor.requires_grad.get(given[i]) == Py_True;
    }
    if (numbers && (mixed || !dtype)) return false;
    for (Py_ssize_t i = 0; i < count; ++i) {
        if (is_tensor(given[i])) {
            tensors.add(Ref::borrow(given[i]));
            arrays.add(Ref::borrow(python.tensor.data.get(given[i])));
        } else {
            Ref array = constant(given[i], dtype);
            if (!array) return false;
            tensors.add(Ref::borrow(Py_None));
            arrays.add(std::move(array));
        }
    }
    return true;
}

bool Inputs::fit(Facts::Promote promote) const {
    if (promote == Facts::Promote::none || !arrays.count) return true;
    const PyArray_Descr* dtype = PyArray_DESCR(as_array(arrays.at[0]));
    for (int i = 1; i < arrays.count; ++i)
        if (PyArray_DESCR(as_array(arrays.at[i])) != dtype) return false;
    return promote == Facts::Promote::common || PyTypeNum_ISFLOAT(dtype->type_num);
}

// The tensors of the outputs, and what the gateway notes about them. Null with an error set.
PyObject* finished(const Calls& calls, PyObject* primitive, const KnownCall& call, Inputs& inputs,
                   const Refs& results, const Settings& settings) {
    Refs outputs;
    for (int i = 0; i < results.count; ++i) {
        Ref tensor = make_tensor(Ref::borrow(results.at[i]));
        if (!tensor) return nullptr;
        outputs.add(std::move(tensor));
    }
    if (call.followed &&
        !show(outputs.at[0], inputs.tensors.at[0], primitive, call, settings.as_set.get()))
        return nullptr;
    if (settings.gradients && inputs.want_gradients &&
        !record(calls.facts, primitive, call, inputs.tensors, inputs.arrays, outputs.at,
                outputs.count))
        return nullptr;
    if (!call.several) return Py_NewRef(outputs.at[0]);
    PyObject* tuple = PyTuple_New(outputs.count);
    for (int i = 0; tuple && i < outputs.count; ++i)
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(outputs.at[i]));
    return tuple;
}

}  // namespace

PyObject* apply(PyObject* primitive, PyObject* const* inputs, Py_ssize_t count,
                const Params& params) {
    const Ref held = Ref::borrow(primitive);
    Settings settings;
    Inputs given;
    if (!settings.read() || !given.read(inputs, count)) return nullptr;
    Calls* calls = Calls::of(primitive);
    if (!calls || !given.fit(calls->facts.promote)) return nullptr;
    Words words;
    if (!words.describe(params, given.arrays.at, given.arrays.count)) return nullptr;
    const std::shared_ptr<const KnownCall> call = calls->find(words);
    if (!call || call->way == KnownCall::Way::copies) return nullptr;
    Refs results;
    Status status = OK;
    const Outcome outcome = run(*call, primitive, given.arrays.at, given.arrays.count, results,
                                status);
    if (outcome != Outcome::done) return nullptr;  // of a failed kernel, Python raises the error
    for (int i = 0; i < results.count; ++i)
        if (!call->results[i]->fits(results.at[i])) return nullptr;
    return finished(*calls, primitive, *call, given, results, settings);
}

}  // namespace cr
