"""Operators that move elements: shapes, parts, copies."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from chainrule.errors import FormatError
from chainrule.formats.onnx.operators.table import (
    Ints,
    as_tensor,
    counted,
    operator,
    refused,
)
from chainrule.formats.onnx.tensors import dtype_of
from chainrule.nn.functional.padding import pad as padded
from chainrule.ops.creation import arange
from chainrule.ops.rearrange import broadcast_shapes
from chainrule.ops.select import where
from chainrule.ops.shape import cat
from chainrule.primitive import Array
from chainrule.tensor import Tensor

INT64 = np.dtype("int64")


def each(dims: Ints, ndim: int) -> Ints:
    """Dimensions counted from the front. Raises FormatError for one that is not there."""
    if any(not -ndim <= d < ndim for d in dims) or len({d % ndim for d in dims}) < len(dims):
        raise FormatError("axes are dimensions, each once", given=dims, expected=f"of {ndim}")
    return tuple(d % ndim for d in dims)


# -- shapes --------------------------------------------------------------------------------------


@operator("Shape")
def shape_of(x: Any, *, start: int = 0, end: int | None = None) -> Array:
    return np.array(x.shape[start:end], INT64)


@operator("Size")
def size_of(x: Any) -> Array:
    return np.array(math.prod(x.shape), INT64)


@operator("Reshape")
def reshape(x: Tensor, shape: Ints, *, allowzero: int = 0) -> Tensor:
    """0 keeps a size, unless `allowzero`; −1 follows from the others."""
    if not allowzero:
        if any(n == 0 and d >= x.ndim for d, n in enumerate(shape)):
            raise FormatError("0 keeps a size that is not there", given=f"{x.shape} to {shape}")
        shape = tuple(x.shape[d] if n == 0 else n for d, n in enumerate(shape))
    return x.reshape(shape)


@operator("Flatten")
def flatten(x: Tensor, *, axis: int) -> Tensor:
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


@operator("Squeeze")
def squeeze(x: Tensor, axes: Ints | None = None) -> Tensor:
    dims = tuple(d for d, n in enumerate(x.shape) if n == 1) if axes is None else axes
    dims = each(dims, x.ndim)
    if any(x.shape[d] != 1 for d in dims):
        raise FormatError("a dimension is left out that is not of size 1", given=x.shape)
    return x.reshape([n for d, n in enumerate(x.shape) if d not in dims])


@operator("Unsqueeze")
def unsqueeze(x: Tensor, axes: Ints) -> Tensor:
    new, rest = each(axes, x.ndim + len(axes)), iter(x.shape)
    return x.reshape([1 if d in new else next(rest) for d in range(x.ndim + len(axes))])


@operator("Transpose")
def transpose(x: Tensor, *, perm: Ints | None = None) -> Tensor:
    return x.permute(tuple(reversed(range(x.ndim))) if perm is None else perm)


@operator("Expand")
def expand(x: Tensor, shape: Ints) -> Tensor:
    return x.expand(broadcast_shapes(x.shape, shape))


@operator("Tile")
def tile(x: Tensor, repeats: Ints) -> Tensor:
    if len(repeats) != x.ndim:
        raise FormatError("there is a repeat for each dimension", given=repeats, expected=x.ndim)
    return x.tile(repeats)


# -- parts ---------------------------------------------------------------------------------------


@operator("Concat")
def concat(*xs: Tensor, axis: int) -> Tensor:
    y: Tensor = cat(xs, axis)
    return y


@operator("Split")
def split(
    x: Tensor, split: Ints | None = None, *, axis: int, num_outputs: int = 0, outputs: int
) -> tuple[Tensor, ...]:
    """Parts of the given sizes, or equal ones, of which the last may be smaller."""
    size = x.shape[axis]
    if split is None:
        if num_outputs not in (0, outputs):
            raise FormatError("there are as many outputs as parts", given=(num_outputs, outputs))
        step = -(-size // outputs)
        ends = [min(step * i, size) for i in range(outputs + 1)]
        split = tuple(b - a for a, b in itertools.pairwise(ends))
    return x.split(list(split), axis)


@operator("Slice")
def slice_(
    x: Tensor, starts: Ints, ends: Ints, axes: Ints | None = None, steps: Ints | None = None
) -> Tensor:
    """Parts as those of Python's slices, but that an end beyond the front is the front."""
    dims = each(axes if axes is not None else tuple(range(len(starts))), x.ndim)
    parts = [slice(None)] * x.ndim
    rows = zip(dims, starts, ends, steps or (1,) * len(starts), strict=True)
    for d, start, end, step in rows:
        parts[d] = _part(x.shape[d], start, end, step)
    return x[tuple(parts)]


def _part(size: int, start: int, end: int, step: int) -> slice:
    low, high = (0, size) if step > 0 else (-1, size - 1)
    first, last = (min(max(n + size if n < 0 else n, low), high) for n in (start, end))
    first = max(first, 0)
    return slice(first, last if last >= 0 else None, step)


@operator("Pad")
def pad(
    x: Tensor, pads: Ints, value: float | None = None, axes: Ints | None = None, *, mode: str
) -> Tensor:
    """Elements before and after; negative widths cut."""
    dims = each(tuple(range(x.ndim)) if axes is None else axes, x.ndim)
    if len(pads) != 2 * len(dims):
        raise FormatError("there are two widths for each dimension", given=pads)
    widths = dict(zip(dims, zip(pads, pads[len(dims) :], strict=False), strict=True))
    if mode == "constant":
        flat = [n for d in reversed(range(x.ndim)) for n in widths.get(d, (0, 0))]
        return padded(x, flat, "constant", value)
    for d, (before, after) in widths.items():
        x = _extended(x, d, before, after, mode)
    return x


def _extended(x: Tensor, dim: int, before: int, after: int, mode: str) -> Tensor:
    """A border of elements of x itself along one dimension."""
    n = x.shape[dim]
    if n == 0:
        raise FormatError("there are no elements to pad with", given=x.shape)
    places = counted(before + n + after) - before
    if mode == "edge":
        places = places.clip(0, n - 1)
    elif mode == "wrap":
        places = places % n
    elif mode == "reflect":
        turn = places % max(2 * n - 2, 1)
        places = np.minimum(turn, 2 * n - 2 - turn)
    else:
        raise refused(f"padding of mode {mode} is not supported")
    return x.index_select(dim, Tensor(places))


# -- new values ----------------------------------------------------------------------------------


@operator("Constant")
def constant(
    *,
    value: Array | None = None,
    value_float: float | None = None,
    value_floats: tuple[float, ...] | None = None,
    value_int: int | None = None,
    value_ints: Ints | None = None,
) -> Array:
    found: list[Array] = [] if value is None else [value]
    found += [np.array(n, INT64) for n in (value_int, value_ints) if n is not None]
    found += [np.array(n, np.float32) for n in (value_float, value_floats) if n is not None]
    (given,) = found
    return given


@operator("ConstantOfShape")
def constant_of_shape(shape: Ints, *, value: Array | None = None) -> Tensor:
    """A shape filled with one number, by default 0."""
    number = np.zeros(1, np.float32) if value is None else value
    return as_tensor(number.reshape(())).expand(shape)


@operator("Range")
def range_(start: Array, limit: Array, delta: Array, *, stash_type: int = 1) -> Array:
    """start, start + δ, … before the limit."""
    count = math.ceil((limit.item() - start.item()) / delta.item())
    return (start + counted(max(count, 0)) * delta).astype(start.dtype)


@operator("EyeLike")
def eye_like(x: Any, *, dtype: int | None = None, k: int) -> Tensor:
    rows, columns = x.shape
    ones = as_tensor(np.ones(1)).expand(rows, columns).triu(k).tril(k)
    return ones.astype(x.dtype if dtype is None else dtype_of(dtype, "the result"))


@operator("OneHot")
def one_hot(indices: Tensor, depth: float, values: Tensor, *, axis: int) -> Tensor:
    """values[1] at the indices, values[0] elsewhere. Indices may count from the end."""
    count, off, on = int(depth), values[0], values[1]
    dim = axis + indices.ndim + 1 if axis < 0 else axis
    index = indices.astype(INT64)
    index = where(index < 0, index + count, index).unsqueeze(dim)
    shape = [1] * (indices.ndim + 1)
    shape[dim] = count
    y: Tensor = where(index == Tensor(counted(count).reshape(shape)), on, off)
    return y


@operator("Trilu")
def triangle(x: Tensor, k: Ints | None = None, *, upper: int) -> Tensor:
    (diagonal,) = k or (0,)
    limit = sum(x.shape)
    diagonal = min(max(diagonal, -limit), limit)
    return x.triu(diagonal) if upper else x.tril(diagonal)


# -- rearranging ---------------------------------------------------------------------------------


@operator("DepthToSpace")
def depth_to_space(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    n, c, h, w = x.shape
    b = blocksize
    if mode == "DCR":
        y = x.reshape(n, b, b, c // b**2, h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        y = x.reshape(n, c // b**2, b, b, h, w).permute(0, 1, 4, 2, 5, 3)
    return y.reshape(n, c // b**2, h * b, w * b)


@operator("SpaceToDepth")
def space_to_depth(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    n, c, h, w = x.shape
    b = blocksize
    y = x.reshape(n, c, h // b, b, w // b, b)
    y = y.permute(0, 3, 5, 1, 2, 4) if mode == "DCR" else y.permute(0, 1, 3, 5, 2, 4)
    return y.reshape(n, c * b**2, h // b, w // b)


@operator("ReverseSequence")
def reverse_sequence(x: Tensor, lengths: Tensor, *, batch_axis: int, time_axis: int) -> Tensor:
    """The first `lengths` elements of each sequence backwards."""
    steps = x.shape[time_axis]
    time = [1] * x.ndim
    time[time_axis] = steps
    batch = [1] * x.ndim
    batch[batch_axis] = x.shape[batch_axis]
    place, length = arange(steps).reshape(time), lengths.reshape(batch)
    index = where(place < length, length - 1 - place, place)
    return x.gather(time_axis, index.expand(x.shape))


@operator("CenterCropPad")
def center_crop_pad(x: Tensor, shape: Ints, *, axes: Ints | None = None) -> Tensor:
    """The middle of x, or x in the middle of zeros."""
    for d, n in zip(axes or range(x.ndim), shape, strict=True):
        more = n - x.shape[d]
        if more < 0:
            x = x.narrow(d, -more // 2, n)
        else:
            x = pad(x, (more // 2, more - more // 2), axes=(d,), mode="constant")
    return x
