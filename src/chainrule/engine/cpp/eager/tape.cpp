// `record` of tape.py.
#include "eager/gateway.h"

namespace cr {

namespace {

PyObject* tuple_of(std::initializer_list<PyObject*> items) {
    PyObject* tuple = PyTuple_New(static_cast<Py_ssize_t>(items.size()));
    Py_ssize_t i = 0;
    for (PyObject* item : items)
        if (tuple) PyTuple_SET_ITEM(tuple, i++, Py_NewRef(item));
    return tuple;
}

bool is_leaf(PyObject* edge) {
    return edge != Py_None && !Py_IS_TYPE(PyTuple_GET_ITEM(edge, 0), python.node.type);
}

// For each input where its gradient goes: (node or leaf, which output), or None.
Ref edges_of(const Refs& tensors) {
    Ref edges = Ref::steal(PyTuple_New(tensors.count));
    for (int i = 0; edges && i < tensors.count; ++i) {
        PyObject *x = tensors.at[i], *edge = Py_NewRef(Py_None);
        if (x != Py_None && python.tensor.requires_grad.get(x) == Py_True) {
            PyObject* node = python.tensor.node.get(x);
            Py_DECREF(edge);
            edge = tuple_of({node == Py_None ? x : node, python.tensor.output.get(x)});
        }
        if (!edge) return Ref();
        PyTuple_SET_ITEM(edges.get(), i, edge);
    }
    return edges;
}

// The inputs that the derivative asks for: (tensor, its array now, its edge). Those of a variadic
// name come last.
Ref saved_of(const Facts& facts, const Refs& tensors, const Refs& arrays, PyObject* edges,
             bool& leaf) {
    std::vector<int> positions;
    bool variadic = false;
    for (int i : facts.saved_positions)
        if (i == facts.variadic_from) variadic = true;
        else positions.push_back(i);
    for (int i = facts.variadic_from; variadic && i < tensors.count; ++i) positions.push_back(i);
    Ref saved = Ref::steal(PyTuple_New(static_cast<Py_ssize_t>(positions.size())));
    for (std::size_t k = 0; saved && k < positions.size(); ++k) {
        const int i = positions[k];
        PyObject* edge = PyTuple_GET_ITEM(edges, i);
        leaf = leaf || is_leaf(edge);
        Ref x = tensors.at[i] != Py_None ? Ref::borrow(tensors.at[i])
                                         : make_tensor(Ref::borrow(arrays.at[i]));
        PyObject* triple = x ? tuple_of({x.get(), arrays.at[i], edge}) : nullptr;
        if (!triple) return Ref();
        PyTuple_SET_ITEM(saved.get(), static_cast<Py_ssize_t>(k), triple);
    }
    return saved;
}

// The arrays of the outputs that the derivative asks for, and None for the others.
Ref arrays_of(const Facts& facts, PyObject* const* outputs, int count) {
    Ref arrays = Ref::steal(PyTuple_New(count));
    for (int i = 0; arrays && i < count; ++i) {
        bool kept = false;
        for (int at : facts.output_positions) kept = kept || at == -1 || at == i;
        PyObject* data = kept ? python.tensor.data.get(outputs[i]) : Py_None;
        PyTuple_SET_ITEM(arrays.get(), i, Py_NewRef(data));
    }
    return arrays;
}

}  // namespace

Ref caller() {
    Ref frame = Ref::steal(
        reinterpret_cast<PyObject*>(PyThreadState_GetFrame(PyThreadState_Get())));
    while (frame) {
        auto* here = reinterpret_cast<PyFrameObject*>(frame.get());
        const Ref code = Ref::steal(reinterpret_cast<PyObject*>(PyFrame_GetCode(here)));
        PyObject* file = reinterpret_cast<PyCodeObject*>(code.get())->co_filename;
        Ref back;
        if (PyUnicode_Tailmatch(file, python.package, 0, PY_SSIZE_T_MAX, -1) == 1)
            back = Ref::steal(reinterpret_cast<PyObject*>(PyFrame_GetBack(here)));
        if (!back) return Ref::steal(Py_BuildValue("(Oi)", code.get(), PyFrame_GetLasti(here)));
        frame = std::move(back);
    }
    return Ref::borrow(Py_None);
}

bool record(const Facts& facts, PyObject* primitive, const KnownCall& call, const Refs& tensors,
            const Refs& arrays, PyObject* const* outputs, int count) {
    const NodeClass& as = python.node;
    const Ref node = Ref::steal(as.type->tp_alloc(as.type, 0));
    Ref edges = edges_of(tensors), order = Ref::steal(PyObject_CallNoArgs(python.tick));
    if (!node || !edges || !order) return false;
    bool leaf = false;
    Ref saved = saved_of(facts, tensors, arrays, edges.get(), leaf);
    Ref place = leaf ? caller() : Ref::borrow(Py_None);
    Ref kept = facts.output_positions.empty() ? Ref::borrow(python.nothing)
                                              : arrays_of(facts, outputs, count);
    if (!saved || !place || !kept) return false;
    PyObject* made = node.get();
    as.primitive.set(made, primitive);
    as.params.set(made, call.params.get());
    as.edges.set(made, std::move(edges));
    as.saved.set(made, std::move(saved));
    as.place.set(made, std::move(place));
    as.outputs.set(made, std::move(kept));
    as.input_specs.set(made, facts.spec_positions.empty() ? python.nothing
                                                          : call.input_specs.get());
    as.specs.set(made, call.specs.get());
    as.hooks.set(made, Py_None);
    as.recall.set(made, Py_None);
    as.order.set(made, std::move(order));
    for (int i = 0; i < count; ++i) {
        const PyArray_Descr* dtype = PyArray_DESCR(as_array(python.tensor.data.get(outputs[i])));
        if (!PyTypeNum_ISFLOAT(dtype->type_num)) continue;
        python.tensor.node.set(outputs[i], made);
        python.tensor.output.set(outputs[i], Ref::steal(PyLong_FromLong(i)));
        python.tensor.requires_grad.set(outputs[i], Py_True);
    }
    return true;
}

}  // namespace cr
