"""Operators that read and write at positions which are tensors."""

from __future__ import annotations

import math
from typing import Any

from chainrule.errors import FormatError
from chainrule.formats.onnx.operators.table import operator
from chainrule.ops.creation import arange
from chainrule.ops.select import where
from chainrule.tensor import Tensor


def _counted_from_front(index: Tensor, size: int) -> Tensor:
    """Positions that may count from the end, as ones that count from the front."""
    index = index.long()
    y: Tensor = where(index < 0, index + size, index)
    return y


@operator("Gather")
def gather(x: Tensor, index: Tensor, *, axis: int) -> Tensor:
    """The parts of x at the positions, along one dimension."""
    dim = axis % x.ndim
    places = _counted_from_front(index, x.shape[dim])
    y: Tensor = x[(*[slice(None)] * dim, places)]
    return y


@operator("GatherElements")
def gather_elements(x: Tensor, index: Tensor, *, axis: int) -> Tensor:
    return x.gather(axis, _counted_from_front(index, x.shape[axis]))


@operator("GatherND")
def gather_nd(x: Tensor, index: Tensor, *, batch_dims: int = 0) -> Tensor:
    """x at the positions that the last dimension of the index holds."""
    y: Tensor = x[_positions(x, index, batch_dims)]
    return y


def _positions(x: Tensor, index: Tensor, batch_dims: int = 0) -> tuple[Tensor, ...]:
    """An index tensor for each of the first dimensions of x."""
    depth = index.shape[-1]
    batch = []
    for d in range(batch_dims):
        shape = [1] * (index.ndim - 1)
        shape[d] = index.shape[d]
        batch.append(arange(x.shape[d]).reshape(shape))
    parts = [_counted_from_front(index[..., i], x.shape[batch_dims + i]) for i in range(depth)]
    return (*batch, *parts)


# -- writing -------------------------------------------------------------------------------------

REDUCTIONS: dict[str, Any] = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@operator("ScatterElements", "Scatter")
def scatter_elements(
    x: Tensor, index: Tensor, updates: Tensor, *, axis: int, reduction: str = "none"
) -> Tensor:
    if index.shape != updates.shape:
        raise FormatError("an update for each index", given=updates.shape, expected=index.shape)
    places = _counted_from_front(index, x.shape[axis])
    if reduction == "none":
        return x.scatter(axis, places, updates)
    return x.scatter_reduce(axis, places, updates, REDUCTIONS[reduction], include_self=True)


@operator("ScatterND")
def scatter_nd(x: Tensor, index: Tensor, updates: Tensor, *, reduction: str = "none") -> Tensor:
    """x with updates at the positions that the last dimension of the index holds."""
    depth = index.shape[-1]
    if reduction == "none":
        return x.index_put(_positions(x, index), updates)
    rest = math.prod(x.shape[depth:])
    row = arange(1).long() * 0
    for d, place in enumerate(_positions(x, index)):
        row = row + place * math.prod(x.shape[d + 1 : depth])
    flat = x.reshape(math.prod(x.shape[:depth]), rest)
    values = updates.reshape(-1, rest) if rest else updates.reshape(0, 0)
    rows = row.reshape(-1, 1).expand(len(values), rest)
    return flat.scatter_reduce(0, rows, values, REDUCTIONS[reduction], include_self=True).reshape(
        x.shape
    )


@operator("TensorScatter")
def tensor_scatter(
    past: Tensor, update: Tensor, start: Tensor | None = None, *, axis: int, mode: str
) -> Tensor:
    """A cache with new entries from `start` on along one dimension, for each example."""
    dim, size, count = axis % past.ndim, past.shape[axis], update.shape[axis]
    if not 0 < dim < past.ndim:
        raise FormatError("the axis of a cache is not that of its examples", given=axis)
    first = arange(1) * 0 if start is None else start.long()
    places = first.reshape(-1, 1) + arange(count).reshape(1, -1)
    places = places % size if mode == "circular" else places
    shape = [1] * past.ndim
    shape[0], shape[dim] = len(places), count
    return past.scatter(dim, places.reshape(shape).expand(update.shape), update)
