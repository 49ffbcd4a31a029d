# Written by tools/stubs.py, from the records.

from chainrule.primitive import Array, Primitive
from chainrule.tensor import Tensor

__all__ = [
    "allclose",
    "bitwise_left_shift",
    "bitwise_right_shift",
    "equal",
    "isclose",
    "isneginf",
    "isposinf",
    "isreal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
]

class _bitwise_left_shift(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = a·2ᵇ of integers, the bits that leave on the left lost; 0 for b < 0 or too large."""

bitwise_left_shift: _bitwise_left_shift

class _bitwise_right_shift(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = ⌊a/2ᵇ⌋ of integers; for b < 0 or too large 0 or −1, what is left of the sign."""

bitwise_right_shift: _bitwise_right_shift

def in_width(a: Array, b: Array) -> Array:
    """Whether a shift by b moves fewer bits than the integers have."""

def logical_and(input: Tensor, other: Tensor) -> Tensor:
    """Whether both are not zero."""

def logical_or(input: Tensor, other: Tensor) -> Tensor:
    """Whether one of the two, or both, is not zero."""

def logical_xor(input: Tensor, other: Tensor) -> Tensor:
    """Whether exactly one of the two is not zero."""

def logical_not(input: Tensor) -> Tensor:
    """Whether x is zero."""

def isposinf(input: Tensor) -> Tensor:
    """Whether x is +∞."""

def isneginf(input: Tensor) -> Tensor:
    """Whether x is −∞."""

def isreal(input: Tensor) -> Tensor:
    """True everywhere: there are no complex tensors."""

def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor:
    """|a − b| ≤ atol + rtol·|b|, elementwise; infinities are close to themselves alone."""

def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether all elements are close, as `isclose` says."""

def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and the same elements."""
