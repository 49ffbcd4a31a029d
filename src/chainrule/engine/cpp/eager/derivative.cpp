#include "eager/derivative.h"

#include <algorithm>

namespace cr {

namespace {

// An input as it was when the op ran. See `as_saved` in tape.py, which also raises the error.
Ref as_saved(PyObject* node, PyObject* saved, PyObject* wrap) {
    PyObject *x = PyTuple_GET_ITEM(saved, 0), *data = PyTuple_GET_ITEM(saved, 1);
    PyObject* edge = PyTuple_GET_ITEM(saved, 2);
    if (python.tensor.data.get(x) == data) return Ref::borrow(x);
    if (edge == Py_None && PyArray_Check(data)) return make_tensor(Ref::borrow(data));
    if (edge != Py_None && is_node(PyTuple_GET_ITEM(edge, 0)))
        return make_tensor(Ref::borrow(data), PyTuple_GET_ITEM(edge, 0), PyTuple_GET_ITEM(edge, 1));
    PyObject* arguments[] = {node, x, data, edge, wrap};
    return Ref::steal(PyObject_Vectorcall(python.as_saved, arguments, 5, nullptr));
}

bool kept_inputs(PyObject* node, PyObject* wrap, std::vector<Ref>& kept) {
    const Ref saved = Ref::borrow(python.node.saved.get(node));
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(saved.get()); ++i) {
        kept.push_back(as_saved(node, PySequence_Fast_GET_ITEM(saved.get(), i), wrap));
        if (!kept.back()) return false;
    }
    return true;
}

// A tuple of what begins at a position.
Ref rest(std::vector<Ref>& items, std::size_t start) {
    Ref tuple = Ref::steal(PyTuple_New(static_cast<Py_ssize_t>(items.size() - start)));
    for (std::size_t i = start; tuple && i < items.size(); ++i)
        PyTuple_SET_ITEM(tuple.get(), static_cast<Py_ssize_t>(i - start), items[i].release());
    return tuple;
}

// Adds the arguments of the derivative after the gradient, in the order of `facts.asked`.
bool name(PyObject* node, const Facts& facts, std::vector<Ref>& kept, PyObject* needs,
          std::vector<Ref>& values) {
    const NodeClass& as = python.node;
    PyObject *params = as.params.get(node), *names = facts.saved_params.get();
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); ++i)
        values.push_back(
            Ref::steal(PyObject_GetItem(params, PyTuple_GET_ITEM(names, i))));
    const std::size_t fixed =
        facts.saved_positions.size() -
        std::count(facts.saved_positions.begin(), facts.saved_positions.end(), facts.variadic_from);
    std::size_t next = 0;
    for (int i : facts.saved_positions)
        values.push_back(i == facts.variadic_from ? Ref() : std::move(kept[next++]));
    for (std::size_t i = 0; i < facts.saved_positions.size(); ++i)
        if (facts.saved_positions[i] == facts.variadic_from)
            values[values.size() - facts.saved_positions.size() + i] = rest(kept, fixed);
    PyObject* specs = as.input_specs.get(node);
    for (int i : facts.spec_positions)
        values.push_back(i == facts.variadic_from
                             ? Ref::steal(PySequence_GetSlice(specs, i, PY_SSIZE_T_MAX))
                             : Ref::steal(PySequence_GetItem(specs, i)));
    std::vector<Ref> outputs;
    PyObject* arrays = as.outputs.get(node);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(arrays); ++i) {
        PyObject* array = PySequence_Fast_GET_ITEM(arrays, i);
        const Ref position = Ref::steal(PyLong_FromSsize_t(i));
        outputs.push_back(array == Py_None ? Ref::borrow(Py_None)
                                           : make_tensor(Ref::borrow(array), node, position.get()));
        if (!outputs.back()) return false;
    }
    for (const int at : facts.output_positions) {
        if (at >= static_cast<int>(outputs.size())) {
            PyErr_Format(PyExc_IndexError, "the derivative asks for y%d, which is no output", at);
            return false;
        }
        values.push_back(at == -1 ? rest(outputs, 0) : Ref::borrow(outputs[at].get()));
    }
    if (facts.asks_needs) values.push_back(Ref::borrow(needs));
    return std::all_of(values.begin() + 1, values.end(), [](const Ref& v) { return bool(v); });
}

// The first argument of the derivative: the gradient of the output, or a list of all.
Ref seed_of(PyObject* node, const Facts& facts, Gradients& gradients, PyObject* wrap) {
    if (gradients.size() == 1) return std::move(gradients[0]);
    Ref list = Ref::steal(PyList_New(static_cast<Py_ssize_t>(gradients.size())));
    PyObject* specs = python.node.specs.get(node);
    for (std::size_t i = 0; list && i < gradients.size(); ++i) {
        const auto place = static_cast<Py_ssize_t>(i);
        Ref g = std::move(gradients[i]);
        if (!g && facts.partial) g = Ref::borrow(Py_None);
        if (!g) {
            PyObject* arguments[] = {Py_None, Py_None, python.zero,
                                     PySequence_Fast_GET_ITEM(specs, place)};
            g = Ref::steal(PyObject_Vectorcall(wrap, arguments, 4, nullptr));
        }
        if (!g) return Ref();
        PyList_SET_ITEM(list.get(), place, g.release());
    }
    return list;
}

Ref derive_in_python(PyObject* node, const Gradients& gradients, PyObject* needs, PyObject* wrap) {
    const Ref list = Ref::steal(PyList_New(static_cast<Py_ssize_t>(gradients.size())));
    for (std::size_t i = 0; list && i < gradients.size(); ++i)
        PyList_SET_ITEM(list.get(), static_cast<Py_ssize_t>(i),
                        Py_NewRef(gradients[i] ? gradients[i].get() : Py_None));
    PyObject* arguments[] = {node, list.get(), needs, wrap};
    const Ref derived =
        Ref::steal(list ? PyObject_Vectorcall(python.derive, arguments, 4, nullptr) : nullptr);
    return Ref::steal(derived ? PySequence_Tuple(derived.get()) : nullptr);
}

}  // namespace

Ref derive(PyObject* node, Gradients& gradients, PyObject* needs, PyObject* wrap) {
    static PyObject* const vjp = PyUnicode_InternFromString("vjp");
    const Ref primitive = Ref::borrow(python.node.primitive.get(node));
    const Ref function = Ref::steal(PyObject_GetAttr(primitive.get(), vjp));
    Calls* calls = function ? Calls::of(primitive.get()) : nullptr;
    if (!calls) return Ref();
    if (function.get() == Py_None || python.node.saved.get(node) == Py_None)
        return derive_in_python(node, gradients, needs, wrap);  // raises the error
    std::vector<Ref> kept, values(1);
    const Facts& facts = calls->facts;
    if (!kept_inputs(node, wrap, kept) || !name(node, facts, kept, needs, values)) return Ref();
    values[0] = seed_of(node, facts, gradients, wrap);
    if (!values[0]) return Ref();
    std::vector<PyObject*> arguments;
    for (const Ref& value : values) arguments.push_back(value.get());
    const Ref results = Ref::steal(
        PyObject_Vectorcall(function.get(), arguments.data(), 1, facts.asked.get()));
    Ref derived = Ref::steal(results ? PySequence_Tuple(results.get()) : nullptr);
    const Py_ssize_t wanted = PySequence_Fast_GET_SIZE(python.node.edges.get(node));
    if (!derived || PyTuple_GET_SIZE(derived.get()) == wanted) return derived;
    PyObject* wrong[] = {node, derived.get()};
    return Ref::steal(PyObject_Vectorcall(python.expect_each, wrong, 2, nullptr));  // raises
}

}  // namespace cr
