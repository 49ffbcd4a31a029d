"""Spec rules and checks that several files of ops share."""

from __future__ import annotations

import functools
import operator
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError
from chainrule.gateway import require
from chainrule.graph import StandIn
from chainrule.primitive import Array, DType, Spec, SpecLike, supported
from chainrule.tensor import Tensor

BOOL = np.dtype(np.bool_)
quiet = np.errstate(all="ignore")
"""Marks references whose infinities and NaNs are defined results, not worth a warning."""


def broadcast(a: SpecLike, b: SpecLike) -> SpecLike:
    """The spec of two inputs of one dtype, broadcast together as in NumPy."""
    if a.shape == b.shape or not b.shape:
        return a
    return Spec(broadcast_shapes(a.shape, b.shape), a.dtype) if a.shape else b


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape to which all shapes broadcast, or ShapeError."""
    if shapes.count(shapes[0]) == len(shapes):
        return shapes[0]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(
            f"shapes {' and '.join(map(str, shapes))} do not broadcast",
            expected="dimensions equal, or 1, counted from the last",
        ) from None


def comparison(a: SpecLike, b: SpecLike) -> Spec:
    """Broadcast, with a boolean result."""
    return Spec(broadcast(a, b).shape, BOOL)


def numeric(x: SpecLike) -> SpecLike:
    """The spec of the input, which must be of numbers, not booleans."""
    if x.dtype.kind == "b":
        raise DTypeError(
            "this needs numbers", given="bool", instead="Convert with x.int() or x.float()."
        )
    return x


def boolean(x: SpecLike) -> Spec:
    """The same shape, with a boolean result."""
    return Spec(x.shape, BOOL)


def logical(a: SpecLike, b: SpecLike | None = None) -> SpecLike:
    """Broadcast of booleans or integers."""
    if a.dtype.kind == "f":
        raise DTypeError("a bitwise operation needs booleans or integers", given=a.dtype)
    return a if b is None else broadcast(a, b)


def arithmetic(a: SpecLike, b: SpecLike | None = None) -> SpecLike:
    """Broadcast of numbers; booleans have no difference, quotient or negative."""
    if a.dtype.kind == "b":
        raise DTypeError(
            "booleans have no difference, quotient or negative", given="bool",
            instead="Use ~a, a ^ b or a & b, or convert with x.int().",
        )
    return a if b is None else broadcast(a, b)


@functools.cache
def physical_memory() -> int:
    """The bytes of memory in this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def allocatable(shape: Iterable[int], dtype: Any) -> Spec:
    """Return the spec, after checking that the machine has enough memory for such an array.

    Nothing is allocated. Raises DTypeError for a dtype that tensors cannot have, ArgumentError for
    a negative dimension, and MemoryError if the array is larger than the machine's memory.
    """
    spec = Spec(shape, supported(dtype))
    if any(n < 0 for n in spec.shape):
        raise ArgumentError("a dimension is negative", given=spec.shape, expected="sizes ≥ 0")
    if spec.nbytes > physical_memory():
        raise MemoryError(
            f"{spec} needs {spec.nbytes / 2**30:,.0f} GiB, "
            f"this machine has {physical_memory() / 2**30:,.0f} GiB"
        )
    return spec


def nonzero_divisor(a: Array, b: Array) -> Array:
    """`b`, once it is sure that no integer is divided by zero."""
    if b.dtype.kind in "iu" and not np.all(b):
        raise ArgumentError(
            "integer division by zero", given=f"divisor 0 at {position(b == 0)}",
            instead="Convert to floats for ∞ or NaN, or replace the zeros with cr.where.",
        )
    return b


def position(found: Array) -> tuple[int, ...]:
    """Where a boolean array is true for the first time."""
    return tuple(int(i) for i in np.argwhere(found)[0])


def converted(x: Array, dtype: DType) -> Array:
    """A copy in another dtype; floats are cut towards 0 on the way to integers.

    NaN, and numbers that an integer dtype cannot hold, raise ArgumentError with the first position.
    """
    if dtype.kind in "iu" and not np.can_cast(x.dtype, dtype):
        check_integer_range(x, dtype)
    return x.astype(dtype, order="C")


def check_integer_range(x: Array, dtype: DType) -> None:
    """Refuse NaN and values that the integer dtype cannot hold."""
    limits = np.iinfo(dtype)
    if x.dtype.kind == "f":  # the limits are exact in float64 where they matter: 2⁶³ is
        whole = np.trunc(x.astype(np.float64, copy=False))
        bad = ~((whole >= float(limits.min)) & (whole < float(limits.max) + 1))
    else:
        bad = (x < limits.min) | (x > limits.max)
    if bad.any():
        raise ArgumentError(
            f"{x[position(bad)]} at {position(bad)} does not fit into {dtype}",
            expected=f"numbers from {limits.min} to {limits.max}",
        )


def require_all(valid: Tensor, x: Tensor, problem: str, expected: str | None = None) -> None:
    """Raise ArgumentError unless all of `valid` is true, with the first part of x where it is not.

    In a compiled function the condition is checked when the program runs, as by `cr.require`.
    """
    data = valid._data
    if isinstance(data, StandIn):
        require(valid.all(), ArgumentError(problem, given=x.spec, expected=expected))
    elif not data.all():
        at = position(data == 0)
        place = f" at {list(at)}" if at else ""
        raise ArgumentError(problem, given=f"{x._data[at]}{place}", expected=expected)


def channels_hint(shape: tuple[int, ...], channels: int, otherwise: str, dim: int = 1) -> str:
    """What to write for an input whose dimension `dim` is not the number of channels of a layer.

    >>> channels_hint((2, 8, 8, 3), 3, "")
    'The channels come last here: use x.permute(0, 3, 1, 2).'
    """
    last = len(shape) - 1
    if last > dim and shape[last] == channels:
        order = (*range(dim), last, *range(dim, last))
        return f"The channels come last here: use x.permute{order}."
    return otherwise


Dims = int | tuple[int, ...] | list[int] | None


def normalized_dim(dim: int, ndim: int) -> int:
    """A dimension counted from the front; negative ones count from the end."""
    dim = operator.index(dim)
    if not -max(ndim, 1) <= dim < max(ndim, 1):
        raise OutOfRangeError(
            f"dimension {dim} of a tensor with {ndim} dimensions",
            expected=f"{-max(ndim, 1)} … {max(ndim, 1) - 1}",
        )
    return dim % max(ndim, 1)


def normalized_dims(dim: Dims, ndim: int) -> tuple[int, ...]:
    """Dimensions as a sorted tuple counted from the front; None (or none) means all."""
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(ndim))
    if isinstance(dim, int) and 0 <= dim < ndim:
        return (dim,)
    wanted = dim if isinstance(dim, (tuple, list)) else (dim,)
    dims = tuple(sorted(normalized_dim(d, ndim) for d in wanted))
    if len(set(dims)) < len(dims):
        raise ArgumentError("a dimension appears twice", given=dim)
    return dims if ndim else ()


def reduced_shape(shape: tuple[int, ...], dims: tuple[int, ...], keepdim: bool) -> tuple[int, ...]:
    """The shape after reducing over `dims`."""
    if len(dims) == len(shape) and not keepdim:
        return ()
    if keepdim:
        return tuple([1 if i in dims else n for i, n in enumerate(shape)])
    return tuple([n for i, n in enumerate(shape) if i not in dims])


def keep_dims(y: Any, shape: tuple[int, ...], dims: tuple[int, ...]) -> Any:
    """`y`, reduced from `shape`, with the reduced dimensions as 1, so that it broadcasts back."""
    kept = reduced_shape(shape, dims, keepdim=True)
    return y if y.shape == kept or not y.shape else y.reshape(kept)


def nonempty(x: SpecLike, dims: tuple[int, ...], name: str) -> None:
    """Refuse to take a maximum (or the like) of nothing."""
    if any(x.shape[d] == 0 for d in dims):
        raise ArgumentError(
            f"`{name}` of an empty tensor: there is no identity",
            given=f"shape {x.shape}, dimensions {dims}",
        )


def same_specs(x: SpecLike, y: SpecLike, **_: Any) -> bool:
    """Whether an op that changes the spec alone changed nothing."""
    return x.shape == y.shape and x.dtype == y.dtype


def last(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Of two applications only the second counts."""
    return second


def zeros_if_none(g: Tensor | None, like: Tensor) -> Tensor:
    """A gradient, or zeros where none came."""
    return Tensor(np.zeros(like.shape, like.dtype)) if g is None else g
