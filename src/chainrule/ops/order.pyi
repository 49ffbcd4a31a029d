# Written by tools/stubs.py, from the records.

from typing import NamedTuple, overload

from chainrule.primitive import Primitive
from chainrule.tensor import Tensor

__all__ = ["argsort", "max", "min", "sort", "topk"]

class Extreme(NamedTuple):
    """Values with their positions, as sort, topk, max and min along a dimension return them."""

    values: Tensor
    indices: Tensor

class _argsort(Primitive):
    def __call__(
        self, input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = True
    ) -> Tensor:
        """y = the order that sorts x along `dim`, stable; NaN sorts last."""

argsort: _argsort

def sort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = True) -> Extreme:
    """(values, indices) sorted along `dim`; always stable, NaN counts as the largest."""

def topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> Extreme:
    """(values, indices) of the k largest (or smallest) along `dim`, always sorted."""

@overload
def max(input: Tensor) -> Tensor: ...
@overload
def max(input: Tensor, dim: int, keepdim: bool = False) -> Extreme: ...
@overload
def max(input: Tensor, other: Tensor, /) -> Tensor: ...
@overload
def max(input: Tensor, *, other: Tensor) -> Tensor: ...
@overload
def min(input: Tensor) -> Tensor: ...
@overload
def min(input: Tensor, dim: int, keepdim: bool = False) -> Extreme: ...
@overload
def min(input: Tensor, other: Tensor, /) -> Tensor: ...
@overload
def min(input: Tensor, *, other: Tensor) -> Tensor: ...
