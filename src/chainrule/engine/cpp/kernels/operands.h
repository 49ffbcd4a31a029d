// Simple properties of the operands of kernels, and of whole numbers.
#pragma once
#include "runtime/isa.h"

namespace cr::CR_ISA {

constexpr i64 least(i64 a, i64 b) { return a < b ? a : b; }
constexpr i64 most(i64 a, i64 b) { return a > b ? a : b; }
inline i64 parts(i64 whole, i64 part) { return (whole + part - 1) / part; }  // rounded up
inline i64 rounded(i64 n, i64 unit) { return parts(n, unit) * unit; }

inline Status bad_call(const char* problem) { return {Code::bad_call, problem, 0, 0, 0}; }
inline Status out_of_range(const char* problem, i64 position, i64 value, i64 limit) {
    return {Code::out_of_range, problem, position, value, limit};
}

template <class T> T* data(const View& v) { return reinterpret_cast<T*>(v.data); }

inline i64 item_size(DType type) {
    switch (type) {
        case DType::f64: case DType::i64: return 8;
        case DType::f32: case DType::i32: return 4;
        default: return 1;
    }
}

inline i64 count(const View& v) {
    i64 n = 1;
    for (int d = 0; d < v.ndim; ++d) n *= v.shape[d];
    return n;
}

inline bool same_shape(const View& a, const View& b) {
    if (a.ndim != b.ndim) return false;
    for (int d = 0; d < a.ndim; ++d)
        if (a.shape[d] != b.shape[d]) return false;
    return true;
}

// Whether the elements are contiguous, in C order.
inline bool contiguous(const View& v) {
    i64 expected = item_size(v.dtype);
    for (int d = v.ndim - 1; d >= 0; --d) {
        if (v.shape[d] == 0) return true;
        if (v.shape[d] != 1 && v.strides[d] != expected) return false;
        expected *= v.shape[d];
    }
    return true;
}

inline bool all_of_type(const Call& call, DType type) {
    for (int i = 0; i < call.n_in; ++i)
        if (call.in[i].dtype != type) return false;
    for (int i = 0; i < call.n_out; ++i)
        if (call.out[i].dtype != type) return false;
    return true;
}

}  // namespace cr::CR_ISA
