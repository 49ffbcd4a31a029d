// Reading single numbers out of operands of any dtype.
#pragma once
#include "kernels/operands.h"

namespace cr::CR_ISA {

// The integer at flat position i of a one-dimensional (or 0-d) view of integers.
inline i64 integer_at(const View& v, i64 i) {
    const char* p = v.data + (v.ndim ? i * v.strides[v.ndim - 1] : 0);
    switch (v.dtype) {
        case DType::i64: return *reinterpret_cast<const std::int64_t*>(p);
        case DType::i32: return *reinterpret_cast<const std::int32_t*>(p);
        default: return *reinterpret_cast<const std::uint8_t*>(p);
    }
}
inline bool holds_integers(const View& v) {
    return v.dtype == DType::i64 || v.dtype == DType::i32 || v.dtype == DType::u8;
}

// The number in a view of one element.
inline double number_in(const View& v) {
    if (v.dtype == DType::f32) return *reinterpret_cast<const float*>(v.data);
    if (v.dtype == DType::f64) return *reinterpret_cast<const double*>(v.data);
    return double(integer_at(View{v.data, {}, {}, 0, v.dtype}, 0));
}

}  // namespace cr::CR_ISA
