// The Python module `chainrule.engine._native`: bindings of the pool, the kernels and programs.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "eager/bind.h"
#include "runtime/doors.h"
#include "runtime/pool.h"
#include "runtime/prepared.h"
#include "runtime/processor.h"
#include "runtime/program.h"
#include "runtime/selection.h"

namespace nb = nanobind;
using namespace cr;

namespace {

PyObject* run_of_program(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 4 || !nb::isinstance<Program>(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "run(program, arrays, callback, timed)");
        return nullptr;
    }
    Program& program = *nb::inst_ptr<Program>(arguments[0]);
    return run_program(program, arguments[1], arguments[2], PyObject_IsTrue(arguments[3]) == 1);
}

PyObject* replay_of_program(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 3 || !PyTuple_Check(arguments[0]) || PyTuple_GET_SIZE(arguments[0]) != PARTS ||
        !nb::isinstance<Program>(PyTuple_GET_ITEM(arguments[0], PROGRAM)) ||
        !PyTuple_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "replay(record, arguments, otherwise): see doors.h");
        return nullptr;
    }
    PyObject* result = replay_program(arguments[0], &PyTuple_GET_ITEM(arguments[1], 0),
                                      PyTuple_GET_SIZE(arguments[1]));
    return result || PyErr_Occurred() ? result : Py_NewRef(arguments[2]);
}

PyMethodDef doors[] = {
    {"run", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&run_of_program)),
     METH_FASTCALL, "run(program, arrays, callback, timed): run a program."},
    {"replay", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&replay_of_program)),
     METH_FASTCALL, "replay(record, arguments, otherwise): run a compiled call, or return `otherwise`."},
    {nullptr, nullptr, 0, nullptr},
};

View layout(const std::vector<i64>& shape, const std::vector<i64>& strides,
            const std::string& format) {
    View view{};
    const i64 size = format == "l" || format == "q" ? 8 : 4;
    if (shape.size() > MAX_DIMS || shape.size() != strides.size() ||
        !dtype_named(format.c_str(), size, view.dtype))
        throw nb::value_error("no native kernel takes a buffer of this dtype or so many dimensions");
    view.ndim = static_cast<int>(shape.size());
    for (int d = 0; d < view.ndim; ++d) view.shape[d] = shape[d], view.strides[d] = strides[d];
    return view;
}

KernelFn existing(const std::string& name) {
    const KernelFn kernel = kernel_named(name.c_str());
    if (!kernel) throw nb::value_error("no such kernel");
    return kernel;
}

void expect_sound(const Program& program) {
    if (!program.problem.empty()) throw nb::value_error(program.problem.c_str());
}

}  // namespace

NB_MODULE(_native, m) {
    // Compiled functions keep their programs until the interpreter exits, which is not a leak.
    nb::set_leak_warnings(false);
    if (PyModule_AddFunctions(m.ptr(), doors) != 0) throw nb::python_error();
    m.def("class_version", [](nb::type_object cls) { return class_version(cls.ptr()); });
    bind_eager(m);
    m.def("thread_count", &thread_count);
    m.def("set_thread_count", &set_thread_count);
    m.def("second_cache", &second_cache);
    m.def("use_second_cache", &use_second_cache);
    m.def("instruction_set", [] { return chosen_set().name; });
    m.def("use_instruction_set", [](const std::string& name) { return choose_set(name.c_str()); });
    m.def("instruction_sets", [] {
        InstructionSet sets[MAX_SETS];
        const int n = instruction_sets(sets);
        nb::list names;
        for (int i = 0; i < n; ++i)
            if (sets[i].supported) names.append(sets[i].name);
        return names;
    });
    m.def("kernels", [] {
        nb::list names;
        for (const Kernel* k = chosen_set().kernels; k->name; ++k) names.append(k->name);
        return names;
    });
    m.def("fused_ops", [] {
        nb::list ops;
        for (const FusedOp* op = fused_op_names; op->name; ++op)
            ops.append(nb::make_tuple(op->name, op->operands));
        return ops;
    });
    nb::class_<Prepared>(m, "Prepared")
        .def("__init__", [](Prepared* self, const std::string& kernel, std::vector<i64> ints,
                            std::vector<double> floats) {
            const KernelFn run = kernel.empty() ? nullptr : existing(kernel);
            new (self) Prepared(run, std::move(ints), std::move(floats));
        })
        .def("add_array", [](Prepared& p, const std::vector<i64>& shape,
                             const std::vector<i64>& strides, const std::string& format,
                             bool written) { p.add_array(layout(shape, strides, format), written); })
        .def("add_operand", [](Prepared& p, i64 array, const std::vector<i64>& shape,
                               const std::vector<i64>& strides, const std::string& format) {
            if (!p.add_operand(array, layout(shape, strides, format)))
                throw nb::value_error("an operand does not lie inside its array");
        })
        .def_rw("of_copies", &Prepared::of_copies)
        .def("run", [](const Prepared& p, nb::list arrays) {
            PyObject* problem = p.call(arrays.ptr());
            if (!problem) throw nb::python_error();
            return nb::steal(problem);
        });
    nb::class_<Program>(m, "Program")
        .def(nb::init<>())
        .def("add_base", [](Program& p, nb::handle array, bool writable) {
            const int base = p.add_base(array.ptr(), writable);
            if (base < 0) throw nb::python_error();
            return base;
        })
        .def("add_slot", [](Program& p, const std::vector<i64>& shape,
                            const std::vector<i64>& strides, const std::string& format,
                            bool written) {
            const int base = p.add_slot(layout(shape, strides, format), written);
            expect_sound(p);
            return base;
        })
        .def("add_buffer", [](Program& p, int base, i64 offset, const std::vector<i64>& shape,
                              const std::vector<i64>& strides, const std::string& format) {
            const int buffer = p.add_buffer({base, offset, layout(shape, strides, format)});
            expect_sound(p);
            return buffer;
        })
        .def("add_call", [](Program& p, const std::string& kernel, std::vector<int> in,
                            std::vector<int> out, std::vector<i64> ints,
                            std::vector<double> floats) {
            p.add_call(existing(kernel), std::move(in), std::move(out), std::move(ints),
                       std::move(floats));
            expect_sound(p);
        })
        .def_rw("committed", &Program::committed)
        .def("add_callback", &Program::add_callback)
        .def("bound", [](const Program& p, i64 slot) {
            PyObject* array = slot >= 0 && slot < p.slots() ? p.bound(slot) : nullptr;
            return array ? nb::borrow(array) : nb::none();
        })
        .def("shared", [](const Program& p) {
            nb::list shared;
            for (i64 i = 0; i < p.instructions(); ++i) shared.append(p.shares(i));
            return shared;
        })
        .def("seal", &Program::seal);
}
