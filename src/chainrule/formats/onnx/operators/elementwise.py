"""Elementwise operators: arithmetic, comparisons, logic, conversions."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from chainrule.errors import FormatError
from chainrule.formats.onnx.operators.table import Option, as_tensor, operator
from chainrule.formats.onnx.tensors import dtype_of
from chainrule.nn.functional import activation
from chainrule.ops.elementwise import maximum, minimum
from chainrule.ops.select import where
from chainrule.primitive import Array, DType
from chainrule.tensor import Tensor

METHODS = {
    "Abs": "abs",
    "Acos": "acos",
    "Acosh": "acosh",
    "And": "logical_and",
    "Asin": "asin",
    "Asinh": "asinh",
    "Atan": "arctan",
    "Atanh": "atanh",
    "BitwiseAnd": "bitwise_and",
    "BitwiseNot": "bitwise_not",
    "BitwiseOr": "bitwise_or",
    "BitwiseXor": "bitwise_xor",
    "Ceil": "ceil",
    "Cos": "cos",
    "Cosh": "cosh",
    "Equal": "eq",
    "Erf": "erf",
    "Exp": "exp",
    "Floor": "floor",
    "Greater": "gt",
    "GreaterOrEqual": "ge",
    "IsNaN": "isnan",
    "Less": "lt",
    "LessOrEqual": "le",
    "Log": "log",
    "Mul": "mul",
    "Neg": "neg",
    "Not": "logical_not",
    "Or": "logical_or",
    "Add": "add",
    "Reciprocal": "reciprocal",
    "Relu": "relu",
    "Round": "round",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Sin": "sin",
    "Sinh": "sinh",
    "Sqrt": "sqrt",
    "Sub": "sub",
    "Tan": "tan",
    "Tanh": "tanh",
    "Xor": "logical_xor",
}
"""Operators that are a method of a tensor."""


def _by_method(method: str) -> Any:
    def run(x: Tensor, *others: Tensor) -> Any:
        return getattr(x, method)(*others)

    return run


for _name, _method in METHODS.items():
    operator(_name)(_by_method(_method))


@operator("Div")
def div(a: Tensor, b: Tensor) -> Tensor:
    """a / b; integers are divided towards 0."""
    return a.div(b, rounding_mode=None if a.dtype.kind == "f" else "trunc")


@operator("Mod")
def mod(a: Tensor, b: Tensor, *, fmod: int) -> Tensor:
    """The rest with the sign of b, or with `fmod` of a."""
    return a.fmod(b) if fmod else a.remainder(b)


@operator("Pow")
def power(a: Tensor, b: Tensor) -> Tensor:
    """aᵇ in the dtype of a."""
    if a.dtype.kind != "f" and b.dtype.kind == "f":
        return (a.astype(b.dtype) ** b).astype(a.dtype)
    return a ** b.astype(a.dtype) if a.dtype.kind == "f" else (a**b).astype(a.dtype)


@operator("BitShift")
def bit_shift(a: Tensor, b: Tensor, *, direction: str) -> Tensor:
    return a.bitwise_left_shift(b) if direction == "LEFT" else a.bitwise_right_shift(b)


@operator("Max")
def largest(*xs: Tensor) -> Tensor:
    return functools.reduce(maximum, xs)


@operator("Min")
def smallest(*xs: Tensor) -> Tensor:
    return functools.reduce(minimum, xs)


@operator("Sum")
def total(*xs: Tensor) -> Tensor:
    return functools.reduce(lambda a, b: a + b, xs)


@operator("Mean")
def mean(*xs: Tensor) -> Tensor:
    return total(*xs) / len(xs)


@operator("Clip")
def clip(x: Tensor, min: Option | None = None, max: Option | None = None) -> Tensor:
    """min(max(x, low), high). A limit was an attribute before opset 11."""
    x = x if min is None else x.clamp(min=min)
    return x if max is None else x.clamp(max=max)


@operator("Where")
def select(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    chosen: Tensor = where(condition, a, b)
    return chosen


@operator("IsInf")
def is_infinite(x: Tensor, *, detect_negative: int, detect_positive: int) -> Tensor:
    found = x.isinf()
    found = found if detect_negative else found & (x > 0)
    return found if detect_positive else found & (x < 0)


# -- conversions ---------------------------------------------------------------------------------


def converted(x: Any, dtype: DType) -> Any:
    """x in another dtype. An array may be of one that tensors do not have, such as int4."""
    if isinstance(x, np.ndarray) and x.dtype.kind not in "biuf":
        x = x.astype(np.float32)
    if isinstance(x, np.ndarray) and x.dtype in ("uint16", "uint32", "uint64"):
        return x.astype(dtype)
    return as_tensor(x).astype(dtype)


@operator("Cast")
def cast(x: Any, *, to: int, saturate: int = 1, round_mode: str = "up") -> Any:
    """x in another dtype. The options are of floats of 8 bits alone, which are refused."""
    return converted(x, dtype_of(to, "the result"))


@operator("CastLike")
def cast_like(x: Any, like: Any, *, saturate: int = 1, round_mode: str = "up") -> Any:
    return converted(x, like.dtype)


@operator("BitCast")
def bit_cast(x: Array, *, to: int) -> Array:
    """The bits of known numbers as numbers of another dtype of the same size."""
    dtype = dtype_of(to, "the result")
    if dtype.itemsize != x.dtype.itemsize:
        raise FormatError("bits stay as many", given=f"{x.dtype} to {dtype}")
    return np.ascontiguousarray(x).reshape(x.shape).view(dtype)


@operator("Identity")
def identity(x: Any) -> Any:
    return x


# -- activations ---------------------------------------------------------------------------------


@operator("LeakyRelu")
def leaky_relu(x: Tensor, *, alpha: float) -> Tensor:
    return _not_positive(x, x * alpha)


@operator("PRelu")
def parametric_relu(x: Tensor, slope: Tensor) -> Tensor:
    return _not_positive(x, x * slope)


def _not_positive(x: Tensor, other: Tensor) -> Tensor:
    """x where it is positive, else `other`."""
    y: Tensor = where(x > 0, x, other)
    return y


@operator("ThresholdedRelu")
def thresholded_relu(x: Tensor, *, alpha: float) -> Tensor:
    y: Tensor = where(x > alpha, x, 0)
    return y


@operator("Elu")
def elu(x: Tensor, *, alpha: float) -> Tensor:
    return _not_positive(x, alpha * x.clamp(max=0).expm1())


@operator("Selu")
def selu(x: Tensor, *, alpha: float, gamma: float) -> Tensor:
    return gamma * elu(x, alpha=alpha)


@operator("Celu")
def celu(x: Tensor, *, alpha: float) -> Tensor:
    return _not_positive(x, alpha * (x.clamp(max=0) / alpha).expm1())


@operator("Softplus")
def softplus(x: Tensor) -> Tensor:
    """log(1 + eˣ)."""
    return x.logaddexp(x * 0)


@operator("Softsign")
def softsign(x: Tensor) -> Tensor:
    return x / (x.abs() + 1)


@operator("HardSigmoid")
def hard_sigmoid(x: Tensor, *, alpha: float, beta: float) -> Tensor:
    return (x * alpha + beta).clamp(0, 1)


@operator("HardSwish")
def hard_swish(x: Tensor) -> Tensor:
    return x * hard_sigmoid(x, alpha=1 / 6, beta=0.5)


@operator("Mish")
def mish(x: Tensor) -> Tensor:
    return x * softplus(x).tanh()


@operator("Swish")
def swish(x: Tensor, *, alpha: float) -> Tensor:
    return x * (x * alpha).sigmoid()


@operator("Gelu")
def gelu(x: Tensor, *, approximate: str) -> Tensor:
    return activation.gelu(x, approximate)


@operator("Shrink")
def shrink(x: Tensor, *, bias: float, lambd: float) -> Tensor:
    """x moved by the bias towards 0, and 0 between −λ and λ."""
    above: Tensor = where(x > lambd, x - bias, 0)
    y: Tensor = where(x < -lambd, x + bias, above)
    return y
