#include "prepared.h"

#include "doors.h"

namespace cr {

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

PyObject* Prepared::call(PyObject* inputs, PyObject* outputs) const {
    const Py_ssize_t n_in = PyTuple_GET_SIZE(inputs);
    const std::size_t n = static_cast<std::size_t>(n_in + PyTuple_GET_SIZE(outputs));
    if (n != arrays_.size() || n > 2 * MAX_OPERANDS) {
        PyErr_SetString(PyExc_ValueError, "not as many arrays as announced");
        return nullptr;
    }
    Array held[2 * MAX_OPERANDS];
    char* memory[2 * MAX_OPERANDS];
    for (std::size_t i = 0; i < n; ++i) {
        const Py_ssize_t at = static_cast<Py_ssize_t>(i);
        PyObject* array =
            at < n_in ? PyTuple_GET_ITEM(inputs, at) : PyTuple_GET_ITEM(outputs, at - n_in);
        View view;
        if (!held[i].read(array, arrays_[i].written, view)) return nullptr;
        if (!same_layout(view, arrays_[i].like)) {
            PyErr_SetString(PyExc_ValueError, "an array has another layout than announced");
            return nullptr;
        }
        memory[i] = view.data;
    }
    View views[2 * MAX_OPERANDS];
    for (std::size_t i = 0; i < operands_.size(); ++i) {
        views[i] = operands_[i].seen;
        views[i].data = memory[operands_[i].array];
    }
    const Call call{views, views + n_in_, ints_.data(), floats_.data(), n_in_,
                    static_cast<std::int32_t>(operands_.size()) - n_in_,
                    static_cast<std::int32_t>(ints_.size()),
                    static_cast<std::int32_t>(floats_.size())};
    Status status;
    Py_BEGIN_ALLOW_THREADS
    status = kernel_(call);
    Py_END_ALLOW_THREADS
    return report(status, -1);
}

}  // namespace cr
