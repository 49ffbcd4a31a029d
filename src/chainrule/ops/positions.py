"""What an index means: the shape that it gives, the checks of its positions, and the same index for
many examples at once.

An index has integers, slices, None and `...`, and HERE for each index tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import OutOfRangeError
from chainrule.ops.batched import aligned, everywhere
from chainrule.ops.rules import broadcast_shapes
from chainrule.primitive import Array, Shape
from chainrule.tensor import Tensor

HERE = "tensor"
"""Stands in an index for the next of the index tensors."""


def assembled(index: tuple[Any, ...], tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    """The NumPy index: index tensors put in their places."""
    supply = iter(tensors)
    return tuple(next(supply) if part is HERE else part for part in index)


def indexed_shape(shape: Shape, index: tuple[Any, ...], tensors: tuple[Any, ...] = ()) -> Shape:
    """The shape of `x[index]`; OutOfRangeError for too many parts, or an integer out of range."""
    kept, at = kept_sizes(shape, index)
    spread = broadcast_shapes(*[t.shape for t in tensors]) if tensors else ()
    return (*kept[:at], *spread, *kept[at:])


def kept_sizes(shape: Shape, index: tuple[Any, ...]) -> tuple[list[int], int]:
    """The sizes of the dimensions that slices and None leave, and at which of them the dimensions
    of index tensors stand: as in NumPy, where these are side by side, else in front."""
    kept: list[int] = []
    places: list[tuple[int, int]] = []  # of integers and index tensors: in the index, in the result
    dim = 0
    for number, part in enumerate(spelled_out(index, shape)):
        if part is None:
            kept.append(1)
        elif part is not Ellipsis:
            if isinstance(part, slice):
                kept.append(len(range(*part.indices(shape[dim]))))
            else:
                if part is not HERE and not -shape[dim] <= part < shape[dim]:
                    raise OutOfRangeError(
                        f"index {part} is out of range for dimension {dim} of size {shape[dim]}"
                    )
                places.append((number, len(kept)))
            dim += 1
    side_by_side = places and places[-1][0] - places[0][0] == len(places) - 1
    return kept, places[0][1] if side_by_side else 0


def lifted(
    shape: Shape, index: tuple[Any, ...], tensors: Sequence[Tensor], batched: Sequence[bool],
    size: int,
) -> tuple[tuple[Any, ...], list[Tensor], list[int]]:
    """The index and its tensors for `size` examples of what they index, and the order that brings
    the dimensions of what they then give into (size, *those of an example)."""
    kept, at = kept_sizes(shape, index)
    n = spread_ndim(tensors, batched)
    ndim = 1 + n + len(kept)
    if True in batched:  # each example has positions of its own
        numbers = Tensor(np.arange(size, dtype=np.int64).reshape(size, *[1] * n))
        order = [0, *range(1 + n, 1 + n + at), *range(1, 1 + n), *range(1 + n + at, ndim)]
        return (HERE, *index), [numbers, *aligned(tensors, batched, n)], order
    index = (slice(None), *index)
    in_front = n > 0 and kept_sizes((size, *shape), index)[1] == 0
    order = [n, *range(n), *range(n + 1, ndim)] if in_front else list(range(ndim))
    return index, list(tensors), order


def in_order(x: Tensor, is_batched: bool, size: int, order: Sequence[int]) -> Tensor:
    """What is to be written, with its dimensions as the lifted index gives them: see `lifted`."""
    (x,) = aligned(everywhere([x], [is_batched], size), [True], len(order) - 1)
    return x.permute(*sorted(range(len(order)), key=order.__getitem__))


def spread_ndim(tensors: Sequence[Tensor], batched: Sequence[bool]) -> int:
    """How many dimensions the index tensors of an example have together."""
    return max([t.ndim - b for t, b in zip(tensors, batched, strict=True)], default=0)


def spelled_out(index: tuple[Any, ...], shape: Shape) -> tuple[Any, ...]:
    """An index with a part for every dimension: `...`, or the end, followed by its slices."""
    missing = len(shape) - len([p for p in index if p is not None and p is not Ellipsis])
    if missing < 0 or index.count(Ellipsis) > 1:
        raise OutOfRangeError(
            f"index {show(index)} into shape {shape}",
            expected=f"at most {len(shape)} parts, and one `...`",
        )
    at = index.index(Ellipsis) + 1 if Ellipsis in index else len(index)
    return (*index[:at], *[slice(None)] * missing, *index[at:])


def show(index: tuple[Any, ...]) -> str:
    """An index as one writes it."""
    parts = []
    for part in index:
        if isinstance(part, slice):
            ends = ["" if p is None else str(p) for p in (part.start, part.stop)]
            parts.append(":".join(ends) + ("" if part.step is None else f":{part.step}"))
        else:
            parts.append("..." if part is Ellipsis else str(part))
    return f"[{', '.join(parts)}]"


def check_positions(positions: Array, size: int, dim: int) -> None:
    """Refuse positions outside −size … size − 1, naming the first."""
    bad = (positions < -size) | (positions >= size)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise OutOfRangeError(
            f"index {positions[where]} at position {where} is out of range for dimension {dim} "
            f"of size {size}"
        )


def check_all(shape: Shape, index: tuple[Any, ...], indices: tuple[Array, ...]) -> None:
    """Refuse positions out of range, for every index tensor."""
    supply = iter(indices)
    parts = [p for p in spelled_out(index, shape) if p is not None and p is not Ellipsis]
    for dim, part in enumerate(parts):
        if part is HERE:
            check_positions(next(supply), shape[dim], dim)
