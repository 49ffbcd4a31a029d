"""Sampling images at given coordinates: spatial transformers (Jaderberg et al., 2015)."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Sequence

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn.functional.activation import hardtanh
from chainrule.nn.functional.checks import check_tensors
from chainrule.nn.functional.interpolation import cubic_far, cubic_near
from chainrule.ops import compare
from chainrule.primitive import Shape
from chainrule.tensor import Tensor

MODES = ("bilinear", "nearest", "bicubic")
PADDING_MODES = ("zeros", "border", "reflection")
Taps = list[tuple[Tensor, Tensor]]
"""Positions along one dimension, each with its weight."""


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """y = θ·(x, y, 1) at each pixel of an image of `size`: (N, 2, 3) → (N, H, W, 2).

    With θ of (N, 3, 4) and `size` (N, C, D, H, W): (N, D, H, W, 3). The coordinates are those of
    `grid_sample`: −1 and 1 are the edges of the image, with `align_corners` the centers of the
    outermost pixels. Raises ShapeError for sizes that do not fit.

    >>> import chainrule as cr
    >>> identity = cr.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> affine_grid(identity, (1, 1, 1, 2), align_corners=False)
    tensor([[[[-0.5,  0. ], [ 0.5,  0. ]]]])
    """
    check_tensors("affine_grid", theta=theta)
    n, sizes = len(size) - 2, tuple(size)[2:]
    if n not in (2, 3) or theta.shape != (size[0], n, n + 1) or min(sizes) < 1:
        raise ShapeError(
            "affine_grid takes θ of (N, 2, 3) for a size (N, C, H, W), or one dimension more",
            given=f"θ {theta.shape}, size {tuple(size)}",
        )
    along = []
    for m in sizes:
        centers = np.linspace(-1, 1, m) if m > 1 else np.zeros(1)
        along.append(centers if align_corners else centers * (m - 1) / m)
    places = np.stack([*np.meshgrid(*along, indexing="ij")[::-1], np.ones(sizes)], -1)
    base = Tensor(places.reshape(-1, n + 1).astype(theta.dtype))
    return (base @ theta.transpose(1, 2)).reshape(size[0], *sizes, n)


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """y = the image at each coordinate of the grid: (N, C, H, W), (N, H', W', 2) → (N, C, H', W').

    Or (N, C, D, H, W), (N, D', H', W', 3) → (N, C, D', H', W'). Coordinates are (x, y) or (x, y,
    z): −1 and 1 are the edges of the image, with `align_corners` the centers of the outermost
    pixels. mode: "bilinear", "nearest" or, for (N, C, H, W), "bicubic". Outside of the image are
    "zeros", the "border" or the "reflection". A coordinate NaN counts as −1. Raises ShapeError for
    shapes that do not fit, ArgumentError for other modes.

    >>> import chainrule as cr
    >>> image = cr.tensor([[[[1.0, 2.0]]]])
    >>> grid_sample(image, cr.tensor([[[[0.0, 0.0], [0.5, 0.0]]]]), align_corners=False)
    tensor([[[[1.5, 2. ]]]])
    """
    check_tensors("grid_sample", input=input, grid=grid)
    _check_sampling(input, grid, mode, padding_mode)
    sizes, out = input.shape[2:], grid.shape[1:-1]
    grid = compare.where(grid.isnan(), -1.0, grid).flatten(1, -2)
    along = [
        _taps(grid[..., -1 - d], size, mode, padding_mode, bool(align_corners))
        for d, size in enumerate(sizes)
    ]
    flat = input.flatten(2)
    parts = (_seen(flat, taps, sizes) for taps in itertools.product(*along))
    return functools.reduce(operator.add, parts).reshape(*input.shape[:2], *out)


def _check_sampling(input: Tensor, grid: Tensor, mode: str, padding_mode: str) -> None:
    for value, known, name in (
        (mode, MODES, "mode"),
        (padding_mode, PADDING_MODES, "padding_mode"),
    ):
        if value not in known:
            raise ArgumentError(
                f"unknown {name} of grid_sample",
                given=repr(value),
                expected=", ".join(map(repr, known)),
            )
    n = input.ndim - 2
    if n not in (2, 3) or grid.ndim != n + 2 or grid.shape[:: n + 1] != (len(input), n):
        raise ShapeError(
            "grid_sample takes images (N, C, H, W) with a grid (N, H', W', 2), or (N, C, D, H, W) "
            "with (N, D', H', W', 3)",
            given=f"images {input.shape}, grid {grid.shape}",
        )
    if 0 in input.shape[2:]:
        raise ShapeError("grid_sample needs at least one pixel", given=input.shape)
    if mode == "bicubic" and n != 2:
        raise ShapeError("grid_sample in mode 'bicubic' works on (N, C, H, W)", given=input.shape)


def _taps(c: Tensor, size: int, mode: str, padding_mode: str, aligned: bool) -> Taps:
    """The taps along one dimension for the coordinates c."""
    x = (c + 1) * ((size - 1) / 2) if aligned else ((c + 1) * size - 1) / 2
    if mode != "bicubic":
        x = _inside(x, size, padding_mode, aligned)
    if mode == "nearest":
        return [(x.detach().round(), x * 0 + 1)]
    first = x.detach().floor()
    t = x - first
    if mode == "bilinear":
        return [(first, 1 - t), (first + 1, t)]
    a = -0.75
    weights = cubic_far(t + 1, a), cubic_near(t, a), cubic_near(1 - t, a), cubic_far(2 - t, a)
    return [
        (_inside(first + (i - 1), size, padding_mode, aligned), weight)
        for i, weight in enumerate(weights)
    ]


def _inside(x: Tensor, size: int, padding_mode: str, aligned: bool) -> Tensor:
    """The coordinate inside of the image that stands for x. For zeros it is x."""
    if padding_mode == "zeros":
        return x
    if padding_mode == "reflection":
        low, span = (0.0, size - 1.0) if aligned else (-0.5, float(size))
        if not span:
            return x * 0
        away = (x - low).abs()
        flips = (away.detach() / span).floor()
        extra = away - flips * span
        x = compare.where(flips % 2 == 0, extra, span - extra) + low
    return hardtanh(x, 0.0, size - 1.0)  # its gradient is 0 at the limits, as PyTorch's here


def _seen(flat: Tensor, taps: Sequence[tuple[Tensor, Tensor]], sizes: Shape) -> Tensor:
    """(N, C, places): the elements at one tap of each dimension, weighted; outside of the image
    0."""
    n, channels, _ = flat.shape
    (place, weight), *others = taps
    index, inside = place.clamp(0, sizes[0] - 1).long(), (place >= 0) & (place <= sizes[0] - 1)
    for (place, factor), size in zip(others, sizes[1:], strict=True):
        index = index * size + place.clamp(0, size - 1).long()
        inside = inside & (place >= 0) & (place <= size - 1)
        weight = weight * factor
    seen = flat.gather(2, index.unsqueeze(1).expand(n, channels, index.shape[1]))
    y: Tensor = compare.where(inside.unsqueeze(1), seen * weight.unsqueeze(1), 0.0)
    return y
