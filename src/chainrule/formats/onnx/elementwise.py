"""Elementwise ops in ONNX: nodes for the expressions that are traced from their references."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from onnx import helper

from chainrule.formats import symbols
from chainrule.formats.onnx.builder import Builder
from chainrule.formats.onnx.table import Call, translation, unknown
from chainrule.formats.symbols import CAST, WHERE, Symbol, leaf, number

NODES = {
    np.add: "Add",
    np.subtract: "Sub",
    np.multiply: "Mul",
    np.divide: "Div",
    np.negative: "Neg",
    np.absolute: "Abs",
    np.floor: "Floor",
    np.ceil: "Ceil",
    np.rint: "Round",
    np.exp: "Exp",
    np.log: "Log",
    np.sqrt: "Sqrt",
    np.sin: "Sin",
    np.cos: "Cos",
    np.tan: "Tan",
    np.arcsin: "Asin",
    np.arccos: "Acos",
    np.arctan: "Atan",
    np.sinh: "Sinh",
    np.cosh: "Cosh",
    np.tanh: "Tanh",
    np.arcsinh: "Asinh",
    np.arccosh: "Acosh",
    np.arctanh: "Atanh",
    np.power: "Pow",
    np.sign: "Sign",
    np.reciprocal: "Reciprocal",
    np.maximum: "Max",
    np.minimum: "Min",
    np.equal: "Equal",
    np.less: "Less",
    np.less_equal: "LessOrEqual",
    np.greater: "Greater",
    np.greater_equal: "GreaterOrEqual",
    np.logical_and: "And",
    np.logical_or: "Or",
    np.logical_not: "Not",
    np.bitwise_and: "And",
    np.bitwise_or: "Or",
    np.bitwise_xor: "Xor",
    np.invert: "Not",
    np.isnan: "IsNaN",
    np.isinf: "IsInf",
    np.positive: "Identity",
    WHERE: "Where",
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "softplus": "Softplus",
    "erf": "Erf",
}
"""One node for a function of NumPy's or a word of the elementwise machine."""

ROOT_HALF = math.sqrt(0.5)
FORMULAS: dict[Any, Any] = {
    np.square: lambda x: x * x,
    np.expm1: lambda x: np.exp(x) - 1.0,
    np.log1p: lambda x: np.log(x + 1.0),
    np.exp2: lambda x: np.exp(x * math.log(2)),
    np.log2: lambda x: np.log(x) * (1 / math.log(2)),
    np.log10: lambda x: np.log(x) * (1 / math.log(10)),
    np.trunc: lambda x: np.sign(x) * np.floor(np.absolute(x)),
    np.not_equal: lambda a, b: ~np.equal(a, b),
    np.isfinite: lambda x: ~(np.isnan(x) | np.isinf(x)),
    np.signbit: lambda x: np.less(x, 0.0),
    np.hypot: lambda a, b: np.sqrt(a * a + b * b),
    "silu": lambda x: x * Symbol("sigmoid", x.dtype, [x]),
    "rsqrt": lambda x: 1.0 / np.sqrt(x),
    "gate": lambda g, x: np.where(np.greater(x, 0.0), g, 0.0),
    "gelu": lambda x: 0.5 * x * (1.0 + Symbol("erf", x.dtype, [x * ROOT_HALF])),
    "normal_cdf": lambda x: 0.5 * (1.0 + Symbol("erf", x.dtype, [x * ROOT_HALF])),
}
"""Functions that ONNX has no node for, by others."""


def elementwise(call: Call, **params: Any) -> str:
    """The op's reference, traced."""
    inputs = []
    for i, (name, value) in enumerate(zip(call.inputs, call.equation.inputs, strict=True)):
        known = call.known.get(i)
        single = known is not None and known.ndim == 0
        inputs.append(number(known, value.dtype) if single else leaf(name, value.dtype))
    result = symbols.traced(call.equation.primitive, inputs, params)
    if result is None:
        raise unknown(call.equation)
    written = _Writer(call).write(result.astype(call.spec.dtype))
    return call.build.node("Identity", written) if written in call.inputs else written


class _Writer:
    def __init__(self, call: Call) -> None:
        self.call = call
        self.known: dict[int, str] = {}

    def write(self, x: Symbol) -> str:
        """The nodes of an expression; the name of its result."""
        build: Builder = self.call.build
        if not x.operands:
            return build.constant(x.value, x.dtype) if x.is_number else x.value
        if id(x) not in self.known:
            self.known[id(x)] = self._node(build, x)
        return self.known[id(x)]

    def _node(self, build: Builder, x: Symbol) -> str:
        if x.function == CAST:
            kind = helper.np_dtype_to_tensor_dtype(x.dtype)
            return build.node("Cast", self.write(x.operands[0]), to=kind)
        if x.function in FORMULAS:
            return self.write(FORMULAS[x.function](*x.operands))
        if x.function not in NODES:
            raise unknown(self.call.equation)
        return build.node(NODES[x.function], *map(self.write, x.operands))


@translation("elu")
def elu(call: Call, alpha: float) -> str:
    return call.build.node("Elu", *call.inputs, alpha=float(alpha))


@translation("leaky_relu")
def leaky_relu(call: Call, slope: float) -> str:
    return call.build.node("LeakyRelu", *call.inputs, alpha=float(slope))


@translation("remainder", "fmod")
def remainder(call: Call) -> str:
    """The sign of the divisor for `remainder`, of the dividend for `fmod`."""
    if call.equation.primitive.name == "fmod":
        return call.build.node("Mod", *call.inputs, fmod=1)
    a, b = call.inputs
    quotient = call.build.node("Floor", call.build.node("Div", a, b))
    return call.build.node("Sub", a, call.build.node("Mul", quotient, b))
