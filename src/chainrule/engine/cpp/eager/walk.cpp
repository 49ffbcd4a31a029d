#include "eager/walk.h"

#include <algorithm>
#include <optional>
#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "eager/derivative.h"

namespace cr {

namespace {

i64 order_of(PyObject* node) { return PyLong_AsLongLong(python.node.order.get(node)); }

// Where a gradient of a tensor goes: its node, or a leaf itself.
PyObject* target_of(PyObject* tensor) {
    PyObject* node = python.tensor.node.get(tensor);
    return node == Py_None ? tensor : node;
}

// The edges of a node that are wanted, as (target, position).
template <class Visit> void each_edge(PyObject* node, Visit visit) {
    PyObject* edges = python.node.edges.get(node);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(edges); ++i) {
        PyObject* edge = PySequence_Fast_GET_ITEM(edges, i);
        if (edge != Py_None) visit(PyTuple_GET_ITEM(edge, 0));
    }
}

class Walk {
  public:
    Walk(bool recorded, bool keep_graph, PyObject* wrap)
        : recorded_(recorded), keep_graph_(keep_graph), wrap_(wrap) {}

    bool start(PyObject* seeds);
    void aim(PyObject* seeds, PyObject* targets);
    bool run();
    bool finish();  // the hooks of the leaves
    PyObject* arrived(PyObject* tensor) const;
    Ref of_leaves() const;
    Ref of_targets(PyObject* targets) const;

  private:
    struct Sum {  // of what has arrived at a node or leaf so far
        Ref target;
        Gradients gradients;
        std::vector<bool> own;  // whether no other reference to the array of a gradient exists
    };
    bool add(PyObject* target, PyObject* position, Ref g);
    bool extend(std::size_t number, std::size_t output, PyObject* op, PyObject* more,
                PyObject* params);
    bool run_hooks(PyObject* node, Gradients& gradients);
    bool visit(PyObject* node, Gradients& gradients);
    void forget(PyObject* node) const;
    Ref needs_of(PyObject* edges, bool& any) const;

    const bool recorded_;  // on the tape, so that gradients have derivatives
    const bool keep_graph_;
    PyObject* const wrap_;
    std::vector<Sum> sums_;
    std::unordered_map<PyObject*, std::size_t> places_;            // in `sums_`
    std::priority_queue<std::pair<i64, std::size_t>> waiting_;     // nodes, the last recorded first
    std::vector<std::size_t> leaves_;                              // in the order of their arrival
    std::unordered_map<PyObject*, std::optional<Gradients>> aims_;  // and what arrived at nodes
    std::optional<std::unordered_set<PyObject*>> wanted_;          // the aims, and what leads there
};

bool Walk::start(PyObject* seeds) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(seeds); ++i) {
        PyObject* pair = PySequence_Fast_GET_ITEM(seeds, i);
        PyObject* output = PyTuple_GET_ITEM(pair, 0);
        if (!add(target_of(output), python.tensor.output.get(output),
                 Ref::borrow(PyTuple_GET_ITEM(pair, 1))))
            return false;
    }
    return true;
}

// Finds the nodes that lead from the seeds to a target. Others need no derivative.
void Walk::aim(PyObject* seeds, PyObject* targets) {
    wanted_.emplace();
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(targets); ++i) {
        PyObject* target = target_of(PySequence_Fast_GET_ITEM(targets, i));
        aims_.emplace(target, std::nullopt);
        wanted_->insert(target);
    }
    std::unordered_set<PyObject*> seen;
    std::vector<PyObject*> nodes, stack;
    const auto reach = [&](PyObject* target) {
        if (is_node(target) && seen.insert(target).second) stack.push_back(target);
    };
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(seeds); ++i)
        reach(target_of(PyTuple_GET_ITEM(PySequence_Fast_GET_ITEM(seeds, i), 0)));
    while (!stack.empty()) {
        nodes.push_back(stack.back());
        stack.pop_back();
        each_edge(nodes.back(), reach);
    }
    std::sort(nodes.begin(), nodes.end(),
              [](PyObject* a, PyObject* b) { return order_of(a) < order_of(b); });
    for (PyObject* node : nodes)
        each_edge(node, [&](PyObject* target) {
            if (wanted_->contains(target)) wanted_->insert(node);
        });
}

bool Walk::run() {
    while (!waiting_.empty()) {
        Sum& sum = sums_[waiting_.top().second];
        waiting_.pop();
        const Ref node = std::move(sum.target);
        Gradients gradients = std::move(sum.gradients);
        places_.erase(node.get());
        if (!visit(node.get(), gradients)) return false;
    }
    return true;
}

bool Walk::visit(PyObject* node, Gradients& gradients) {
    if (!run_hooks(node, gradients)) return false;
    if (const auto found = aims_.find(node); found != aims_.end()) {
        found->second.emplace();
        for (const Ref& g : gradients) found->second->push_back(Ref::borrow(g.get()));
    }
    const Ref edges = Ref::borrow(python.node.edges.get(node));
    bool any = false;
    const Ref needs = needs_of(edges.get(), any);
    if (!needs || !any) return static_cast<bool>(needs);
    if (PyObject* recall = python.node.recall.get(node); recall != Py_None) {
        const Ref function = Ref::borrow(recall);
        const Ref done = Ref::steal(PyObject_CallOneArg(recall, node));
        if (!done) return false;
    }
    const Ref derived = derive(node, gradients, needs.get(), wrap_);
    if (!derived) return false;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(edges.get()); ++i) {
        PyObject* total = PySequence_Fast_GET_ITEM(derived.get(), i);
        if (total == Py_None || PyTuple_GET_ITEM(needs.get(), i) != Py_True) continue;
        PyObject* edge = PySequence_Fast_GET_ITEM(edges.get(), i);
        if (!add(PyTuple_GET_ITEM(edge, 0), PyTuple_GET_ITEM(edge, 1), Ref::borrow(total)))
            return false;
    }
    forget(node);
    return true;
}

void Walk::forget(PyObject* node) const {
    const NodeClass& as = python.node;
    const bool recalled = as.recall.get(node) != Py_None;
    if (keep_graph_ && !recalled) return;
    as.saved.set(node, keep_graph_ ? python.nothing : Py_None);
    as.outputs.set(node, python.nothing);
    if (!keep_graph_) as.recall.set(node, Py_None);
}

// -- sums ------------------------------------------------------------------------------------------

bool has_spec(PyObject* g, PyObject* spec) {
    PyObject* data = is_tensor(g) ? python.tensor.data.get(g) : nullptr;
    if (!data || !PyArray_Check(data) || !PyObject_TypeCheck(spec, python.spec.type)) return false;
    PyArrayObject* x = as_array(data);
    PyObject* shape = python.spec.shape.get(spec);
    if (reinterpret_cast<PyObject*>(PyArray_DESCR(x)) != python.spec.dtype.get(spec) ||
        PyTuple_GET_SIZE(shape) != PyArray_NDIM(x))
        return false;
    for (int d = 0; d < PyArray_NDIM(x); ++d)
        if (PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, d)) != PyArray_DIM(x, d)) return false;
    return true;
}

bool alike(PyObject* g, PyObject* leaf) {
    PyObject* data = is_tensor(g) ? python.tensor.data.get(g) : nullptr;
    PyObject* own = is_tensor(leaf) ? python.tensor.data.get(leaf) : nullptr;
    if (!data || !own || !PyArray_Check(data) || !PyArray_Check(own)) return false;
    PyArrayObject *x = as_array(data), *y = as_array(own);
    return PyArray_DESCR(x) == PyArray_DESCR(y) && PyArray_SAMESHAPE(x, y);
}

PyArrayObject* array_of(PyObject* tensor) {
    PyObject* data = is_tensor(tensor) ? python.tensor.data.get(tensor) : nullptr;
    return data && PyArray_CheckExact(data) ? as_array(data) : nullptr;
}

// The parts of a Placed (see placed.py).
struct Placed {
    explicit Placed(PyObject* tuple)
        : onto(PyTuple_GET_ITEM(tuple, 1)), inputs(PyTuple_GET_ITEM(tuple, 2)),
          params(PyTuple_GET_ITEM(tuple, 4)) {}
    bool has_dtype_of(PyObject* total) const {
        const PyArrayObject *x = array_of(PyTuple_GET_ITEM(inputs, 0)), *y = array_of(total);
        return x && y && PyArray_DESCR(x) == PyArray_DESCR(y);
    }
    PyObject *onto, *inputs, *params;
};

// Computes op(total, *more, **params) into the array of `total`. False, perhaps with an error set, if
// the op has no kernel that is known to do so.
bool add_in_place(PyObject* op, PyObject* total, PyObject* more, PyObject* params) {
    Refs arrays, results;
    const Py_ssize_t count = PyTuple_GET_SIZE(more);
    if (count >= MAX_OPERANDS) return false;
    for (Py_ssize_t i = -1; i < count; ++i) {
        PyArrayObject* x = array_of(i < 0 ? total : PyTuple_GET_ITEM(more, i));
        if (!x) return false;
        arrays.add(Ref::borrow(reinterpret_cast<PyObject*>(x)));
    }
    Params named;
    Words words;
    Calls* calls = Calls::of(op);
    if (!calls || (params && !named.read(params)) ||
        !words.describe(named, arrays.at, arrays.count))
        return false;
    const std::shared_ptr<const KnownCall> call = calls->find(words);
    if (!call || call->way != KnownCall::Way::kernel || call->results.size() != 1 ||
        !call->results[0]->fits(arrays.at[0]) || !PyArray_ISCARRAY(as_array(arrays.at[0])))
        return false;
    results.add(Ref::borrow(arrays.at[0]));
    return run_into(*call, arrays.at, arrays.count, results).code == Code::ok;
}

// Replaces a sum by op(sum, *more, **params).
bool Walk::extend(std::size_t number, std::size_t output, PyObject* op, PyObject* more,
                  PyObject* params) {
    const Ref total = Ref::borrow(sums_[number].gradients[output].get());
    if (sums_[number].own[output] && add_in_place(op, total.get(), more, params)) return true;
    if (PyErr_Occurred()) return false;
    const Ref first = Ref::steal(PyTuple_Pack(1, total.get()));
    const Ref all = Ref::steal(first ? PySequence_Concat(first.get(), more) : nullptr);
    Ref sum = Ref::steal(all ? PyObject_Call(op, all.get(), params) : nullptr);
    if (!sum) return false;
    sums_[number].gradients[output] = std::move(sum);
    sums_[number].own[output] = !recorded_;
    return true;
}

// Adds to the gradient of a target, after reducing to its shape and converting to its dtype.
bool Walk::add(PyObject* target, PyObject* position, Ref g) {
    const bool node = is_node(target);
    const std::size_t output = PyLong_AsSize_t(position);
    PyObject* specs = node ? python.node.specs.get(target) : nullptr;
    const std::size_t outputs = node ? PySequence_Fast_GET_SIZE(specs) : 1;
    if (output >= outputs) {
        PyErr_SetString(PyExc_SystemError, "an edge to an output that the node does not have");
        return false;
    }
    const auto [place, is_new] = places_.try_emplace(target, sums_.size());
    const std::size_t number = place->second;
    if (is_new) {
        if (node) waiting_.emplace(order_of(target), number);
        else leaves_.push_back(number);
        sums_.push_back({Ref::borrow(target), Gradients(outputs), std::vector<bool>(outputs)});
    }
    PyObject* total = sums_[number].gradients[output].get();
    bool own = false;
    if (Py_IS_TYPE(g.get(), reinterpret_cast<PyTypeObject*>(python.placed))) {
        const Placed placed(g.get());
        if (total && placed.has_dtype_of(total))
            return extend(number, output, placed.onto, placed.inputs, placed.params);
        g = Ref::steal(PyObject_CallMethod(g.get(), "alone", nullptr));
        if (!g) return false;
        own = !recorded_;
    }
    const bool fits = node ? has_spec(g.get(), PySequence_Fast_GET_ITEM(
                                                   specs, static_cast<Py_ssize_t>(output)))
                           : alike(g.get(), target);
    if (!fits) {
        PyObject* arguments[] = {target, position, g.get()};
        g = Ref::steal(PyObject_Vectorcall(python.fitted, arguments, 3, nullptr));
        if (!g) return false;
        own = false;
    }
    if (total) {
        PyObject* plus = PyDict_GetItemString(python.registry, "add");
        const Ref more = Ref::steal(PyTuple_Pack(1, g.get()));
        return plus && more && extend(number, output, plus, more.get(), nullptr);
    }
    sums_[number].gradients[output] = std::move(g);
    sums_[number].own[output] = own;
    return true;
}

bool run_on(PyObject* hooks, Ref& g) {
    PyObject* arguments[] = {hooks, g.get()};
    g = Ref::steal(PyObject_Vectorcall(python.run_hooks, arguments, 2, nullptr));
    return static_cast<bool>(g);
}

bool Walk::run_hooks(PyObject* node, Gradients& gradients) {
    const Ref hooks = Ref::borrow(python.node.hooks.get(node));
    if (hooks.get() == Py_None) return true;
    for (std::size_t i = 0; i < gradients.size(); ++i) {
        const Ref key = Ref::steal(PyLong_FromSize_t(i));
        if (!key) return false;
        const Ref list = Ref::borrow(PyDict_GetItemWithError(hooks.get(), key.get()));
        if (PyErr_Occurred() || (list && gradients[i] && !run_on(list.get(), gradients[i])))
            return false;
    }
    return true;
}

bool Walk::finish() {
    for (const std::size_t place : leaves_) {
        const Ref hooks = Ref::borrow(python.tensor.hooks.get(sums_[place].target.get()));
        if (hooks.get() == Py_None || PyObject_IsTrue(hooks.get()) != 1) continue;
        if (!run_on(hooks.get(), sums_[place].gradients[0])) return false;
    }
    return true;
}

Ref Walk::needs_of(PyObject* edges, bool& any) const {
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(edges);
    Ref needs = Ref::steal(PyTuple_New(n));
    for (Py_ssize_t i = 0; needs && i < n; ++i) {
        PyObject* edge = PySequence_Fast_GET_ITEM(edges, i);
        const bool needed =
            edge != Py_None && (!wanted_ || wanted_->contains(PyTuple_GET_ITEM(edge, 0)));
        any = any || needed;
        PyTuple_SET_ITEM(needs.get(), i, Py_NewRef(needed ? Py_True : Py_False));
    }
    return needs;
}

// -- results ---------------------------------------------------------------------------------------

PyObject* pair(PyObject* tensor, PyObject* gradient) {
    return PyTuple_Pack(2, tensor, gradient ? gradient : Py_None);
}

Ref Walk::of_leaves() const {
    Ref list = Ref::steal(PyList_New(static_cast<Py_ssize_t>(leaves_.size())));
    for (std::size_t i = 0; list && i < leaves_.size(); ++i) {
        const Sum& sum = sums_[leaves_[i]];
        PyObject* item = pair(sum.target.get(), sum.gradients[0].get());
        if (!item) return Ref();
        PyList_SET_ITEM(list.get(), static_cast<Py_ssize_t>(i), item);
    }
    return list;
}

// What arrived at a target, or null.
PyObject* Walk::arrived(PyObject* tensor) const {
    PyObject* target = target_of(tensor);
    if (const auto leaf = places_.find(target); leaf != places_.end())
        return sums_[leaf->second].gradients[0].get();
    const auto node = aims_.find(target);
    const std::size_t output = PyLong_AsSize_t(python.tensor.output.get(tensor));
    const bool has = node != aims_.end() && node->second && output < node->second->size();
    return has ? (*node->second)[output].get() : nullptr;
}

Ref Walk::of_targets(PyObject* targets) const {
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(targets);
    Ref list = Ref::steal(PyList_New(n));
    for (Py_ssize_t i = 0; list && i < n; ++i) {
        PyObject* tensor = PySequence_Fast_GET_ITEM(targets, i);
        PyObject* item = pair(tensor, arrived(tensor));
        if (!item) return Ref();
        PyList_SET_ITEM(list.get(), i, item);
    }
    return list;
}

bool are_tensors(PyObject* items) {
    if (!PyList_Check(items) && !PyTuple_Check(items)) return false;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); ++i)
        if (!is_tensor(PySequence_Fast_GET_ITEM(items, i))) return false;
    return true;
}

bool are_pairs(PyObject* items) {
    if (!PyList_Check(items)) return false;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items); ++i) {
        PyObject* item = PyList_GET_ITEM(items, i);
        if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2 || !are_tensors(item)) return false;
    }
    return true;
}

}  // namespace

PyObject* walk(PyObject* const* arguments, Py_ssize_t count) {
    Settings settings;
    if (count != 4 || !settings.read() || !are_pairs(arguments[0])) return nullptr;
    PyObject *seeds = arguments[0], *targets = arguments[3];
    if (targets != Py_None && !are_tensors(targets)) return nullptr;
    Walk walk(settings.gradients, arguments[1] == Py_True, arguments[2]);
    if (targets != Py_None) walk.aim(seeds, targets);
    Ref found;
    if (walk.start(seeds) && walk.run() && walk.finish())
        found = targets == Py_None ? walk.of_leaves() : walk.of_targets(targets);
    if (!found && !PyErr_Occurred())  // else the walk would begin again, in Python
        PyErr_SetString(PyExc_SystemError, "the backward pass failed without an error");
    return found.release();
}

}  // namespace cr
