// What a kernel is given and what it gives back: plain data, no library types.
//
// Every kernel of the engine has one signature, `Status kernel(const Call&)`. A call names its
// operands as views (pointer, shape, strides in bytes) and its parameters as integers and floats.
// This header is read by files compiled for several instruction sets, so it holds no inline
// function that the linker could share between them (see isa.h).
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
    bad_call,      // the operands are not what the kernel takes: a defect of the caller
    out_of_range,  // an index or label in the data: `value` at flat `position`, not below `limit`
    no_memory,
    refused,  // the data at flat `position` is not what the op takes; its reference says why
    unmet,    // a requirement of the program does not hold: the one of number `value`
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
