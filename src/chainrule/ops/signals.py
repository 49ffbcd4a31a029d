"""Functions of a signal: windows, which fade it out at both ends, and its slopes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.ops.bessel import scaled_reference
from chainrule.ops.creation import spec
from chainrule.ops.rearrange import narrow
from chainrule.ops.rules import normalized_dim
from chainrule.ops.shape import cat
from chainrule.primitive import Array, composition
from chainrule.tensor import Tensor

__all__ = [
    "bartlett_window", "blackman_window", "gradient", "hamming_window", "hann_window",
    "kaiser_window",
]


# -- windows ---------------------------------------------------------------------------------------


def _window(shape: Any, length: int, periodic: bool, dtype: Any, requires_grad: bool) -> Tensor:
    """`shape` of the places from 0 to 1; a periodic window leaves its last place out."""
    target = spec(length, dtype=dtype)
    steps = max(length if periodic else length - 1, 1)
    places: Array = np.arange(length) / steps
    numbers = np.ones(1) if length == 1 else shape(places)
    return Tensor(numbers.astype(target.dtype), requires_grad)


def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """wₙ = 1 − |2n/N − 1|, N the length, or the length − 1 of a symmetric window.

    >>> bartlett_window(5, periodic=False)
    tensor([0. , 0.5, 1. , 0.5, 0. ])
    """
    return _window(lambda t: 1 - abs(2 * t - 1), window_length, periodic, dtype, requires_grad)


def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46,
    *, dtype: Any = None, requires_grad: bool = False,
) -> Tensor:
    """wₙ = α − β·cos(2πn/N)."""
    def shape(t: Array) -> Array: return alpha - beta * np.cos(2 * math.pi * t)
    return _window(shape, window_length, periodic, dtype, requires_grad)


def hann_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """wₙ = ½ − ½·cos(2πn/N).

    >>> hann_window(4)
    tensor([0. , 0.5, 1. , 0.5])
    """
    return hamming_window(
        window_length, periodic, 0.5, 0.5, dtype=dtype, requires_grad=requires_grad
    )


def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """wₙ = 0.42 − 0.5·cos(2πn/N) + 0.08·cos(4πn/N)."""
    def shape(t: Array) -> Array:
        return 0.42 - 0.5 * np.cos(2 * math.pi * t) + 0.08 * np.cos(4 * math.pi * t)
    return _window(shape, window_length, periodic, dtype, requires_grad)


def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0,
    *, dtype: Any = None, requires_grad: bool = False,
) -> Tensor:
    """wₙ = I₀(β·√(1 − (2n/N − 1)²)) / I₀(β), by the Bessel function I₀."""
    def shape(t: Array) -> Array:
        x = beta * np.sqrt(np.maximum(1 - (2 * t - 1) ** 2, 0))
        return scaled_reference(x, 0) / scaled_reference(np.asarray(beta), 0) * np.exp(x - beta)
    return _window(shape, window_length, periodic, dtype, requires_grad)


# -- slopes ----------------------------------------------------------------------------------------


@composition
def gradient(
    input: Tensor, *, spacing: Any = 1, dim: int | Sequence[int] | None = None, edge_order: int = 1
) -> list[Tensor]:
    """The slopes along each dimension, by differences of second order inside, 1 or 2 at the edges.

    `spacing` is the distance of two elements, one for all dimensions or one for each; or for each
    the places of the elements, as a tensor.

    >>> import chainrule as cr
    >>> gradient(cr.tensor([1.0, 4.0, 9.0, 16.0]))
    [tensor([3., 4., 6., 7.])]
    """
    dims = range(input.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    apart = spacing if isinstance(spacing, (list, tuple)) else [spacing] * len(dims)
    if len(apart) != len(dims):
        raise ArgumentError("one spacing for each dimension", given=len(apart), expected=len(dims))
    return [_slope(input, d, h, edge_order) for d, h in zip(dims, apart, strict=True)]


def _slope(x: Tensor, dim: int, spacing: Any, order: int) -> Tensor:
    """The slope along one dimension; the weights are those of the parabola through 3 places."""
    dim = normalized_dim(dim, x.ndim)
    size = x.shape[dim]
    if size <= order:
        raise ArgumentError("too few elements for a slope", given=size, expected=f"> {order}")
    if not isinstance(spacing, Tensor):
        spacing = Tensor(np.arange(size) * float(spacing))
    gaps = (spacing[1:] - spacing[:-1]).to((x * 1.0).dtype)
    gaps = gaps.reshape(-1, *[1] * (x.ndim - 1 - dim))
    slopes = (narrow(x, dim, 1, size - 1) - narrow(x, dim, 0, size - 1)) / gaps
    first, last = narrow(slopes, dim, 0, 1), narrow(slopes, dim, size - 2, 1)
    if size == 2:
        return cat([first, last], dim)
    left, right = gaps[:-1], gaps[1:]
    before, after = narrow(slopes, dim, 0, size - 2), narrow(slopes, dim, 1, size - 2)
    inner = (before * right + after * left) / (left + right)
    if order == 2:
        first = _at_edge(first, narrow(slopes, dim, 1, 1), gaps[0], gaps[1])
        last = _at_edge(last, narrow(slopes, dim, size - 3, 1), gaps[-1], gaps[-2])
    return cat([first, inner, last], dim)


def _at_edge(slope: Tensor, next_slope: Tensor, gap: Tensor, next_gap: Tensor) -> Tensor:
    """The slope at the end of a parabola, of the slopes of its two chords."""
    return slope + (slope - next_slope) * gap / (gap + next_gap)
