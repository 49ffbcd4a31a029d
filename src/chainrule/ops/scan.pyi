# Written by tools/stubs.py, from the records.

from typing import Any

from chainrule.ops.order import Extreme
from chainrule.primitive import Primitive
from chainrule.tensor import Tensor

__all__ = [
    "cummax",
    "cummin",
    "cumprod",
    "cumulative_trapezoid",
    "diff",
    "logcumsumexp",
    "trapezoid",
]

def along(x: Tensor, dim: int, *, dtype: Any = None) -> Any:
    """The arguments of a running result: along one dimension, of numbers converted first."""

class _recurrence(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float, *, dim: Any) -> Tensor:
        """yᵢ = aᵢ·yᵢ₋₁ + bᵢ along `dim`, y₀ = 0.   Both gradients are such recurrences backwards."""

recurrence: _recurrence

def shifted(x: Tensor, dim: int, first: float = 0.0) -> Tensor:
    """x moved one place on along `dim`, a number in front and the last element left out."""

class _cumprod(Primitive):
    def __call__(self, input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
        """yᵢ = x₁·…·xᵢ along `dim`.   ∂L/∂xᵢ = yᵢ₋₁·hᵢ with hᵢ = gᵢ + xᵢ₊₁·hᵢ₊₁, zeros or not."""

cumprod: _cumprod

class _logcumsumexp(Primitive):
    def __call__(self, input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
        """yᵢ = ln(e^x₁ + … + e^xᵢ) along `dim`."""

logcumsumexp: _logcumsumexp

def difference(a: Tensor, b: Tensor) -> Tensor:
    """a − b, and 0 where both are the same infinity."""

class _running_position(Primitive):
    def __call__(self, input: Tensor | float, *, dim: Any, largest: Any) -> Tensor:
        """y = where the largest (or smallest) element so far is, the last of equals; a NaN stays it."""

running_position: _running_position

def cummax(input: Tensor, dim: int) -> Extreme:
    """(values, indices) of the largest element so far along `dim`; NaN counts as the largest."""

def cummin(input: Tensor, dim: int) -> Extreme:
    """(values, indices) of the smallest element so far along `dim`; a NaN stays."""

def diff(
    input: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:
    """xᵢ₊₁ − xᵢ along `dim`, n times; of booleans, whether they differ."""

def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: float = 1.0, dim: int = -1
) -> Tensor:
    """The areas under y from its beginning to each point, by the trapezoidal rule."""

def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1.0, dim: int = -1) -> Tensor:
    """∫ y by the trapezoidal rule: the area under y at the points x, or at a distance dx."""
