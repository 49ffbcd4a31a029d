"""What the batching rules of records share: inputs of which some have a further dimension in front.

Such an input is batched: its first dimension counts the examples, and what follows are the
dimensions that the op speaks of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.tensor import Tensor


def examples(xs: Sequence[Tensor], batched: Sequence[bool]) -> int:
    """How many examples there are."""
    return next(x.shape[0] for x, is_batched in zip(xs, batched, strict=True) if is_batched)


def aligned(xs: Sequence[Tensor], batched: Sequence[bool], ndim: int) -> list[Tensor]:
    """Batched inputs with `ndim` dimensions for each example, the new ones in front of size 1, so
    that they broadcast as the examples do."""
    return [
        x.reshape(x.shape[0], *[1] * (ndim + 1 - x.ndim), *x.shape[1:])
        if is_batched and x.ndim <= ndim
        else x
        for x, is_batched in zip(xs, batched, strict=True)
    ]


def everywhere(
    xs: Sequence[Tensor], batched: Sequence[bool], size: int | None = None
) -> list[Tensor]:
    """All inputs batched: those that are not are repeated for each example."""
    size = examples(xs, batched) if size is None else size
    return [
        x if is_batched else x.expand(size, *x.shape)
        for x, is_batched in zip(xs, batched, strict=True)
    ]


def merged(x: Tensor, dim: int = 0) -> Tensor:
    """The examples as a part of dimension `dim` of each example, in front of what is there."""
    x = x.movedim(0, dim) if dim else x
    return x.reshape(*x.shape[:dim], x.shape[dim] * x.shape[dim + 1], *x.shape[dim + 2 :])


def apart(y: Any, size: int, dim: int = 0) -> Any:
    """The examples in front again: the inverse of `merged`, of one output or several."""
    if isinstance(y, tuple):
        return tuple([apart(part, size, dim) for part in y])
    y = y.reshape(*y.shape[:dim], size, y.shape[dim] // size, *y.shape[dim + 1 :])
    return y.movedim(dim, 0) if dim else y
