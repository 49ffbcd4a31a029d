#include "eager/bind.h"

#include "eager/gateway.h"
#include "eager/shortcut.h"

namespace nb = nanobind;

namespace cr {

namespace {

PyCFunction as_function(void (*function)()) { return reinterpret_cast<PyCFunction>(function); }

PyMethodDef functions[] = {
    {"connect", as_function(reinterpret_cast<void (*)()>(&connect)),
     METH_VARARGS | METH_KEYWORDS, "connect(**classes): the Python classes and functions to use."},
    {"evaluate_call", as_function(reinterpret_cast<void (*)()>(&evaluate)), METH_FASTCALL,
     "evaluate_call(primitive, arrays, params): run a call that is known."},
    {nullptr, nullptr, 0, nullptr},
};

bool read_spec(PyObject* spec, std::shared_ptr<Arrays>& like) {
    PyObject* dtype = PyObject_TypeCheck(spec, python.spec.type) ? python.spec.dtype.get(spec)
                                                                 : nullptr;
    PyObject* shape = dtype ? python.spec.shape.get(spec) : nullptr;
    if (!shape || !PyArray_DescrCheck(dtype) || !PyTuple_Check(shape)) return false;
    const int type = type_of(reinterpret_cast<PyArray_Descr*>(dtype));
    const Py_ssize_t ndim = PyTuple_GET_SIZE(shape);
    npy_intp sizes[MAX_DIMS];
    if (type < 0 || ndim > MAX_DIMS) return false;
    for (Py_ssize_t d = 0; d < ndim; ++d) {
        sizes[d] = PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, d));
        if (sizes[d] < 0) {
            PyErr_Clear();
            return false;
        }
    }
    like = Arrays::of(type, static_cast<int>(ndim), sizes);
    return true;
}

// The bytes that an array may access: from the first to behind the last.
std::pair<const char*, const char*> reach(PyArrayObject* x) {
    const char *first = PyArray_BYTES(x), *last = first + PyArray_ITEMSIZE(x);
    for (int d = 0; d < PyArray_NDIM(x); ++d) {
        const npy_intp steps = (PyArray_DIM(x, d) - 1) * PyArray_STRIDE(x, d);
        if (PyArray_DIM(x, d) == 0) return {first, first};
        (steps < 0 ? first : last) += steps;
    }
    return {first, last};
}

// The place of a view in the array that it shows. False if it is not in it.
bool find_window(PyObject* base, PyObject* view, Window& window) {
    if (!PyArray_Check(view)) return false;
    PyArrayObject *x = as_array(base), *y = as_array(view);
    const auto [from, to] = reach(y);
    const auto [first, last] = reach(x);
    if (from != to && (from < first || to > last)) return false;
    window = {PyArray_BYTES(y) - PyArray_BYTES(x), PyArray_NDIM(y), {}, {},
              static_cast<bool>(PyArray_ISWRITEABLE(y)), base == view};
    if (window.ndim > MAX_DIMS || PyArray_DESCR(x) != PyArray_DESCR(y)) return false;
    for (int d = 0; d < window.ndim; ++d) {
        window.shape[d] = PyArray_DIM(y, d);
        window.strides[d] = PyArray_STRIDE(y, d);
    }
    PyObject* owner = PyArray_BASE(y);
    return base == view || (owner && (owner == base || owner == PyArray_BASE(x)));
}

constexpr i64 LARGE = 1 << 16;  // bytes for which releasing Python's lock is worth its time

// Notes what a call does: a kernel, a view, or else the reference. False if the call cannot be told
// apart from others.
bool add_call(nb::handle primitive, nb::tuple arrays, nb::dict params, nb::list input_specs,
              nb::tuple specs, bool several, const Prepared* kernel, bool for_copies,
              nb::handle view, bool followed) {
    Calls* calls = Calls::of(primitive.ptr());
    if (!calls) throw nb::python_error();
    Params given;
    Words words;
    const int count = static_cast<int>(nb::len(arrays));
    PyObject* const* inputs = &PyTuple_GET_ITEM(arrays.ptr(), 0);
    if (!given.read(params.ptr()) || !words.describe(given, inputs, count)) return false;
    auto call = std::make_shared<KnownCall>();
    call->several = several;
    call->params = Ref::steal(PyDict_Copy(params.ptr()));
    call->input_specs = Ref::steal(PyList_AsTuple(input_specs.ptr()));
    call->specs = Ref::borrow(specs.ptr());
    i64 bytes = 0;
    for (nb::handle spec : specs) {
        std::shared_ptr<Arrays> like;
        if (!read_spec(spec.ptr(), like) || call->results.size() == MAX_OPERANDS) return false;
        bytes += like->bytes();
        call->results.push_back(std::move(like));
    }
    for (int i = 0; i < count; ++i) bytes += PyArray_NBYTES(as_array(inputs[i]));
    call->large = bytes >= LARGE;
    call->followed = followed;
    call->way = for_copies ? KnownCall::Way::copies : KnownCall::Way::reference;
    if (kernel) {
        call->way = KnownCall::Way::kernel;
        call->kernel = *kernel;
    }
    if (!view.is_none() && find_window(inputs[0], view.ptr(), call->window))
        call->way = KnownCall::Way::view;
    calls->add(words, std::move(call));
    return true;
}

}  // namespace

void bind_eager(nb::module_& m) {
    if (!import_numpy()) throw nb::python_error();
    if (PyModule_AddFunctions(m.ptr(), functions) != 0) throw nb::python_error();
    m.attr("Shortcut") = nb::steal(make_shortcut_type());
    m.def("add_call", &add_call, nb::arg("primitive"), nb::arg("arrays"), nb::arg("params"),
          nb::arg("input_specs"), nb::arg("specs"), nb::arg("several"),
          nb::arg("kernel").none(), nb::arg("for_copies"), nb::arg("view").none(),
          nb::arg("followed"));
    m.def("forget_calls", &Calls::forget_all);
}

}  // namespace cr
