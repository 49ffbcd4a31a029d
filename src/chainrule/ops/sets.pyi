# Written by tools/stubs.py, from the records.

from collections.abc import Sequence
from typing import Any, NamedTuple

from chainrule.primitive import Primitive
from chainrule.tensor import Tensor

__all__ = [
    "bincount",
    "bucketize",
    "histc",
    "histogram",
    "histogramdd",
    "isin",
    "searchsorted",
    "unique",
    "unique_consecutive",
    "unravel_index",
]

def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements, or parts along `dim`, always sorted."""

def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The first of each run of equal elements, or of equal parts along `dim`."""

def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False
) -> Tensor:
    """Whether each element is one of the test elements."""

def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2, ... occurs in a vector, or the sum of its weights."""

def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of equal bins between min and max, both included."""

class Histogram(NamedTuple):
    """Counts, or their density, and the edges of the bins."""

    hist: Tensor
    bin_edges: Tensor

def histogram(
    input: Tensor,
    bins: int | Tensor,
    *,
    range: tuple[float, float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Histogram:
    """(hist, bin_edges) of equal bins in a range, or of bins with the edges given."""

class HistogramOfRows(NamedTuple):
    """Counts, or their density, and the edges of the bins along each dimension."""

    hist: Tensor
    bin_edges: tuple[Tensor, ...]

def histogramdd(
    input: Tensor,
    bins: int | Sequence[int] | Sequence[Tensor],
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> HistogramOfRows:
    """(hist, bin_edges) of rows with d numbers each: (..., d) → d dimensions of bins."""

def unravel_index(indices: Tensor, shape: int | Sequence[int]) -> tuple[Tensor, ...]:
    """The coordinates of places in a flat tensor, one tensor for each dimension of `shape`."""

def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where in sorted rows each number would be put: before equal ones, or behind them (right)."""

class _sorted_position(Primitive):
    def __call__(self, rows: Tensor | float, input: Tensor | float, *, right: Any) -> Tensor:
        """y = where in a sorted row x would be put: before equal ones, or behind them (right)."""

sorted_position: _sorted_position

def bucketize(
    input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    """The bucket of each number: between which of the sorted boundaries it lies."""
