"""Windows of several dimensions as positions in the flattened dimensions.

Along one dimension, windows are an array (..., windows, taps) of positions. The windows of several
dimensions are all combinations, in the order of the flattened dimensions.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TypeVar

from chainrule.primitive import Array, Shape
from chainrule.tensor import Tensor

A = TypeVar("A", Array, Tensor)


def combined(a: A, b: A, how: Callable[[A, A], A]) -> A:
    """`how` of every window and tap of two dimensions: (..., M, K), (..., m, k) → (..., M·m, K·k).

    >>> import numpy as np
    >>> combined(np.array([[0, 1]]), np.array([[0], [1]]), lambda i, j: 10 * i + j)
    array([[ 0, 10],
           [ 1, 11]])
    """
    y = how(a[..., :, None, :, None], b[..., None, :, None, :])
    *lead, outer, inner, first, second = y.shape
    return y.reshape(*lead, outer * inner, first * second)


def flat_positions(along: Sequence[A], sizes: Shape) -> A:
    """The flat positions (..., windows, taps) of windows in dimensions of these sizes, from the
    positions along each dimension."""
    positions = along[0]
    for size, index in zip(sizes[1:], along[1:], strict=True):
        positions = combined(positions * size, index, operator.add)
    return positions


def largest_at(flat: Tensor, positions: Tensor, sizes: Shape) -> tuple[Tensor, Tensor]:
    """The largest element of each window and its position, both (..., *sizes).

    flat (..., elements); positions (windows, taps), or others for each: (..., windows, taps).
    """
    if positions.ndim == 2:
        seen = flat[..., positions]
    else:
        seen = flat.gather(-1, positions.flatten(-2)).reshape(positions.shape)
    y, chosen = seen.max(dim=-1)
    found = positions.expand(seen.shape).gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
    return y.unflatten(-1, sizes), found.unflatten(-1, sizes)
