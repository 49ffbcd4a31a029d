"""Elementwise formulas as expressions, traced from the NumPy references of their ops.

A reference runs once on symbols, and each call of a NumPy function makes a symbol of its operands.
A record with `steps`, whose reference computes in another way, is traced from its steps, which name
functions of the elementwise machine. A format writes the expressions in its own words.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from chainrule.primitive import DType, Primitive

BOOL = np.dtype("bool")
TESTS = {
    np.equal,
    np.not_equal,
    np.less,
    np.less_equal,
    np.greater,
    np.greater_equal,
    np.isnan,
    np.isinf,
    np.isfinite,
    np.signbit,
    np.logical_and,
    np.logical_or,
    np.logical_xor,
    np.logical_not,
}
"""Functions whose results are truth values."""
OF_INTEGERS = {
    np.add,
    np.subtract,
    np.multiply,
    np.negative,
    np.positive,
    np.maximum,
    np.minimum,
    np.sign,
    np.square,
    np.bitwise_and,
    np.bitwise_or,
    np.bitwise_xor,
    np.invert,
    *TESTS,
}
"""Functions that a format may translate for integers, too."""

Function = Any
"""A function of NumPy's, a word of the elementwise machine, or one of WHERE and CAST."""
WHERE, CAST = "where", "cast"


class Symbol(NDArrayOperatorsMixin):
    """An expression: a function of operands; or a leaf, with what a format gave it as `value`.

    weak: a number that takes the dtype of the arrays it meets, as Python's numbers do.
    is_number: whether a leaf is a known number.
    """

    def __init__(
        self,
        function: Function,
        dtype: DType,
        operands: Sequence[Symbol] = (),
        *,
        weak: bool = False,
        value: Any = None,
        is_number: bool = False,
    ) -> None:
        self.function, self.dtype, self.operands = function, dtype, operands
        self.weak, self.value, self.is_number = weak, value, is_number

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options:
            return NotImplemented
        dtype, weak = common(inputs)
        if dtype.kind != "f" and ufunc not in OF_INTEGERS:
            if not weak:
                return NotImplemented
            dtype = np.dtype("float64")
        operands = [converted(x, dtype) for x in inputs]
        result = BOOL if ufunc in TESTS else dtype
        return Symbol(ufunc, result, operands, weak=weak)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        translated = FUNCTIONS.get(function)
        return NotImplemented if translated is None else translated(*args, **options)

    def astype(self, dtype: Any, copy: bool = True, **_: Any) -> Symbol:
        dtype = np.dtype(dtype)
        return self if dtype == self.dtype else Symbol(CAST, dtype, [self])

    def copy(self) -> Symbol:
        return self

    def all(self) -> Iterator[Symbol]:
        """This symbol and all that it is made of."""
        yield self
        for operand in self.operands:
            yield from operand.all()


def leaf(value: Any, dtype: DType, weak: bool = False) -> Symbol:
    """An array that a format calls `value`."""
    return Symbol(None, dtype, weak=weak, value=value)


def number(value: Any, dtype: DType, weak: bool = False) -> Symbol:
    """A known number."""
    return Symbol(None, dtype, weak=weak, value=np.asarray(value).item(), is_number=True)


def dtype_of(x: Any) -> DType:
    return x.dtype if isinstance(x, (Symbol, np.generic, np.ndarray)) else np.dtype(type(x))


def common(xs: Sequence[Any]) -> tuple[DType, bool]:
    """The dtype of an op's operands, and whether all of them are weak numbers."""
    strong = [dtype_of(x) for x in xs if not _is_weak(x)]
    if strong:
        weak = [x for x in xs if _is_weak(x)]
        floats = any(dtype_of(x).kind == "f" for x in weak)
        return np.result_type(*strong, *([0.0] if floats else [])), False
    return np.result_type(*map(dtype_of, xs)), True


def _is_weak(x: Any) -> bool:
    return x.weak if isinstance(x, Symbol) else type(x) in (bool, int, float)


def converted(x: Any, dtype: DType) -> Symbol:
    """An operand in the dtype of the arithmetic."""
    if not isinstance(x, Symbol):
        return number(x, dtype)
    if x.is_number:
        return number(x.value, dtype)
    return x if x.dtype == dtype else Symbol(CAST, dtype, [x])


def _where(condition: Any, a: Any, b: Any) -> Any:
    if not isinstance(condition, Symbol):
        return a if condition else b
    dtype, weak = common([a, b])
    operands = [condition.astype(BOOL), converted(a, dtype), converted(b, dtype)]
    return Symbol(WHERE, dtype, operands, weak=weak)


def _clip(x: Any, low: Any, high: Any, **_: Any) -> Any:
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: _where,
    np.clip: _clip,
    np.round: np.rint,
    np.copy: lambda x: x,
    np.iscomplexobj: lambda x: False,
}


class _Machine:
    """`m.gelu(x)` in the steps of a record."""

    def __getattr__(self, name: str) -> Callable[..., Symbol]:
        return lambda *xs: Symbol(name, xs[0].dtype, [converted(x, xs[0].dtype) for x in xs])

    def cast(self, x: Symbol, dtype: DType) -> Symbol:
        return x.astype(dtype)


def traced(
    primitive: Primitive, inputs: Sequence[Symbol], params: Any, named: Collection[str] = ()
) -> Symbol | None:
    """The result of an elementwise op; None if its reference is not made of known functions.

    named: ops of floats that the format has a word for, which are not traced further.
    """
    if primitive.name in named and all(x.dtype.kind == "f" for x in inputs):
        return Symbol(primitive.name, inputs[0].dtype, inputs)
    try:
        if primitive.steps is not None:
            result = primitive.steps(_Machine(), *inputs, **params)
        else:
            result = inspect.unwrap(primitive.forward)(*inputs, **params)
    except (TypeError, ValueError, AttributeError):
        return None
    return result if isinstance(result, Symbol) else None
