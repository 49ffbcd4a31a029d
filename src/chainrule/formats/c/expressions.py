"""Elementwise formulas in C, traced from the NumPy references of their ops.

A reference runs once on symbols. Each call of a NumPy function makes a symbol whose text is the
expression in C. A record with `steps`, whose reference computes in another way, is traced from its
steps, which name functions of the elementwise machine.
"""

from __future__ import annotations

import inspect
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from chainrule.formats.c.writer import c_type, literal
from chainrule.primitive import DType, Primitive

BOOL = np.dtype("bool")

OPERATORS = {
    np.add: "{0} + {1}", np.subtract: "{0} - {1}", np.multiply: "{0} * {1}",
    np.divide: "{0} / {1}", np.negative: "-{0}", np.positive: "{0}", np.square: "{0} * {0}",
    np.reciprocal: "1.0 / {0}", np.sign: "{0} != {0} ? {0} : ({0} > 0) - ({0} < 0)",
    np.maximum: "{0} != {0} || {0} > {1} ? {0} : {1}",
    np.minimum: "{0} != {0} || {0} < {1} ? {0} : {1}",
}  # fmt: skip
IRREGULAR = {"absolute": "fabs", "power": "pow", "rint": "rint"}
TESTS = {
    np.equal: "{0} == {1}", np.not_equal: "{0} != {1}", np.less: "{0} < {1}",
    np.less_equal: "{0} <= {1}", np.greater: "{0} > {1}", np.greater_equal: "{0} >= {1}",
    np.bitwise_and: "{0} & {1}", np.bitwise_or: "{0} | {1}", np.bitwise_xor: "{0} ^ {1}",
    np.logical_and: "{0} && {1}", np.logical_or: "{0} || {1}", np.logical_not: "!{0}",
    np.invert: "!{0}", np.isnan: "isnan({0})", np.isinf: "isinf({0})",
    np.isfinite: "isfinite({0})", np.signbit: "signbit({0}) != 0",
}  # fmt: skip
"""NumPy's functions in C. Names and numbers are those for doubles; see `for_floats`."""

MACHINE = {
    "relu": "{0} <= 0 ? 0 : {0}", "gate": "{1} > 0 ? {0} : 0", "sigmoid": "1.0 / (1.0 + exp(-{0}))",
    "softplus": "({0} > 0 ? {0} : 0) + log1p(exp(-fabs({0})))", "silu": "{0} / (1.0 + exp(-{0}))",
    "erf": "erf({0})", "rsqrt": "1.0 / sqrt({0})",
    "gelu": "0.5 * {0} * (1.0 + erf({0} * 0.70710678118654752))",
    "normal_cdf": "0.5 * (1.0 + erf({0} * 0.70710678118654752))",
    "gelu_slope": "0.5 * (1.0 + erf({0} * 0.70710678118654752))"
    " + {0} * exp(-0.5 * {0} * {0}) * 0.39894228040143268",
}  # fmt: skip
"""The functions of the elementwise machine that the steps of records name."""

NAMED = {
    "erfc": "erfc({0})", "lgamma": "lgamma({0})", "floor_divide": "floor({0} / {1})",
    "remainder": "{0} - floor({0} / {1}) * {1}",
    "logaddexp": "fmax({0}, {1}) + log1p(exp(-fabs({0} - {1})))",
    "binary_cross_entropy": "-({1} * fmax(log({0}), -100.0)"
    " + (1.0 - {1}) * fmax(log1p(-{0}), -100.0))",
    "binary_cross_entropy_with_logits": "({0} > 0 ? {0} : 0) - {0} * {1}"
    " + log1p(exp(-fabs({0})))",
}  # fmt: skip
"""Ops of floats whose reference is made of functions that C does not have."""


def c_function(ufunc: Any) -> str | None:
    """C99's name of a function of NumPy's. Python's `math` has the functions of <math.h>.

    >>> c_function(np.arcsin), c_function(np.exp), c_function(np.spacing)
    ('asin', 'exp', None)
    """
    name = ufunc.__name__
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


class Symbol(NDArrayOperatorsMixin):
    """An expression in C: a pattern with its operands, or a name.

    weak: a number that takes the dtype of the arrays it meets, as Python's numbers do.
    """

    __array_priority__ = 1

    def __init__(
        self, pattern: str, dtype: DType, operands: Sequence[Any] = (), weak: bool = False
    ) -> None:
        self.pattern, self.dtype, self.operands, self.weak = pattern, dtype, operands, weak

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options:
            return NotImplemented
        dtype, weak = _common(inputs)
        if ufunc in TESTS:
            truths = all(_dtype(x) == BOOL for x in inputs)
            if ufunc is np.invert and not truths:
                return NotImplemented
            if ufunc in _BITWISE and not truths:
                return _made(TESTS[ufunc], dtype, dtype, inputs, weak)
            return _made(TESTS[ufunc], BOOL, dtype, inputs, weak)
        if ufunc is np.power and type(inputs[1]) in (int, float) and inputs[1] in _POWERS:
            return _made(_POWERS[inputs[1]], dtype, dtype, inputs[:1], weak)
        function = c_function(ufunc)
        if dtype.kind != "f" and (function or ufunc is np.divide):
            if not weak:
                return NotImplemented
            dtype = np.dtype("float64")
        if ufunc in OPERATORS:
            return _made(OPERATORS[ufunc], dtype, dtype, inputs, weak)
        if function:
            pattern = f"{function}({', '.join(f'{{{i}}}' for i in range(len(inputs)))})"
            return _made(pattern, dtype, dtype, inputs, weak)
        return NotImplemented

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        translated = FUNCTIONS.get(function)
        return NotImplemented if translated is None else translated(*args, **options)

    def astype(self, dtype: Any, copy: bool = True, **_: Any) -> Symbol:
        dtype = np.dtype(dtype)
        if dtype == self.dtype:
            return self
        pattern = "{0} != 0" if dtype == BOOL else f"({c_type(dtype)}){{0}}"
        return Symbol(pattern, dtype, [self])

    def copy(self) -> Symbol:
        return self


_BITWISE = {np.bitwise_and, np.bitwise_or, np.bitwise_xor}
_POWERS = {2: "{0} * {0}", 1: "{0}", 0.5: "sqrt({0})", -1: "1.0 / {0}"}


def _dtype(x: Any) -> DType:
    return x.dtype if isinstance(x, (Symbol, np.generic, np.ndarray)) else np.dtype(type(x))


def _common(xs: Sequence[Any]) -> tuple[DType, bool]:
    """The dtype of an op's operands, and whether all of them are weak numbers."""
    strong = [_dtype(x) for x in xs if not _is_weak(x)]
    if strong:
        weak = [x for x in xs if _is_weak(x)]
        floats = any(_dtype(x).kind == "f" for x in weak)
        return np.result_type(*strong, *([0.0] if floats else [])), False
    return np.result_type(*map(_dtype, xs)), True


def _is_weak(x: Any) -> bool:
    return x.weak if isinstance(x, Symbol) else type(x) in (bool, int, float)


def _made(pattern: str, dtype: DType, among: DType, inputs: Sequence[Any], weak: bool) -> Symbol:
    """An op on operands that are converted to the dtype `among`."""
    operands = [_converted(x, among) for x in inputs]
    return Symbol(for_floats(pattern) if among == np.float32 else pattern, dtype, operands, weak)


def _converted(x: Any, dtype: DType) -> Symbol:
    if not isinstance(x, Symbol):
        return Symbol(literal(np.asarray(x).item(), dtype), dtype)
    if x.dtype == dtype or x.dtype == BOOL or dtype.kind not in "f":
        return x
    return Symbol(f"({c_type(dtype)}){{0}}", dtype, [x])


def _where(condition: Any, a: Any, b: Any) -> Any:
    if not isinstance(condition, Symbol):
        return a if condition else b
    dtype, weak = _common([a, b])
    operands = [condition, _converted(a, dtype), _converted(b, dtype)]
    return Symbol("{0} ? {1} : {2}", dtype, operands, weak)


def _clip(x: Any, low: Any, high: Any, **_: Any) -> Any:
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: _where, np.clip: _clip, np.round: np.rint, np.copy: lambda x: x,
    np.iscomplexobj: lambda x: False,
}  # fmt: skip


class _Machine:
    """`m.gelu(x)` in the steps of a record."""

    def __getattr__(self, name: str) -> Callable[..., Symbol]:
        if name not in MACHINE:
            raise AttributeError(name)
        return lambda *xs: _made(MACHINE[name], xs[0].dtype, xs[0].dtype, xs, False)

    def cast(self, x: Symbol, dtype: DType) -> Symbol:
        return x.astype(dtype)


def traced(primitive: Primitive, inputs: Sequence[Symbol], params: dict[str, Any]) -> Any:
    """The result of an elementwise op as an expression; None if C has no word for a part of it."""
    if primitive.name in NAMED and all(x.dtype.kind == "f" for x in inputs):
        dtype = inputs[0].dtype
        return _made(NAMED[primitive.name], dtype, dtype, inputs, False)
    try:
        if primitive.steps is not None:
            return primitive.steps(_Machine(), *inputs, **params)
        result = inspect.unwrap(primitive.forward)(*inputs, **params)
    except (TypeError, ValueError, AttributeError):  # a function that is not in the tables
        return None
    return result if isinstance(result, Symbol) else None


def statements(results: Sequence[Symbol], name: Callable[[], str]) -> tuple[list[str], list[str]]:
    """The texts of expressions, after the lines that they need: what is used twice gets a name."""
    uses: Counter[int] = Counter()

    def count(x: Symbol) -> None:
        uses[id(x)] += 1
        if uses[id(x)] == 1:
            for i, operand in enumerate(x.operands):
                for _ in range(x.pattern.count(f"{{{i}}}")):
                    count(operand)

    for result in results:
        count(result)
    lines: list[str] = []
    known: dict[int, str] = {}

    def text(x: Symbol) -> tuple[str, bool]:
        """The text of an expression, and whether it can be an operand without parentheses."""
        if not x.operands:
            return x.pattern, not x.pattern.startswith("-")
        if id(x) in known:
            return known[id(x)], True
        call = _is_call(x.pattern)
        parts = [p if call or atom else f"({p})" for p, atom in map(text, x.operands)]
        whole = x.pattern.format(*parts)
        if uses[id(x)] > 1:
            known[id(x)] = name()
            lines.append(f"const {c_type(x.dtype)} {known[id(x)]} = {whole};")
            return known[id(x)], True
        return (parts[0], False) if x.pattern == "{0}" else (whole, call)

    return lines, [text(result)[0] for result in results]


def _is_call(pattern: str) -> bool:
    """Whether a pattern is a call, whose arguments need no parentheses."""
    return re.fullmatch(r"\w+\((\{\d\}(, )?)+\)", pattern) is not None
