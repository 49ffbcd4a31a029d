// An owned reference to a Python object, which is released at the end of its scope.
#pragma once
#include <Python.h>

#include <utility>

namespace cr {

class Ref {
  public:
    Ref() = default;
    static Ref steal(PyObject* object) { return Ref(object); }
    static Ref borrow(PyObject* object) { return Ref(Py_XNewRef(object)); }
    Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Ref& operator=(Ref&& other) noexcept {
        PyObject* before = std::exchange(object_, std::exchange(other.object_, nullptr));
        Py_XDECREF(before);
        return *this;
    }
    Ref(const Ref&) = delete;
    Ref& operator=(const Ref&) = delete;
    ~Ref() { Py_XDECREF(object_); }

    PyObject* get() const { return object_; }
    PyObject* release() { return std::exchange(object_, nullptr); }
    explicit operator bool() const { return object_; }

  private:
    explicit Ref(PyObject* object) : object_(object) {}
    PyObject* object_ = nullptr;
};

// A tuple of these objects. Null with an error set.
inline Ref tuple_of(PyObject* const* items, Py_ssize_t count) {
    Ref tuple = Ref::steal(PyTuple_New(count));
    for (Py_ssize_t i = 0; tuple && i < count; ++i)
        PyTuple_SET_ITEM(tuple.get(), i, Py_NewRef(items[i]));
    return tuple;
}

}  // namespace cr
