"""Reductions, running results, and what depends on an order."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.formats.onnx.operators.table import Ints, operator
from chainrule.ops.creation import arange
from chainrule.ops.shape import cat
from chainrule.primitive import Array
from chainrule.tensor import Tensor

Reduce = Callable[[Tensor, Ints, bool], Tensor]


def truth_as_bytes(reduce: Reduce) -> Reduce:
    """A reduction of truth values by way of integers."""

    def run(x: Tensor, dims: Ints, keepdim: bool) -> Tensor:
        if x.dtype.kind != "b":
            return reduce(x, dims, keepdim)
        return reduce(x.astype(np.uint8), dims, keepdim).astype(np.bool_)

    return run


def _norm(x: Tensor, dims: Ints, keepdim: bool) -> Tensor:
    """√Σx², whose gradient where all is 0 is 0."""
    return (x if x.dtype.kind == "f" else x.double()).norm(2, dims, keepdim).astype(x.dtype)


def _log_sum_exp(x: Tensor, dims: Ints, keepdim: bool) -> Tensor:
    return (x if x.dtype.kind == "f" else x.double()).logsumexp(dims, keepdim).astype(x.dtype)


def _extreme(name: str, least: bool) -> Reduce:
    """The largest or smallest element; of no elements ∓∞, or the dtype's limit."""

    def run(x: Tensor, dims: Ints, keepdim: bool) -> Tensor:
        if math.prod(x.shape[d] for d in dims):
            y: Tensor = getattr(x, name)(dims, keepdim)
            return y
        limits = np.finfo(x.dtype) if x.dtype.kind == "f" else np.iinfo(x.dtype)
        end = (np.inf if least else -np.inf) if x.dtype.kind == "f" else None
        end = (limits.max if least else limits.min) if end is None else end
        return x.astype(np.int64).sum(dims, keepdim).astype(x.dtype) + end

    return run


REDUCTIONS: dict[str, Reduce] = {
    "ReduceSum": lambda x, dims, keep: x.sum(dims, keep, dtype=x.dtype),
    "ReduceMean": lambda x, dims, keep: x.mean(dims, keep),
    "ReduceProd": lambda x, dims, keep: x.prod(dims, keep, dtype=x.dtype),
    "ReduceMax": truth_as_bytes(_extreme("amax", False)),
    "ReduceMin": truth_as_bytes(_extreme("amin", True)),
    "ReduceL1": lambda x, dims, keep: x.abs().sum(dims, keep, dtype=x.dtype),
    "ReduceL2": _norm,
    "ReduceSumSquare": lambda x, dims, keep: (x * x).sum(dims, keep, dtype=x.dtype),
    "ReduceLogSum": lambda x, dims, keep: x.sum(dims, keep, dtype=x.dtype).log().astype(x.dtype),
    "ReduceLogSumExp": _log_sum_exp,
}


def _reduction(reduce: Reduce) -> Any:
    def run(
        x: Tensor, axes: Ints | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Tensor:
        every = tuple(range(x.ndim))
        if not axes and noop_with_empty_axes:
            return reduce(x.unsqueeze(-1), (x.ndim,), False)
        return reduce(x, tuple(every[d] for d in axes or every), bool(keepdims))

    return run


for _name, _reduce in REDUCTIONS.items():
    operator(_name)(_reduction(_reduce))


def _position(name: str) -> Any:
    def run(x: Tensor, *, axis: int, keepdims: int, select_last_index: int = 0) -> Tensor:
        if not select_last_index:
            y: Tensor = getattr(x, name)(axis, bool(keepdims))
            return y
        y = getattr(x.flip(axis), name)(axis, bool(keepdims))
        return x.shape[axis] - 1 - y

    return run


for _name, _method in (("ArgMax", "argmax"), ("ArgMin", "argmin")):
    operator(_name)(_position(_method))


# -- running results -----------------------------------------------------------------------------


def _running(name: str) -> Any:
    def run(x: Tensor, axis: Ints, *, exclusive: int, reverse: int) -> Tensor:
        (dim,) = axis
        x = x.flip(dim) if reverse else x
        if exclusive:
            neutral = x.narrow(dim, 0, 1) * 0 + (1 if name == "cumprod" else 0)
            x = cat([neutral, x.narrow(dim, 0, x.shape[dim] - 1)], dim)
        y: Tensor = getattr(x, name)(dim).astype(x.dtype)
        return y.flip(dim) if reverse else y

    return run


for _name, _method in (("CumSum", "cumsum"), ("CumProd", "cumprod")):
    operator(_name)(_running(_method))


# -- order ---------------------------------------------------------------------------------------


@operator("TopK")
def top_k(
    x: Tensor, k: Ints, *, axis: int, largest: int = 1, sorted: int = 1
) -> tuple[Tensor, Tensor]:
    """The k largest or smallest elements, in their order, and their positions."""
    (count,) = k
    order = x.argsort(axis, descending=bool(largest), stable=True).narrow(axis, 0, count)
    return x.gather(axis, order), order


@operator("Hardmax", since=13)
def hardmax(x: Tensor, *, axis: int) -> Tensor:
    """1 for the first largest element along a dimension, else 0."""
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    places = arange(x.shape[axis]).reshape(shape)
    return (places == x.argmax(axis, True)).astype(x.dtype)


@operator("Hardmax")
def hardmax_of_rows(x: Tensor, *, axis: int) -> Tensor:
    """Before opset 13, all dimensions from `axis` on are one."""
    return hardmax(x.reshape(math.prod(x.shape[:axis]), -1), axis=1).reshape(x.shape)


@operator("Unique")
def unique(x: Array, *, axis: int | None = None, sorted: int) -> tuple[Array, ...]:
    """The distinct elements, where each was first, which of them each is, and how many there are.

    How many there are depends on the numbers, which a compiled model does not know.
    """
    parts = x.reshape(-1) if axis is None else x
    values, first, inverse, counts = np.unique(
        parts, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    if not sorted:
        order = np.argsort(first)
        values = np.take(values, order, 0 if axis is None else axis)
        first, counts, inverse = first[order], counts[order], np.argsort(order)[inverse]
    return values, first, inverse.reshape(-1), counts


@operator("NonZero")
def nonzero(x: Array) -> Array:
    """(dimensions, count): where the elements are that are not 0, which must be known."""
    return np.array(np.nonzero(x), np.int64)


@operator("Compress")
def compress(x: Tensor, condition: Array, *, axis: int | None = None) -> Tensor:
    """The parts for which a known condition holds."""
    places = Tensor(np.flatnonzero(condition).astype(np.int64))
    return (x.reshape(-1) if axis is None else x).index_select(axis or 0, places)
