"""Number: a 0-d tensor that takes part in arithmetic as a Python number does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.ops.elementwise import maximum, minimum
from chainrule.primitive import DType
from chainrule.tensor import Tensor

_FLOAT64 = np.dtype(np.float64)


def _weak(name: str) -> Callable[[Any, Any], Any]:
    """An operator of Tensor, for a Number and anything."""
    operator = getattr(Tensor, name)

    def weak(self: Number, other: Any) -> Any:
        if isinstance(other, Tensor) and not isinstance(other, Number):
            return operator(self.in_dtype(other.dtype), other)
        return _as_number(operator(self, other))

    return weak


class Number(Tensor):
    """A 0-d float64 tensor that is weak: with a tensor of another dtype, the result has that dtype.

    So a formula computes the factors that are the same for all weights, such as 1 − βᵗ, in float64,
    and the weights in their own dtype, as with Python numbers. Unlike a Python number, it can be
    captured.

    >>> import chainrule as cr
    >>> beta = Number.of(cr.tensor(0.999, dtype=cr.float64))
    >>> (1 - beta**2) * cr.ones(2)
    tensor([0.002, 0.002])
    """

    __slots__ = ()

    @classmethod
    def of(cls, value: Tensor) -> Number:
        """A number with the value of a 0-d tensor, which later writes to it do not change."""
        return _as_number(value.clone() if value.dtype is _FLOAT64 else value.astype(_FLOAT64))

    def in_dtype(self, dtype: DType) -> Tensor:
        """The number as a tensor that is not weak."""
        return self if dtype is _FLOAT64 else self.astype(dtype)

    __add__, __radd__ = _weak("__add__"), _weak("__radd__")
    __sub__, __rsub__ = _weak("__sub__"), _weak("__rsub__")
    __mul__, __rmul__ = _weak("__mul__"), _weak("__rmul__")
    __truediv__, __rtruediv__ = _weak("__truediv__"), _weak("__rtruediv__")
    __pow__, __rpow__ = _weak("__pow__"), _weak("__rpow__")


def larger(a: Number, b: Any) -> Number:
    """max(a, b)."""
    return _as_number(maximum(a, b))


def smaller(a: Number, b: Any) -> Number:
    """min(a, b)."""
    return _as_number(minimum(a, b))


def _as_number(value: Any) -> Number:
    """A tensor that nothing else refers to, as a Number."""
    value.__class__ = Number
    number: Number = value
    return number
