// The instructions of the elementwise machine: CR_FUSED_OPS(X) calls X(name, operands, value).
//
// In a value, a, b and c are vectors of the operands' lanes. A boolean is a lane with all bits set,
// or none. The interpreter and the names in Python are generated from this list.
#pragma once
#include "runtime/call.h"

#define CR_FUSED_OPS(X)                                                                   \
    X(add, 2, a + b)                                                                      \
    X(sub, 2, a - b)                                                                      \
    X(mul, 2, a * b)                                                                      \
    X(div, 2, a / b)                                                                      \
    X(maximum, 2, larger(a, b))                                                           \
    X(minimum, 2, smaller(a, b))                                                          \
    X(neg, 1, -a)                                                                         \
    X(abs, 1, magnitude<T>(a))                                                            \
    X(sign, 1, (a > T(0) ? splat(T(1)) : a < T(0) ? splat(T(-1)) : a == T(0) ? Vec<T>{} : a)) \
    X(square, 1, a * a)                                                                   \
    X(floor, 1, floor_of<T>(a))                                                           \
    X(ceil, 1, -floor_of<T>(-a))                                                          \
    X(round, 1, round_of<T>(a))                                                           \
    X(trunc, 1, with_sign<T>(floor_of<T>(magnitude<T>(a)), a))                            \
    X(exp, 1, exp<T>(a))                                                                  \
    X(expm1, 1, expm1<T>(a))                                                              \
    X(log, 1, log<T>(a))                                                                  \
    X(log1p, 1, log1p<T>(a))                                                              \
    X(sqrt, 1, sqrt(a))                                                                   \
    X(rsqrt, 1, T(1) / sqrt(a))                                                           \
    X(tanh, 1, tanh<T>(a))                                                                \
    X(sin, 1, sin(a))                                                                     \
    X(cos, 1, cos(a))                                                                     \
    X(relu, 1, larger(a, Vec<T>{}))                                                       \
    X(sigmoid, 1, sigmoid<T>(a))                                                          \
    X(softplus, 1, softplus<T>(a))                                                        \
    X(silu, 1, a * sigmoid<T>(a))                                                         \
    X(erf, 1, erf<T>(a))                                                                  \
    X(normal_cdf, 1, normal_cdf<T>(a))                                                    \
    X(gelu, 1, gelu<T>(a))                                                                \
    X(gelu_gradient, 2, a * gelu_slope<T>(b))                                             \
    X(eq, 2, truth<T>(a == b))                                                            \
    X(ne, 2, truth<T>(a != b))                                                            \
    X(lt, 2, truth<T>(a < b))                                                             \
    X(le, 2, truth<T>(a <= b))                                                            \
    X(gt, 2, truth<T>(a > b))                                                             \
    X(ge, 2, truth<T>(a >= b))                                                            \
    X(isnan, 1, truth<T>(a != a))                                                         \
    X(isinf, 1, truth<T>(magnitude<T>(a) == Format<T>::infinity))                         \
    X(isfinite, 1, truth<T>(magnitude<T>(a) < Format<T>::infinity))                       \
    X(bitwise_and, 2, truth<T>(bits<T>(a) & bits<T>(b)))                                  \
    X(bitwise_or, 2, truth<T>(bits<T>(a) | bits<T>(b)))                                   \
    X(bitwise_xor, 2, truth<T>(bits<T>(a) ^ bits<T>(b)))                                  \
    X(bitwise_not, 1, truth<T>(~bits<T>(a)))                                              \
    X(where, 3, (bits<T>(a) != 0 ? b : c))                                                \
    X(gate, 2, b > T(0) ? a : Vec<T>{})                                                   \
    X(to_number, 1, truth<T>(bits<T>(a) & bits<T>(splat(T(1)))))                          \
    X(to_truth, 1, truth<T>(a != T(0)))                                                   \
    X(copy, 1, a)

namespace cr::CR_ISA {

enum class Op : i64 {
#define X(name, operands, value) name,
    CR_FUSED_OPS(X)
#undef X
    count
};

}  // namespace cr::CR_ISA
