"""Order: sorting, the largest and the smallest with their positions."""

from __future__ import annotations

from typing import Any, NamedTuple, overload

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.kinds import Along
from chainrule.ops.elementwise import maximum, minimum
from chainrule.ops.index import gather
from chainrule.ops.reduce import amax, amin, argmax, argmin
from chainrule.ops.rules import normalized_dim
from chainrule.primitive import Spec, composition, primitive
from chainrule.samples import cases
from chainrule.tensor import Tensor

__all__ = ["argsort", "max", "min", "sort", "topk"]


class Extreme(NamedTuple):
    """Values with their positions, as sort, topk, max and min along a dimension return them."""

    values: Tensor
    indices: Tensor


@primitive
class argsort:
    """y = the order that sorts x along `dim`, stable; NaN sorts last."""
    kind = Along()
    samples = cases(lambda rng: (rng.normal(size=(3, 4)), {"dim": 1, "descending": False}))
    def arguments(
        x: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = True
    ) -> Any:
        return (x,), {"dim": normalized_dim(dim, x.ndim), "descending": bool(descending)}
    def infer(x, *, dim, descending): return Spec(x.shape, np.int64)
    def forward(x, *, dim, descending):
        if x.ndim == 0:
            return np.zeros((), np.int64)
        if not descending:
            return np.argsort(x, dim, kind="stable").astype(np.int64)
        backwards = np.argsort(np.flip(x, dim), dim, kind="stable")
        return np.flip(x.shape[dim] - 1 - backwards, dim).astype(np.int64)


@composition
def sort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = True
) -> Extreme:
    """(values, indices) sorted along `dim`; always stable, NaN counts as the largest."""
    if input.ndim == 0:
        return Extreme(input, argsort(input, 0))
    order = argsort(input, dim, descending)
    return Extreme(gather(input, dim, order), order)


@composition
def topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> Extreme:
    """(values, indices) of the k largest (or smallest) along `dim`, always sorted."""
    if input.ndim == 0:
        values, indices = topk(input.reshape(1), k, dim, largest)
        return Extreme(values.reshape(()), indices.reshape(())) if k else Extreme(values, indices)
    dim = normalized_dim(dim, input.ndim)
    if not 0 <= k <= input.shape[dim]:
        raise ArgumentError(f"k = {k}", expected=f"0 … {input.shape[dim]} for shape {input.shape}")
    values, indices = sort(input, dim, descending=largest)
    first = (slice(None),) * dim + (slice(0, k),)
    return Extreme(values[first], indices[first])


@overload
def max(input: Tensor) -> Tensor: ...
@overload
def max(input: Tensor, dim: int, keepdim: bool = False) -> Extreme: ...
@overload
def max(input: Tensor, other: Tensor, /) -> Tensor: ...
@overload
def max(input: Tensor, *, other: Tensor) -> Tensor: ...
@composition
def max(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None
) -> Any:
    """The largest element, or along `dim` (values, indices); NaN wins.

    Of two tensors, `max(a, b)`, the larger elements, as `maximum`.
    """
    other = dim if isinstance(dim, Tensor) else other
    if other is not None:
        return maximum(input, other)
    return amax(input) if dim is None else _extreme(input, argmax(input, dim, True), dim, keepdim)


@overload
def min(input: Tensor) -> Tensor: ...
@overload
def min(input: Tensor, dim: int, keepdim: bool = False) -> Extreme: ...
@overload
def min(input: Tensor, other: Tensor, /) -> Tensor: ...
@overload
def min(input: Tensor, *, other: Tensor) -> Tensor: ...
@composition
def min(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None
) -> Any:
    """The smallest element, or along `dim` (values, indices); NaN wins.

    Of two tensors, `min(a, b)`, the smaller elements, as `minimum`.
    """
    other = dim if isinstance(dim, Tensor) else other
    if other is not None:
        return minimum(input, other)
    return amin(input) if dim is None else _extreme(input, argmin(input, dim, True), dim, keepdim)


def _extreme(x: Tensor, where: Tensor, dim: int, keepdim: bool) -> Extreme:
    if x.ndim == 0:
        return Extreme(x, where)
    values: Any = gather(x, dim, where)
    return Extreme(*(y if keepdim else y.squeeze(dim) for y in (values, where)))
