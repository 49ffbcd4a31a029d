"""Statistics of the elements along dimensions: counts, quantiles, and what leaves NaN out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, overload

import numpy as np

from chainrule.errors import ArgumentError, DTypeError
from chainrule.ops.compare import where
from chainrule.ops.index import gather
from chainrule.ops.norms import norm, std
from chainrule.ops.order import Extreme, argsort, sort
from chainrule.ops.reduce import amax, amin, argmax, mean, sum, var
from chainrule.ops.rules import Dims, normalized_dim, normalized_dims, reduced_shape
from chainrule.ops.scan import cummax
from chainrule.ops.shape import cat
from chainrule.primitive import composition, in_place_form
from chainrule.tensor import Tensor

__all__ = [
    "aminmax", "corrcoef", "count_nonzero", "cov", "dist", "kthvalue", "median", "mode", "msort",
    "nanmean", "nanmedian", "nanquantile", "nansum", "quantile", "renorm", "std_mean", "var_mean",
]


class Range(NamedTuple):
    """The smallest and the largest element, as `aminmax` returns them."""

    min: Tensor
    max: Tensor


@composition
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Range:
    """(min, max) of all elements, or along a dimension; NaN wins."""
    return Range(amin(input, dim, keepdim), amax(input, dim, keepdim))


@composition
def count_nonzero(input: Tensor, dim: Dims = None) -> Tensor:
    """How many elements are not zero.

    >>> import chainrule as cr
    >>> count_nonzero(cr.tensor([[0, 1], [2, 3]]), dim=0)
    tensor([1, 2])
    """
    return sum(input != 0, dim)


@composition
def nansum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum of the elements that are not NaN; 0 of none."""
    x = input if dtype is None else input.to(dtype)
    return sum(where(x.isnan(), 0, x), dim, keepdim)


@composition
def nanmean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean of the elements that are not NaN; NaN of none.

    >>> import chainrule as cr
    >>> nanmean(cr.tensor([1.0, float("nan"), 3.0]))
    tensor(2.)
    """
    x = input if dtype is None else input.to(dtype)
    present = sum(~x.isnan(), dim, keepdim)
    return nansum(x, dim, keepdim) / present.to(x.dtype)


@composition
def var_mean(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """(variance, mean)."""
    dims = None if isinstance(dim, bool) else dim
    spread = var(input, dim, unbiased, keepdim, correction=correction)
    return spread, mean(input, dims, keepdim)


@composition
def std_mean(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """(standard deviation, mean)."""
    dims = None if isinstance(dim, bool) else dim
    spread = std(input, dim, unbiased, keepdim, correction=correction)
    return spread, mean(input, dims, keepdim)


# -- by rank -------------------------------------------------------------------------------------


def _at(x: Tensor, indices: Tensor, dim: int, keepdim: bool) -> Extreme:
    """The elements at `indices`, which has size 1 along `dim`."""
    if not x.ndim:
        return Extreme(x, indices.reshape(()))
    both: Any = (gather(x, dim, indices), indices)
    return Extreme(*(y if keepdim else y.squeeze(dim) for y in both))


@composition
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Extreme:
    """(values, indices) of the k-th smallest element along `dim`, k from 1 on.

    >>> import chainrule as cr
    >>> kthvalue(cr.tensor([3.0, 1.0, 2.0]), 2)
    Extreme(values=tensor(2.), indices=tensor(2))
    """
    dim, size = normalized_dim(dim, input.ndim), input.shape[dim] if input.ndim else 1
    if not 1 <= k <= size:
        raise ArgumentError(f"k = {k}", expected=f"1 … {size} for shape {input.shape}")
    order = argsort(input, dim)
    at = order[(*(slice(None),) * dim, slice(k - 1, k))] if input.ndim else order
    return _at(input, at, dim, keepdim)


@overload
def median(input: Tensor) -> Tensor: ...
@overload
def median(input: Tensor, dim: int, keepdim: bool = False) -> Extreme: ...
@composition
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element in order, the lower one of two; along `dim` (values, indices).

    A NaN makes the result NaN; `nanmedian` leaves NaN out.

    >>> import chainrule as cr
    >>> median(cr.tensor([4.0, 1.0, 3.0, 2.0]))
    tensor(2.)
    """
    return _median(input, dim, keepdim, leave_nan=True)


@overload
def nanmedian(input: Tensor) -> Tensor: ...
@overload
def nanmedian(input: Tensor, dim: int, keepdim: bool = False) -> Extreme: ...
@composition
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median of the elements that are not NaN; NaN of none."""
    return _median(input, dim, keepdim, leave_nan=False)


def _median(x: Tensor, dim: int | None, keepdim: bool, leave_nan: bool) -> Any:
    if dim is None:
        if not math.prod(x.shape):
            return Tensor(np.full((), np.nan, x.dtype))
        return _median(x.reshape(-1), 0, False, leave_nan).values
    dim = normalized_dim(dim, x.ndim)
    if x.ndim and not x.shape[dim]:
        raise ArgumentError("the median of nothing", given=f"shape {x.shape}, dimension {dim}")
    nan = x.isnan()
    count = sum(~nan, dim, True)
    middle = ((count - 1) // 2).clamp(min=0)
    order = argsort(x, dim)
    at: Any = gather(order, dim, middle) if x.ndim else order
    if leave_nan:
        has_nan = count < (x.shape[dim] if x.ndim else 1)
        at = where(has_nan, argmax(nan.to(np.uint8), dim, True), at)
    return _at(x, at, dim, keepdim)


@composition
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Extreme:
    """(values, indices) of the most frequent element along `dim`, the smallest of several.

    >>> import chainrule as cr
    >>> mode(cr.tensor([2, 1, 2, 1, 3])).values
    tensor(1)
    """
    dim = normalized_dim(dim, input.ndim)
    if not input.ndim:
        return Extreme(input, Tensor(np.zeros((), np.int64)))
    values, order = sort(input, dim)
    shape = [-1 if d == dim else 1 for d in range(input.ndim)]
    place = Tensor(np.arange(input.shape[dim], dtype=np.int64).reshape(shape))
    before = (slice(None),) * dim
    differs = values[(*before, slice(1, None))] != values[(*before, slice(0, -1))]
    starts = cat([(values[(*before, slice(0, 1))] != values[(*before, slice(0, 1))]), differs], dim)
    length = place - cummax(where(starts, place, 0), dim).values
    return _at(input, gather(order, dim, argmax(length, dim, True)), dim, keepdim)


@composition
def msort(input: Tensor) -> Tensor:
    """Sorted along the first dimension."""
    return sort(input, 0).values


Interpolation = Literal["linear", "lower", "higher", "midpoint", "nearest"]


@composition
def quantile(
    input: Tensor,
    q: float | Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: Interpolation = "linear",
) -> Tensor:
    """The elements below which the fractions q of all lie; a NaN makes the result NaN.

    Between two elements at the place q·(n − 1): by interpolation, or as it says. Several q stand
    in a new first dimension.

    >>> import chainrule as cr
    >>> quantile(cr.tensor([0.0, 1.0, 2.0]), cr.tensor([0.25, 0.5]))
    tensor([0.5, 1. ])
    """
    return _quantile(input, q, dim, keepdim, interpolation, leave_nan=True)


@composition
def nanquantile(
    input: Tensor,
    q: float | Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: Interpolation = "linear",
) -> Tensor:
    """The quantiles of the elements that are not NaN; NaN of none."""
    return _quantile(input, q, dim, keepdim, interpolation, leave_nan=False)


def _quantile(x: Tensor, q: Any, dim: Any, keepdim: bool, how: str, leave_nan: bool) -> Tensor:
    fractions = _fractions(q, x.dtype)
    dims = normalized_dims(dim, x.ndim)
    rows = x.reshape(-1) if dim is None or not x.ndim else x.movedim(dims[0], -1)
    present: Any = sum(~rows.isnan(), -1, True)
    place = (present - 1).clamp(min=0).to(x.dtype) * fractions.reshape(-1)
    values = sort(rows).values
    low, high = (gather(values, -1, p.long()) for p in (place.floor(), place.ceil()))
    spoilt = present < rows.shape[-1] if leave_nan else present == 0
    y: Any = where(spoilt, math.nan, _between(low, high, place - place.floor(), how))
    shape = reduced_shape(x.shape, dims, keepdim)
    return y.movedim(-1, 0).reshape(*fractions.shape, *shape)


def _between(low: Tensor, high: Tensor, weight: Tensor, how: str) -> Tensor:
    if how == "linear":
        return low + (high - low) * weight
    if how == "midpoint":
        return where(weight == 0, low, (low + high) / 2)
    chosen = {"lower": weight != weight, "higher": weight > 0, "nearest": weight.round() > 0}
    if how not in chosen:
        raise ArgumentError(
            "unknown interpolation", given=how, expected="linear, lower, higher, midpoint, nearest"
        )
    return where(chosen[how], high, low)


def _fractions(q: Any, dtype: Any) -> Tensor:
    """The fractions as a tensor of at most one dimension."""
    q = q if isinstance(q, Tensor) else Tensor(np.asarray(q, dtype))
    if q.dtype != dtype or dtype.kind != "f":
        raise DTypeError(
            "quantiles are of floats, and q has their dtype", given=f"{dtype} and {q.dtype}"
        )
    if q.ndim > 1:
        raise ArgumentError("q is a number or has one dimension", given=q.shape)
    return q


# -- of several samples --------------------------------------------------------------------------


@composition
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """‖a − b‖ₚ: (Σ |aᵢ − bᵢ|ᵖ)^(1/p) over all elements."""
    return norm(input - other, p)


@in_place_form
@composition
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Each part along `dim` scaled down to the norm `maxnorm`, where it is larger."""
    dim = normalized_dim(dim, input.ndim)
    size = norm(input, p, [d for d in range(input.ndim) if d != dim], True)
    return where(size > maxnorm, input * (maxnorm / (size + 1e-7)), input)


@composition
def cov(
    input: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    """The covariances of variables, a row each, over samples, a column each: (V, N) → (V, V).

    `fweights` counts how often each sample occurs, `aweights` weighs it.

    >>> import chainrule as cr
    >>> cov(cr.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.], [-1.,  1.]])
    """
    if input.ndim > 2:
        raise ArgumentError("cov takes rows of samples", given=input.shape, expected="(V, N)")
    x = input.reshape(-1, input.shape[-1] if input.ndim else 1)
    weights = _product([w for w in (fweights, aweights) if w is not None], x.dtype)
    if weights is None:
        total: Any = x.shape[1]
        centered = x - mean(x, 1, True)
        scaled, free = centered, total - correction
    else:
        total = sum(weights)
        centered = x - sum(x * weights, 1, True) / total
        scaled = centered * weights
        mass = 1.0 if aweights is None else sum(weights * aweights) / total
        free = total - mass * correction
    y = (scaled @ centered.mT) / free
    return y if input.ndim == 2 else y.reshape(())


def _product(weights: Sequence[Tensor], dtype: Any) -> Tensor | None:
    converted = [w.to(dtype) for w in weights]
    return math.prod(converted[1:], start=converted[0]) if converted else None


@composition
def corrcoef(input: Tensor) -> Tensor:
    """The correlations of variables, a row each, over samples: (V, N) → (V, V), in [−1, 1]."""
    c = cov(input)
    if not c.ndim:
        return c / c
    scale = c[range_of(c), range_of(c)].sqrt()
    return (c / scale.unsqueeze(0) / scale.unsqueeze(1)).clamp(-1, 1)


def range_of(x: Tensor) -> Tensor:
    """The positions along the first dimension."""
    return Tensor(np.arange(x.shape[0], dtype=np.int64))
