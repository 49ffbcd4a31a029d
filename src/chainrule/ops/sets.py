"""Distinct values, counts, histograms and sorted positions: results of the numbers, not derived.

How large the first three are depends on the numbers, so they cannot be captured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.ops.index import gather
from chainrule.ops.rules import normalized_dim
from chainrule.primitive import Array, Spec, composition, primitive
from chainrule.samples import cases
from chainrule.tensor import Tensor, from_numpy

__all__ = [
    "bincount", "bucketize", "histc", "histogram", "histogramdd", "isin", "searchsorted", "unique",
    "unique_consecutive", "unravel_index",
]


@composition
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements, or parts along `dim`, always sorted.

    With `return_inverse` also where in the result each one is, with `return_counts` how many there
    are of each.

    >>> import chainrule as cr
    >>> unique(cr.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    x = input._numbers("unique")
    values, inverse, counts = np.unique(
        x, return_inverse=True, return_counts=True, axis=dim, equal_nan=False
    )
    inverse = inverse.reshape(x.shape if dim is None else -1)
    return _chosen(values, (inverse, return_inverse), (counts, return_counts))


@composition
def unique_consecutive(
    input: Tensor,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The first of each run of equal elements, or of equal parts along `dim`.

    >>> import chainrule as cr
    >>> unique_consecutive(cr.tensor([1, 1, 2, 1]))
    tensor([1, 2, 1])
    """
    x = input._numbers("unique_consecutive")
    rows = x.reshape(-1) if dim is None else np.moveaxis(x, normalized_dim(dim, x.ndim), 0)
    flat = rows.reshape(len(rows), -1)
    starts = np.ones(len(rows), bool)
    starts[1:] = (flat[1:] != flat[:-1]).any(1)
    inverse = np.cumsum(starts) - 1
    counts = np.diff(np.append(np.flatnonzero(starts), len(rows)))
    values = rows[starts] if dim is None else np.moveaxis(rows[starts], 0, dim)
    inverse = inverse.reshape(x.shape if dim is None else -1)
    return _chosen(values, (inverse, return_inverse), (counts, return_counts))


def _chosen(values: Array, *parts: tuple[Array, bool]) -> Any:
    """The values, and beside them those of the other parts that are wanted."""
    wanted = [from_numpy(part.astype(np.int64)) for part, is_wanted in parts if is_wanted]
    return (from_numpy(values), *wanted) if wanted else from_numpy(values)


@composition
def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False
) -> Tensor:
    """Whether each element is one of the test elements."""
    x, others = (e._numbers("isin") if isinstance(e, Tensor) else np.asarray(e)
                 for e in (elements, test_elements))
    return from_numpy(np.asarray(np.isin(x, others, assume_unique, invert)))


@composition
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2, ... occurs in a vector, or the sum of its weights.

    >>> import chainrule as cr
    >>> bincount(cr.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    x = input._numbers("bincount")
    if x.ndim != 1 or x.dtype.kind not in "iu" or (x < 0).any():
        raise ArgumentError("bincount takes a vector of integers from 0 on", given=input.spec)
    places = x.astype(np.intp)
    if weights is None:
        return from_numpy(np.bincount(places, minlength=minlength).astype(np.int64))
    counts = np.bincount(places, weights._numbers("bincount"), minlength)
    return from_numpy(counts.astype(weights.dtype if weights.dtype.kind == "f" else np.float64))


@composition
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of equal bins between min and max, both included.

    Where both are equal, they are the smallest and the largest element.

    >>> import chainrule as cr
    >>> histc(cr.tensor([0.0, 1.0, 1.0, 4.0]), bins=4)
    tensor([1., 2., 0., 1.])
    """
    x = input._numbers("histc")
    if bins < 1 or max < min or x.dtype.kind != "f":
        raise ArgumentError("histc needs floats, a bin and min ≤ max", given=(bins, min, max))
    if min == max and x.size:
        min, max = float(x.min()), float(x.max())
    if min == max:
        min, max = min - 1, max + 1
    if not (math.isfinite(min) and math.isfinite(max)):
        raise ArgumentError("the range of a histogram is finite", given=(min, max))
    return from_numpy(np.histogram(x, bins, (min, max))[0].astype(x.dtype))


class Histogram(NamedTuple):
    """Counts, or their density, and the edges of the bins."""

    hist: Tensor
    bin_edges: Tensor


@composition
def histogram(
    input: Tensor,
    bins: int | Tensor,
    *,
    range: tuple[float, float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Histogram:
    """(hist, bin_edges) of equal bins in a range, or of bins with the edges given."""
    x = input._numbers("histogram")
    edges = bins._numbers("histogram") if isinstance(bins, Tensor) else bins
    weights = None if weight is None else weight._numbers("histogram")
    counts, borders = np.histogram(x, edges, range, density, weights)
    return Histogram(from_numpy(counts.astype(x.dtype)), from_numpy(borders.astype(x.dtype)))


class HistogramOfRows(NamedTuple):
    """Counts, or their density, and the edges of the bins along each dimension."""

    hist: Tensor
    bin_edges: tuple[Tensor, ...]


@composition
def histogramdd(
    input: Tensor,
    bins: int | Sequence[int] | Sequence[Tensor],
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> HistogramOfRows:
    """(hist, bin_edges) of rows with d numbers each: (..., d) → d dimensions of bins.

    `range` has the lower and the upper end for each dimension, one after the other.
    """
    x = input._numbers("histogramdd").reshape(-1, input.shape[-1])
    many = [bins] * x.shape[1] if isinstance(bins, int) else bins
    edges: Any = [b._numbers("histogramdd") if isinstance(b, Tensor) else b for b in many]
    ends: Any = None if range is None else np.reshape(range, (-1, 2))
    weights = None if weight is None else weight._numbers("histogramdd").reshape(-1)
    counts, borders = np.histogramdd(x, edges, ends, density, weights)
    rows = tuple(from_numpy(b.astype(x.dtype)) for b in borders)
    return HistogramOfRows(from_numpy(counts.astype(x.dtype)), rows)


@composition
def unravel_index(indices: Tensor, shape: int | Sequence[int]) -> tuple[Tensor, ...]:
    """The coordinates of places in a flat tensor, one tensor for each dimension of `shape`.

    >>> import chainrule as cr
    >>> unravel_index(cr.tensor([5, 2]), (2, 3))
    (tensor([1, 0]), tensor([2, 2]))
    """
    rest, found = indices, []
    for size in reversed([shape] if isinstance(shape, int) else [*shape]):
        found.append(rest % size)
        rest = rest // size
    return tuple(reversed(found))


@composition
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where in sorted rows each number would be put: before equal ones, or behind them (right).

    The sequence is one row for all, or has a row for each row of numbers.

    >>> import chainrule as cr
    >>> searchsorted(cr.tensor([1, 3, 5]), cr.tensor([3, 4]))
    tensor([1, 2])
    """
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ArgumentError("the side is left or right", given=(side, right))
    rows = sorted_sequence if sorter is None else gather(sorted_sequence, -1, sorter)
    found = sorted_position(rows, input, right=right or side == "right")
    return found.to(np.int32) if out_int32 else found


@primitive
class sorted_position:
    """y = where in a sorted row x would be put: before equal ones, or behind them (right)."""
    promote = "common"
    samples = cases(
        lambda rng: (np.array([-1.0, 0.5, 1.0]), rng.normal(size=(3, 4)), {"right": False}),
        lambda rng: (np.sort(rng.normal(size=(2, 3))), rng.normal(size=(2, 4)), {"right": True}),
    )

    def infer(rows, x, *, right):
        if len(rows.shape) != 1 and rows.shape[:-1] != x.shape[:-1]:
            raise ShapeError("a row for each row", given=x.shape, expected=rows.shape[:-1])
        return Spec(x.shape, np.int64)

    def forward(rows, x, *, right):
        side = "right" if right else "left"
        if rows.ndim == 1:
            return np.asarray(np.searchsorted(rows, x, side), np.int64)
        found = np.empty(x.shape, np.int64)
        for i in np.ndindex(x.shape[:-1]):
            found[i] = np.searchsorted(rows[i], x[i], side)
        return found


@composition
def bucketize(
    input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    """The bucket of each number: between which of the sorted boundaries it lies."""
    if boundaries.ndim != 1:
        raise DTypeError("boundaries are a vector", given=boundaries.shape)
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)
