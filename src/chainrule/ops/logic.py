"""Logic on truth values and bits, and comparison up to a tolerance."""

from __future__ import annotations

import numpy as np

from chainrule.errors import DTypeError
from chainrule.kinds import elementwise
from chainrule.ops.compare import bitwise_and, bitwise_or, bitwise_xor, isfinite
from chainrule.ops.rules import logical, numeric
from chainrule.primitive import Array, composition, in_place_form, primitive
from chainrule.samples import cases
from chainrule.tensor import Tensor

__all__ = [
    "allclose", "bitwise_left_shift", "bitwise_right_shift", "equal", "isclose", "isneginf",
    "isposinf", "isreal", "logical_and", "logical_not", "logical_or", "logical_xor",
]


@primitive
class bitwise_left_shift:
    """y = a·2ᵇ of integers, the bits that leave on the left lost; 0 for b < 0 or too large."""
    kind, promote = elementwise, "common"
    samples = cases(lambda rng: (np.array([1, -3, 5]), np.array([0, 2, 70])))
    def infer(a, b): return logical(numeric(a), b)
    def forward(a, b): return np.where(in_width(a, b), np.left_shift(a, b), a.dtype.type(0))


@primitive
class bitwise_right_shift:
    """y = ⌊a/2ᵇ⌋ of integers; for b < 0 or too large 0 or −1, what is left of the sign."""
    kind, promote = elementwise, "common"
    samples = cases(lambda rng: (np.array([1, -3, 5]), np.array([0, 2, 70])))
    def infer(a, b): return logical(numeric(a), b)
    def forward(a, b):
        sign = np.where(a < 0, a.dtype.type(-1) if a.dtype.kind == "i" else 0, a.dtype.type(0))
        return np.where(in_width(a, b), np.right_shift(a, b), sign).astype(a.dtype, copy=False)


def in_width(a: Array, b: Array) -> Array:
    """Whether a shift by b moves fewer bits than the integers have."""
    return (b >= 0) & (b < 8 * a.dtype.itemsize)


@in_place_form
@composition
def logical_and(input: Tensor, other: Tensor) -> Tensor:
    """Whether both are not zero.

    >>> import chainrule as cr
    >>> logical_and(cr.tensor([0, 1, 2]), cr.tensor([1.0, 0.0, 3.0]))
    tensor([False, False,  True])
    """
    return bitwise_and(input != 0, other != 0)


@in_place_form
@composition
def logical_or(input: Tensor, other: Tensor) -> Tensor:
    """Whether one of the two, or both, is not zero."""
    return bitwise_or(input != 0, other != 0)


@in_place_form
@composition
def logical_xor(input: Tensor, other: Tensor) -> Tensor:
    """Whether exactly one of the two is not zero."""
    return bitwise_xor(input != 0, other != 0)


@in_place_form
@composition
def logical_not(input: Tensor) -> Tensor:
    """Whether x is zero."""
    return input == 0


@composition
def isposinf(input: Tensor) -> Tensor:
    """Whether x is +∞."""
    return input == float("inf")


@composition
def isneginf(input: Tensor) -> Tensor:
    """Whether x is −∞."""
    return input == float("-inf")


@composition
def isreal(input: Tensor) -> Tensor:
    """True everywhere: there are no complex tensors."""
    return (input == input) | True


@composition
def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """|a − b| ≤ atol + rtol·|b|, elementwise; infinities are close to themselves alone.

    `equal_nan` says whether a NaN is close to a NaN. Raises DTypeError for two dtypes.

    >>> import chainrule as cr
    >>> isclose(cr.tensor([1.0, 2.0]), cr.tensor([1.000001, 2.1]))
    tensor([ True, False])
    """
    if input.dtype != other.dtype:
        raise DTypeError(
            "isclose compares tensors of one dtype", given=f"{input.dtype} and {other.dtype}",
            instead=f"Convert one of them, e.g. other.to(cr.{input.dtype}).",
        )
    same = input == other
    if equal_nan:
        same = same | (input != input) & (other != other)
    a, b = (x.detach() if x.dtype.kind == "f" else x.double() for x in (input, other))
    gap = (a - b).abs()
    return same | isfinite(gap) & (gap <= b.abs() * rtol + atol)


@composition
def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether all elements are close, as `isclose` says.

    >>> import chainrule as cr
    >>> allclose(cr.ones(2), cr.ones(2) + 1e-7)
    True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


@composition
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and the same elements.

    >>> import chainrule as cr
    >>> equal(cr.ones(2), cr.ones(2)), equal(cr.ones(2), cr.ones(3))
    (True, False)
    """
    return input.shape == other.shape and bool((input == other).all())
