// The arguments and the result of a kernel: plain data, no library types.
//
// Every kernel has the signature `Status kernel(const Call&)`. A call has operands, which are views
// (pointer, shape, strides in bytes), and parameters, which are integers and floats. This header is
// included by files that are compiled for several instruction sets. So it has no inline function
// that the linker could share between them (see isa.h).
#pragma once
#include <cstddef>
#include <cstdint>

namespace cr {

using i64 = std::int64_t;

enum class DType : std::int32_t { f32, f64, i64, i32, u8, boolean };

constexpr int MAX_DIMS = 8;
constexpr int MAX_OPERANDS = 32;

struct View {
    char* data;
    i64 shape[MAX_DIMS];
    i64 strides[MAX_DIMS];  // in bytes; 0 along a broadcast dimension
    std::int32_t ndim;
    DType dtype;
};

struct Call {
    const View* in;
    const View* out;
    const i64* ints;
    const double* floats;
    std::int32_t n_in, n_out, n_ints, n_floats;
};

enum class Code : std::int32_t {
    ok,
    bad_call,      // the kernel does not accept the operands: a bug in the caller
    out_of_range,  // the index or label `value`, at flat `position`, is not below `limit`
    no_memory,
    refused,  // the op does not accept the data at flat `position`; its reference raises the error
    unmet,    // the requirement with number `value` does not hold
};

struct Status {
    Code code;
    const char* problem;
    i64 position, value, limit;
};

constexpr Status OK{Code::ok, nullptr, 0, 0, 0};
constexpr Status NO_MEMORY{Code::no_memory, "no memory for the kernel's work space", 0, 0, 0};

using KernelFn = Status (*)(const Call&);
struct Kernel {
    const char* name;
    KernelFn run;
};

}  // namespace cr
