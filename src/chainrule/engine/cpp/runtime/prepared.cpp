#include "runtime/prepared.h"

#include "runtime/doors.h"

namespace cr {

void Prepared::add_array(const View& like, bool written) {
    arrays_.push_back({like, written});
    n_inputs_ += !written;
}

bool Prepared::add_operand(i64 array, const View& seen) {
    if (array < 0 || array >= static_cast<i64>(arrays_.size())) return false;
    const Expected& whole = arrays_[array];
    i64 first, last, lowest, highest;
    if (!reach(whole.like, first, last) || !reach(seen, lowest, highest)) return false;
    if (lowest < first || highest > last || seen.dtype != whole.like.dtype) return false;
    if (operands_.size() >= 2 * MAX_OPERANDS || (n_in_ == MAX_OPERANDS && !whole.written))
        return false;
    operands_.push_back({array, seen});
    n_in_ += !whole.written;
    return true;
}

bool Prepared::takes(const View* arrays, Py_ssize_t count) const {
    if (count != n_inputs_) return false;
    for (Py_ssize_t i = 0; i < count; ++i)
        if (!same_layout(arrays[i], arrays_[i].like)) return false;
    return true;
}

Status Prepared::run(char* const* memory) const {
    View views[2 * MAX_OPERANDS];
    for (std::size_t i = 0; i < operands_.size(); ++i) {
        views[i] = operands_[i].seen;
        views[i].data = memory[operands_[i].array];
    }
    return kernel_({views, views + n_in_, ints_.data(), floats_.data(), n_in_,
                    static_cast<std::int32_t>(operands_.size()) - n_in_,
                    static_cast<std::int32_t>(ints_.size()),
                    static_cast<std::int32_t>(floats_.size())});
}

PyObject* Prepared::call(PyObject* arrays) const {
    const std::size_t n = arrays_.size();
    if (static_cast<std::size_t>(PyList_GET_SIZE(arrays)) != n || n > 2 * MAX_OPERANDS) {
        PyErr_SetString(PyExc_ValueError, "not as many arrays as announced");
        return nullptr;
    }
    Array held[2 * MAX_OPERANDS];
    char* memory[2 * MAX_OPERANDS];
    for (std::size_t i = 0; i < n; ++i) {
        View view;
        PyObject* array = PyList_GET_ITEM(arrays, static_cast<Py_ssize_t>(i));
        if (!held[i].read(array, arrays_[i].written, view)) return nullptr;
        if (!same_layout(view, arrays_[i].like)) {
            PyErr_SetString(PyExc_ValueError, "an array has another layout than announced");
            return nullptr;
        }
        memory[i] = view.data;
    }
    return report(run(memory), -1);
}

namespace {

constexpr std::size_t MOST_VARIANTS = 256;

}  // namespace

Variants::~Variants() {
    for (Variant& v : variants_) Py_DECREF(v.spares);
}

void Variants::add(const Prepared& call, PyObject* spares) {
    if (variants_.size() == MOST_VARIANTS) {
        for (Variant& v : variants_) Py_DECREF(v.spares);
        variants_.clear();
    }
    Py_INCREF(spares);
    variants_.push_back({std::make_shared<const Prepared>(call), spares});
}

PyObject* Variants::evaluate(PyObject* inputs) {
    const Py_ssize_t n = PyTuple_GET_SIZE(inputs);
    if (n > MAX_OPERANDS) Py_RETURN_NONE;
    Array held[2 * MAX_OPERANDS];
    View views[MAX_OPERANDS];
    char* memory[2 * MAX_OPERANDS];
    for (Py_ssize_t i = 0; i < n; ++i) {
        if (!held[i].read(PyTuple_GET_ITEM(inputs, i), false, views[i])) {
            PyErr_Clear();  // a dtype without kernels, or unaligned memory
            Py_RETURN_NONE;
        }
        memory[i] = views[i].data;
    }
    std::size_t found = 0;
    while (found < variants_.size() && !variants_[found].call->takes(views, n)) ++found;
    if (found == variants_.size()) Py_RETURN_FALSE;
    // Another thread may change the list while memory is allocated and the kernel runs.
    const std::shared_ptr<const Prepared> call = variants_[found].call;
    if (call->of_copies) Py_RETURN_NOTIMPLEMENTED;
    if (!call->has_kernel()) Py_RETURN_NONE;
    PyObject* spares = variants_[found].spares;
    const Py_ssize_t made = PyTuple_GET_SIZE(spares);
    PyObject* outputs = PyTuple_New(made);
    Py_INCREF(spares);
    for (Py_ssize_t i = 0; outputs && i < made; ++i) {
        PyObject* pair = PyTuple_GET_ITEM(spares, i);
        PyObject* array = spare(PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1));
        if (array) PyTuple_SET_ITEM(outputs, i, array);
        View view;
        if (!array || !held[n + i].read(array, true, view)) Py_CLEAR(outputs);
        else memory[n + i] = view.data;
    }
    Py_DECREF(spares);
    if (!outputs) return nullptr;
    Status status;
    Py_BEGIN_ALLOW_THREADS
    status = call->run(memory);
    Py_END_ALLOW_THREADS
    if (status.code == Code::ok) return outputs;
    Py_DECREF(outputs);
    PyObject* problem = report(status, -1);
    PyObject* list = problem ? PySequence_List(problem) : nullptr;
    Py_XDECREF(problem);
    return list;
}

}  // namespace cr
