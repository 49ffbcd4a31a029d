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

}  // namespace cr
