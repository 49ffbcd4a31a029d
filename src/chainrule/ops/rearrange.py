"""Compositions that cut tensors, put them together, repeat and turn them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from chainrule import aliases
from chainrule.errors import ArgumentError, ShapeError
from chainrule.op_methods import in_place_view
from chainrule.ops.index import getitem
from chainrule.ops.rules import broadcast_shapes as common_shape
from chainrule.ops.rules import normalized_dim
from chainrule.ops.shape import cat, only_tensors, pad, sizes, split
from chainrule.primitive import composition
from chainrule.tensor import Tensor, from_numpy

__all__ = [
    "as_strided", "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "broadcast_shapes",
    "broadcast_tensors", "broadcast_to", "chunk", "column_stack", "dsplit", "dstack", "expand_as",
    "fliplr", "flipud", "hsplit", "hstack", "narrow", "ravel", "repeat", "repeat_interleave",
    "reshape_as", "rot90", "select", "t", "tensor_split", "unbind", "unflatten", "unfold",
    "vsplit", "vstack",
]

ALL = slice(None)

# -- parts ---------------------------------------------------------------------------------------


@composition
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The part at `index` along `dim`, which falls away: a view."""
    return getitem(input, (*(ALL,) * normalized_dim(dim, input.ndim), index))


@composition
def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """The `length` elements from `start` on along `dim`: a view."""
    dim = normalized_dim(dim, input.ndim)
    size = input.shape[dim]
    start = int(start) + (size if start < 0 else 0)
    if not 0 <= start <= start + length <= size:
        raise ArgumentError(f"{length} elements from {start} on", expected=f"a part of {size}")
    return getitem(input, (*(ALL,) * dim, slice(start, start + length)))


@composition
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """All parts along `dim`, which falls away.

    >>> import chainrule as cr
    >>> unbind(cr.tensor([[1, 2], [3, 4]]))
    (tensor([1, 2]), tensor([3, 4]))
    """
    dim = normalized_dim(dim, input.ndim)
    return tuple([select(input, dim, i) for i in range(input.shape[dim])])


@composition
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` parts of equal size along `dim` (the last may be smaller)."""
    if chunks <= 0:
        raise ArgumentError("chunks is at least 1", given=chunks)
    return split(input, max(1, -(-input.shape[dim] // chunks)), dim)


@composition
def tensor_split(
    input: Tensor, indices_or_sections: int | Sequence[int] | Tensor, dim: int = 0
) -> tuple[Tensor, ...]:
    """That many parts along `dim`, the first ones larger by one; or parts that begin at indices.

    >>> import chainrule as cr
    >>> [len(part) for part in tensor_split(cr.zeros(7), 3)]
    [3, 2, 2]
    """
    dim = normalized_dim(dim, input.ndim)
    size = input.shape[dim]
    where = indices_or_sections.tolist() if isinstance(indices_or_sections, Tensor) else (
        indices_or_sections
    )
    if isinstance(where, int):
        if where < 1:
            raise ArgumentError("at least one part", given=where)
        lengths = [size // where + (i < size % where) for i in range(where)]
        return split(input, lengths, dim)
    bounds = [0, *where, size]
    return tuple(
        getitem(input, (*(ALL,) * dim, slice(a, b))) for a, b in itertools.pairwise(bounds)
    )


@composition
def hsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Parts along the columns; of one dimension, along it."""
    return _equal_parts(input, indices_or_sections, min(1, input.ndim - 1))


@composition
def vsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Parts along the rows."""
    return _equal_parts(input, indices_or_sections, 0)


@composition
def dsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """Parts along the third dimension."""
    return _equal_parts(input, indices_or_sections, 2)


def _equal_parts(x: Tensor, where: int | Sequence[int], dim: int) -> tuple[Tensor, ...]:
    size = x.shape[normalized_dim(dim, x.ndim)]
    if isinstance(where, int) and (where < 1 or size % where):
        raise ArgumentError(f"{size} do not divide into {where} equal parts")
    return tensor_split(x, where, dim)


@composition
def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of `size` along a dimension, each `step` further; their elements in a last dimension.

    >>> import chainrule as cr
    >>> unfold(cr.arange(5), 0, 3, 2)
    tensor([[0, 1, 2], [2, 3, 4]])
    """
    dim = normalized_dim(dimension, input.ndim)
    length = input.shape[dim] if input.ndim else 1
    if not 0 <= size <= length or step < 1:
        raise ArgumentError(f"windows of {size}, each {step} further, in {length} elements")
    starts = np.arange(0, length - size + 1, step, dtype=np.int64)
    places = from_numpy(starts[:, None] + np.arange(size, dtype=np.int64))
    x = input.reshape(1) if not input.ndim else input
    y = getitem(x, (*(ALL,) * dim, places))
    aliases.mark_copied(y)
    return y.movedim(dim + 1, -1) if input.ndim else y.reshape(size)


# -- shapes --------------------------------------------------------------------------------------


@composition
def ravel(input: Tensor) -> Tensor:
    """In one dimension."""
    return input.reshape(-1)


@composition
def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """In the shape of another tensor."""
    return input.reshape(other.shape)


@composition
def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """Repeated along dimensions of size 1 to the shape of another tensor."""
    return input.expand(other.shape)


@composition
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """With one dimension as several, of which one may be −1: the inverse of `flatten`."""
    dim = normalized_dim(dim, input.ndim)
    shape, parts = input.shape, tuple(sizes)
    if -1 in parts and (rest := -math.prod(parts)) > 0:
        parts = tuple(shape[dim] // rest if n == -1 else n for n in parts)
    if math.prod(parts) != shape[dim]:
        raise ShapeError(f"{shape[dim]} elements are not {sizes}", given=f"shape {shape}")
    return input.reshape(*shape[:dim], *parts, *shape[dim + 1 :])


@composition
def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """Repeated along dimensions of size 1 to a shape."""
    return input.expand(tuple(size))


@composition
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """All in the shape to which they broadcast."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    shape = common_shape(*[x.shape for x in tensors]) if tensors else ()
    return tuple([x.expand(shape) for x in tensors])


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape to which shapes broadcast.

    >>> broadcast_shapes((3, 1), (4,))
    (3, 4)
    """
    return common_shape(*[(s,) if isinstance(s, int) else tuple(s) for s in shapes or ((),)])


@in_place_view
@composition
def t(input: Tensor) -> Tensor:
    """A matrix transposed; a vector or a number as it is."""
    if input.ndim > 2:
        raise ShapeError("t() is of a matrix", given=input.shape, instead="Use x.mT or permute.")
    return input.transpose(0, 1) if input.ndim == 2 else input


@composition
def atleast_1d(*tensors: Any) -> Any:
    """With at least one dimension."""
    return _each(tensors, lambda x: x if x.ndim else x.reshape(1))


@composition
def atleast_2d(*tensors: Any) -> Any:
    """With at least two dimensions; a vector is a row."""
    return _each(tensors, lambda x: x if x.ndim > 1 else x.reshape(1, -1))


@composition
def atleast_3d(*tensors: Any) -> Any:
    """With at least three dimensions; a matrix has depth 1."""
    return _each(tensors, lambda x: x if x.ndim > 2 else atleast_2d(x).unsqueeze(-1))


def _each(tensors: Sequence[Any], change: Any) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return change(tensors[0])
    given = tensors[0] if len(tensors) == 1 else tensors
    return tuple([change(x) for x in given])


@composition
def as_strided(input: Tensor, *layout: Any) -> NoReturn:
    """Refused: the layout of memory is not part of what a tensor means."""
    raise ArgumentError(
        "as_strided reads the memory of a tensor, whose layout has no meaning here",
        instead="Use x.unfold(dim, size, step) for windows, or slices, reshape and expand.",
    )


# -- together ------------------------------------------------------------------------------------


@composition
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """One below the other: along the first dimension, vectors as rows."""
    return cat([atleast_2d(x) for x in only_tensors("vstack", tensors)], 0)


@composition
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Side by side: along the second dimension, vectors along their only one."""
    parts = [atleast_1d(x) for x in only_tensors("hstack", tensors)]
    return cat(parts, min(1, parts[0].ndim - 1))


@composition
def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Along the third dimension."""
    return cat([atleast_3d(x) for x in only_tensors("dstack", tensors)], 2)


@composition
def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Side by side, vectors as columns."""
    given = only_tensors("column_stack", tensors)
    return cat([x if x.ndim > 1 else x.reshape(-1, 1) for x in given], 1)


@composition
def block_diag(*tensors: Tensor) -> Tensor:
    """Matrices along the diagonal of a larger one, zeros elsewhere.

    >>> import chainrule as cr
    >>> block_diag(cr.ones(1, 1), cr.ones(1, 2))
    tensor([[1., 0., 0.], [0., 1., 1.]])
    """
    blocks = [atleast_2d(x) for x in only_tensors("block_diag", tensors)]
    width, left, rows = sum(x.shape[1] for x in blocks), 0, []
    for x in blocks:
        rows.append(pad(x, (left, width - left - x.shape[1])))
        left += x.shape[1]
    return cat(rows, 0)


@composition
def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """The whole tensor repeated along each dimension, new dimensions in front."""
    times = sizes(repeats)
    if len(times) < input.ndim:
        raise ShapeError(
            "repeat takes a number for each dimension", given=times, expected=f"{input.ndim}"
        )
    return input.tile(times)


@composition
def repeat_interleave(
    input: Tensor, repeats: int | Tensor | None = None, dim: int | None = None,
    *, output_size: int | None = None,
) -> Tensor:
    """Each element repeated, along `dim` or in one dimension; how often may differ.

    Of counts alone, `repeat_interleave(counts)`: position i repeated counts[i] times.

    >>> import chainrule as cr
    >>> repeat_interleave(cr.tensor([1, 2]), cr.tensor([1, 3]))
    tensor([1, 2, 2, 2])
    """
    if repeats is None:
        return from_numpy(np.repeat(np.arange(len(input), dtype=np.int64), _counts(input)))
    x = input.reshape(-1) if dim is None else input
    dim = normalized_dim(dim or 0, x.ndim)
    size = x.shape[dim]
    if isinstance(repeats, Tensor) and repeats.shape not in ((), (1,), (size,)):
        raise ShapeError("a count for each element", given=repeats.shape, expected=(size,))
    counts = repeats if isinstance(repeats, int) else _counts(repeats)
    places = np.repeat(np.arange(size, dtype=np.int64), counts)
    return getitem(x, (*(ALL,) * dim, from_numpy(places)))


def _counts(repeats: Tensor) -> Any:
    counts = repeats._numbers("repeat_interleave")
    if counts.dtype.kind not in "iu" or (counts < 0).any():
        raise ArgumentError("counts are integers from 0 on", given=repeats)
    return counts


# -- turned --------------------------------------------------------------------------------------


@composition
def fliplr(input: Tensor) -> Tensor:
    """The columns backwards."""
    return input.flip(1)


@composition
def flipud(input: Tensor) -> Tensor:
    """The rows backwards."""
    return input.flip(0)


@composition
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned k times by 90° in the plane of two dimensions, from the first to the second."""
    first, second = (normalized_dim(d, input.ndim) for d in dims)
    if first == second:
        raise ArgumentError("a plane has two dimensions", given=tuple(dims))
    if k % 4 == 0:
        return input.clone()
    if k % 4 == 2:
        return input.flip(first, second)
    turned = input.transpose(first, second)
    return turned.flip(first if k % 4 == 1 else second)
