"""Expressions in C."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.formats import symbols
from chainrule.formats.c.writer import c_type, literal
from chainrule.formats.symbols import BOOL, CAST, WHERE, Symbol
from chainrule.primitive import Primitive

OPERATORS = {
    np.add: "{0} + {1}",
    np.subtract: "{0} - {1}",
    np.multiply: "{0} * {1}",
    np.divide: "{0} / {1}",
    np.negative: "-{0}",
    np.positive: "{0}",
    np.square: "{0} * {0}",
    np.reciprocal: "1.0 / {0}",
    np.sign: "{0} != {0} ? {0} : ({0} > 0) - ({0} < 0)",
    np.maximum: "{0} != {0} || {0} > {1} ? {0} : {1}",
    np.minimum: "{0} != {0} || {0} < {1} ? {0} : {1}",
    WHERE: "{0} ? {1} : {2}",
    np.equal: "{0} == {1}",
    np.not_equal: "{0} != {1}",
    np.less: "{0} < {1}",
    np.less_equal: "{0} <= {1}",
    np.greater: "{0} > {1}",
    np.greater_equal: "{0} >= {1}",
    np.bitwise_and: "{0} & {1}",
    np.bitwise_or: "{0} | {1}",
    np.bitwise_xor: "{0} ^ {1}",
    np.logical_and: "{0} && {1}",
    np.logical_or: "{0} || {1}",
    np.logical_not: "!{0}",
    np.isnan: "isnan({0})",
    np.isinf: "isinf({0})",
    np.isfinite: "isfinite({0})",
    np.signbit: "signbit({0}) != 0",
}
"""NumPy's functions in C. Names and numbers are those for doubles; see `for_floats`."""
IRREGULAR = {"absolute": "fabs", "power": "pow", "rint": "rint"}

MACHINE = {
    "relu": "{0} <= 0 ? 0 : {0}",
    "gate": "{1} > 0 ? {0} : 0",
    "sigmoid": "1.0 / (1.0 + exp(-{0}))",
    "softplus": "({0} > 0 ? {0} : 0) + log1p(exp(-fabs({0})))",
    "silu": "{0} / (1.0 + exp(-{0}))",
    "erf": "erf({0})",
    "rsqrt": "1.0 / sqrt({0})",
    "gelu": "0.5 * {0} * (1.0 + erf({0} * 0.70710678118654752))",
    "normal_cdf": "0.5 * (1.0 + erf({0} * 0.70710678118654752))",
    "gelu_gradient": "{0} * (0.5 * (1.0 + erf({1} * 0.70710678118654752))"
    " + {1} * exp(-0.5 * {1} * {1}) * 0.39894228040143268)",
}
"""The functions of the elementwise machine that the steps of records name."""

NAMED = {
    "erfc": "erfc({0})",
    "lgamma": "lgamma({0})",
    "floor_divide": "floor({0} / {1})",
    "remainder": "{0} - floor({0} / {1}) * {1}",
    "logaddexp": "fmax({0}, {1}) + log1p(exp(-fabs({0} - {1})))",
    "binary_cross_entropy": "-({1} * fmax(log({0}), -100.0)"
    " + (1.0 - {1}) * fmax(log1p(-{0}), -100.0))",
    "binary_cross_entropy_with_logits": "({0} > 0 ? {0} : 0) - {0} * {1} + log1p(exp(-fabs({0})))",
}
"""Ops of floats whose reference is made of functions that C does not have."""

_POWERS = {2: "{0} * {0}", 1: "{0}", 0.5: "sqrt({0})", -1: "1.0 / {0}"}


def c_function(ufunc: Any) -> str | None:
    """C99's name of a function of NumPy's. Python's `math` has the functions of <math.h>.

    >>> c_function(np.arcsin), c_function(np.exp), c_function(np.spacing)
    ('asin', 'exp', None)
    """
    name = getattr(ufunc, "__name__", "")
    name = IRREGULAR.get(name, name.replace("arc", "a"))
    return name if name in vars(math) or name in IRREGULAR.values() else None


def for_floats(pattern: str) -> str:
    """A pattern for doubles as one for floats.

    >>> for_floats("0.5 * exp({0})")
    '0.5f * expf({0})'
    """
    pattern = re.sub(r"\b([a-z]\w*)\(", lambda m: _float_name(m[1]) + "(", pattern)
    return re.sub(r"\b\d+\.\d+\b", r"\g<0>f", pattern)


def _float_name(function: str) -> str:
    """`expf` for `exp`; the tests of <math.h>, such as `isnan`, are macros for all types."""
    return function if function.startswith(("is", "sign")) else f"{function}f"


def pattern_of(x: Symbol) -> str | None:
    """The pattern of a function in C, for the dtype of its operands; None if there is none."""
    operands, function = x.operands, x.function
    of_floats = operands[0].dtype == np.float32
    if function == CAST:
        if operands[0].dtype == BOOL and x.dtype.kind == "f":
            return "{0}"
        return "{0} != 0" if x.dtype == BOOL else f"({c_type(x.dtype)}){{0}}"
    if function is np.power and operands[1].is_number and operands[1].value in _POWERS:
        pattern = _POWERS[operands[1].value]
    elif function is np.invert:
        return "!{0}" if x.dtype == BOOL else "~{0}"
    elif isinstance(function, str) and function != WHERE:
        pattern = {**MACHINE, **NAMED}.get(function, "")
    elif function in OPERATORS:
        pattern = OPERATORS[function]
    else:
        name = c_function(function)
        places = ", ".join(f"{{{i}}}" for i in range(len(operands)))
        pattern = f"{name}({places})" if name else ""
    return (for_floats(pattern) if of_floats else pattern) or None


def traced(primitive: Primitive, inputs: Sequence[Symbol], params: dict[str, Any]) -> Any:
    """The result of an elementwise op as an expression; None if C has no word for a part of it."""
    result = symbols.traced(primitive, inputs, params, NAMED)
    if result is None or any(x.operands and pattern_of(x) is None for x in result.all()):
        return None
    return result


def statements(results: Sequence[Symbol], name: Callable[[], str]) -> tuple[list[str], list[str]]:
    """The texts of expressions, after the lines that they need: what is used twice gets a name."""
    uses: Counter[int] = Counter()

    def count(x: Symbol) -> None:
        uses[id(x)] += 1
        if uses[id(x)] == 1 and x.operands:
            pattern = pattern_of(x) or ""
            for i, operand in enumerate(x.operands):
                for _ in range(pattern.count(f"{{{i}}}")):
                    count(operand)

    for result in results:
        count(result)
    lines: list[str] = []
    known: dict[int, str] = {}

    def text(x: Symbol) -> tuple[str, bool]:
        """The text of an expression, and whether it can be an operand without parentheses."""
        if not x.operands:
            shown = literal(x.value, x.dtype) if x.is_number else x.value
            return shown, not shown.startswith("-")
        if id(x) in known:
            return known[id(x)], True
        pattern = pattern_of(x) or ""
        call = _is_call(pattern)
        parts = [p if call or atom else f"({p})" for p, atom in map(text, x.operands)]
        whole = pattern.format(*parts)
        if uses[id(x)] > 1:
            known[id(x)] = name()
            lines.append(f"const {c_type(x.dtype)} {known[id(x)]} = {whole};")
            return known[id(x)], True
        return (parts[0], False) if pattern == "{0}" else (whole, call)

    return lines, [text(result)[0] for result in results]


def _is_call(pattern: str) -> bool:
    """Whether a pattern is a call, whose arguments need no parentheses."""
    return re.fullmatch(r"\w+\((\{\d\}(, )?)+\)", pattern) is not None
