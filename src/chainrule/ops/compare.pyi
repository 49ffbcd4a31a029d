# Written by tools/stubs.py, from the records.

from typing import Any

from chainrule.primitive import Primitive
from chainrule.tensor import Tensor

__all__ = [
    "astype",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "clamp",
    "clamp_max",
    "clamp_min",
    "eq",
    "ge",
    "gt",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "lt",
    "ne",
]

class _eq(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = (a = b)."""

eq: _eq

class _ne(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = (a ≠ b)."""

ne: _ne

class _lt(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = (a < b)."""

lt: _lt

class _le(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = (a ≤ b)."""

le: _le

class _gt(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = (a > b)."""

gt: _gt

class _ge(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = (a ≥ b)."""

ge: _ge

class _bitwise_and(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = a and b, of booleans or bit by bit of integers."""

bitwise_and: _bitwise_and

class _bitwise_or(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = a or b, of booleans or bit by bit of integers."""

bitwise_or: _bitwise_or

class _bitwise_xor(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = either a or b, of booleans or bit by bit of integers."""

bitwise_xor: _bitwise_xor

class _bitwise_not(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = not x, of booleans or bit by bit of integers."""

bitwise_not: _bitwise_not

class _isnan(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = (x is not a number)."""

isnan: _isnan

class _isinf(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = (x is ±∞)."""

isinf: _isinf

class _isfinite(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = (x is neither NaN nor ±∞)."""

isfinite: _isfinite

class _where(Primitive):
    def __call__(self, condition: Tensor, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = a where the condition holds, else b.   The gradient goes to the one chosen."""

where: _where

class _clamp_to_numbers(Primitive):
    def __call__(self, input: Tensor | float, *, min: Any, max: Any) -> Tensor:
        """y = x limited to [min, max]; NaN stays.   ∂y/∂x = 1 inside the limits, else 0."""

clamp_to_numbers: _clamp_to_numbers

def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """x limited to [min, max], numbers or tensors; NaN stays. Where min > max, it is max."""

def clamp_min(input: Tensor, min: Any) -> Tensor:
    """x, at least `min`."""

def clamp_max(input: Tensor, max: Any) -> Tensor:
    """x, at most `max`."""

class _astype(Primitive):
    def __call__(self, input: Tensor, dtype: Any) -> Tensor:
        """y = x in another dtype; floats are cut towards 0 on the way to integers.   ∂y/∂x = 1."""

astype: _astype
