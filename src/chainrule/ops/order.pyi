# Written by tools/stubs.py, from the records.

from typing import Any, NamedTuple

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

def max(
    input: Tensor,
    dim: int | Tensor | None = None,
    keepdim: bool = False,
    *,
    other: Tensor | None = None,
) -> Any:
    """The largest element, or along `dim` (values, indices); NaN wins."""

def min(
    input: Tensor,
    dim: int | Tensor | None = None,
    keepdim: bool = False,
    *,
    other: Tensor | None = None,
) -> Any:
    """The smallest element, or along `dim` (values, indices); NaN wins."""
