// Arrays for the results of ops: reused once no other reference to them exists.
#pragma once
#include <memory>
#include <vector>

#include "runtime/call.h"
#include "runtime/numpy.h"
#include "runtime/ref.h"

namespace cr {

// Arrays of one element type and shape. Ops share them: see `of`.
class Arrays {
  public:
    Arrays(int type, int ndim, const npy_intp* shape);
    Arrays(const Arrays&) = delete;
    ~Arrays() { forget(); }

    // The arrays of this type and shape, which all ops share.
    static std::shared_ptr<Arrays> of(int type, int ndim, const npy_intp* shape);

    // An array in C order with undefined numbers, to which no other reference exists. Null with an
    // error set.
    Ref take();
    Ref make() const;  // the same, and it is not kept for reuse
    bool fits(PyObject* array) const;  // is an array of this type and shape
    bool is_floating() const { return PyTypeNum_ISFLOAT(type_); }
    i64 bytes() const { return bytes_; }

  private:
    void keep(PyObject* array);
    void forget();

    int type_, ndim_;
    npy_intp shape_[MAX_DIMS];
    i64 bytes_;
    std::vector<PyObject*> kept_;
    std::size_t next_ = 0;
};

}  // namespace cr
