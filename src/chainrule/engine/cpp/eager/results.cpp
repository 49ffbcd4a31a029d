#include "eager/results.h"

#include <algorithm>
#include <map>

namespace cr {

namespace {

// Small arrays are cheap to make, so few are kept. Large ones are kept as long as there is room:
// the system maps every page of new memory anew, which takes longer than to compute it.
constexpr std::size_t MOST = 16;
constexpr i64 LARGE = 1 << 16, LARGEST = 1 << 26, ALL_TOGETHER = 1 << 28;
constexpr int LOOKED_AT = 2;  // how many arrays `take` looks at

i64 all_together = 0;

using Known = std::map<std::vector<i64>, std::weak_ptr<Arrays>>;
Known& known() {
    static Known& arrays = *new Known;  // is not destroyed at exit, after the interpreter
    return arrays;
}

}  // namespace

Arrays::Arrays(int type, int ndim, const npy_intp* shape) : type_(type), ndim_(ndim) {
    PyArray_Descr* dtype = PyArray_DescrFromType(type);
    bytes_ = PyDataType_ELSIZE(dtype);
    Py_DECREF(dtype);
    std::copy(shape, shape + ndim, shape_);
    for (int d = 0; d < ndim; ++d) bytes_ *= shape[d];
}

std::shared_ptr<Arrays> Arrays::of(int type, int ndim, const npy_intp* shape) {
    std::vector<i64> key{type};
    key.insert(key.end(), shape, shape + ndim);
    std::shared_ptr<Arrays> found = known()[key].lock();
    if (!found) {
        std::erase_if(known(), [](const auto& entry) { return entry.second.expired(); });
        known()[key] = found = std::make_shared<Arrays>(type, ndim, shape);
    }
    return found;
}

Ref Arrays::take() {
    for (int i = 0; i < LOOKED_AT && !kept_.empty(); ++i) {
        next_ = next_ + 1 < kept_.size() ? next_ + 1 : 0;
        if (Py_REFCNT(kept_[next_]) == 1) return Ref::borrow(kept_[next_]);
    }
    Ref made = make();
    if (made && bytes_ <= LARGEST && (kept_.size() < MOST || bytes_ >= LARGE)) keep(made.get());
    return made;
}

Ref Arrays::make() const {
    return Ref::steal(PyArray_SimpleNew(ndim_, const_cast<npy_intp*>(shape_), type_));
}

void Arrays::keep(PyObject* array) {
    if (all_together + bytes_ > ALL_TOGETHER) {
        for (auto& [key, arrays] : known())
            if (const auto other = arrays.lock()) other->forget();
    }
    Py_INCREF(array);
    kept_.push_back(array);
    all_together += bytes_;
}

void Arrays::forget() {
    all_together -= bytes_ * static_cast<i64>(kept_.size());
    std::vector<PyObject*> before;
    before.swap(kept_);
    for (PyObject* array : before) Py_DECREF(array);
}

bool Arrays::fits(PyObject* array) const {
    if (!PyArray_CheckExact(array)) return false;
    const PyArrayObject* x = as_array(array);
    return type_of(PyArray_DESCR(x)) == type_ && PyArray_NDIM(x) == ndim_ &&
           std::equal(shape_, shape_ + ndim_, PyArray_DIMS(const_cast<PyArrayObject*>(x)));
}

}  // namespace cr
