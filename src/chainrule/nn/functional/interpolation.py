"""Resizing over 1, 2 and 3 dimensions: `interpolate`.

Each dimension is resized on its own. An output element is a sum of weighted input elements, its
taps. Output element i is at the input coordinate c = s·(i + ½) − ½, or s·i with `align_corners`,
where s is the ratio of the sizes. Taps outside the input are the element at its edge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.gateway import apply
from chainrule.nn.functional.checks import check_tensors
from chainrule.nn.functional.pooling import adaptive_avg_pool
from chainrule.ops import pooling
from chainrule.ops.window import Geometry, layout
from chainrule.primitive import Array, Shape
from chainrule.tensor import Tensor, from_numpy

A = TypeVar("A", Array, Tensor)
Factor = float | Sequence[float]


class Filter(NamedTuple):
    """A weight for each distance |t| from the coordinate, which is 0 from `reach` on.

    dimensions: the number of spatial dimensions of its mode. smooth: the weight with antialiasing.
    """

    dimensions: int
    reach: int
    weight: Callable[[Array], Array]
    smooth: Callable[[Array], Array]


def _linear(t: Array) -> Array:
    return np.maximum(1 - t, 0)


def cubic_near(t: A, a: float) -> A:
    """The cubic convolution with parameter a at distances up to 1 (Keys, 1981)."""
    return ((t * (a + 2) - (a + 3)) * t) * t + 1


def cubic_far(t: A, a: float) -> A:
    """The cubic convolution with parameter a at distances from 1 to 2 (Keys, 1981)."""
    return (((t - 5) * t + 8) * t - 4) * a


def _cubic(a: float) -> Callable[[Array], Array]:
    return lambda t: np.where(t <= 1, cubic_near(t, a), np.where(t < 2, cubic_far(t, a), 0))


FILTERS = {
    "linear": Filter(1, 1, _linear, _linear),
    "bilinear": Filter(2, 1, _linear, _linear),
    "trilinear": Filter(3, 1, _linear, _linear),
    "bicubic": Filter(2, 2, _cubic(-0.75), _cubic(-0.5)),
}
MODES = ("nearest", "nearest-exact", "area", *FILTERS)


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: Factor | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize the spatial dimensions to `size`, or by `scale_factor`: (N, C, L), (N, C, H, W) or
    (N, C, D, H, W).

    mode: "nearest" and "nearest-exact" (which rounds to the nearest element), "linear" (of 3
    dimensions), "bilinear" and "bicubic" (of 4), "trilinear" (of 5), and "area", the means of
    `adaptive_avg_pool`. With `align_corners`, which the linear and cubic modes take, the first
    and last elements keep their values. With `antialias`, "bilinear" and "bicubic" average over
    all elements when the result is smaller. With `recompute_scale_factor`, coordinates follow the
    ratio of the sizes instead of the given factor. Raises ArgumentError for options that do not
    fit, ShapeError for another number of dimensions.

    >>> import chainrule as cr
    >>> interpolate(cr.tensor([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    >>> interpolate(cr.tensor([[[1.0, 2.0]]]), size=3, mode="linear", align_corners=True)
    tensor([[[1. , 1.5, 2. ]]])
    """
    check_tensors("interpolate", input=input)
    _check_mode(mode, input, align_corners, antialias)
    sizes = input.shape[2:]
    out, factors = _output(sizes, size, scale_factor, bool(recompute_scale_factor))
    if mode == "area":
        return adaptive_avg_pool[len(sizes) - 1](input, out)
    along = [*zip(sizes, out, factors, strict=True)]
    if mode not in FILTERS:
        return _selected(input, [_nearest(*of_dim, mode == "nearest-exact") for of_dim in along])
    y = input
    for dim, (n, m, factor) in enumerate(along, start=2):
        filter, ratio = FILTERS[mode], _ratio(n, m, factor, bool(align_corners))
        if antialias:
            taps = _averaging_taps(filter, n, m, ratio)
        else:
            taps = _taps(filter, n, m, ratio, bool(align_corners))
        y = _weighted(y, dim, *taps)
    return y


def _check_mode(mode: str, input: Tensor, align_corners: bool | None, antialias: bool) -> None:
    name = f"interpolate in mode {mode!r}"
    if mode not in MODES:
        raise ArgumentError(
            "unknown mode of interpolate", given=repr(mode), expected=", ".join(map(repr, MODES))
        )
    n = input.ndim - 2
    if (mode in FILTERS and FILTERS[mode].dimensions != n) or not 1 <= n <= 3:
        fitting = [other for other, known in FILTERS.items() if known.dimensions == n]
        raise ShapeError(
            f"{name} does not work on {input.ndim} dimensions",
            given=input.shape,
            instead=f"Use mode={fitting[0]!r}." if fitting else f"Add dimensions: {layout(2)}.",
        )
    if align_corners is not None and mode not in FILTERS:
        raise ArgumentError(f"{name} has no corners to align", given=align_corners)
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ArgumentError(f"{name} has no antialias", given=antialias)


def _output(
    sizes: Shape, size: Any, scale_factor: Any, recompute: bool
) -> tuple[Shape, Sequence[float]]:
    """The output sizes, and the factor of each dimension: 0 if it follows from the sizes."""
    if (size is None) == (scale_factor is None) or (recompute and size is not None):
        raise ArgumentError(
            "interpolate takes size or scale_factor, and recompute_scale_factor with the latter",
            given=f"size={size}, scale_factor={scale_factor}",
        )
    if 0 in sizes:
        raise ShapeError("interpolate needs at least one element", given=f"sizes {sizes}")
    given = scale_factor if size is None else size
    each = tuple(given) if isinstance(given, (tuple, list)) else (given,) * len(sizes)
    if len(each) != len(sizes) or not all(number > 0 for number in each):
        raise ArgumentError(
            f"interpolate needs a positive number, or {len(sizes)} of them", given=given
        )
    from_sizes = (0.0,) * len(sizes)
    if size is not None:
        return tuple(int(m) for m in each), from_sizes
    out = tuple(math.floor(n * factor) for n, factor in zip(sizes, each, strict=True))
    if 0 in out:
        raise ArgumentError("interpolate leaves nothing", given=f"{scale_factor} for {sizes}")
    return out, from_sizes if recompute else each


# -- taps and their weights ------------------------------------------------------------------------


def _ratio(n: int, m: int, factor: float, aligned: bool) -> float:
    """How far apart neighbours in the output of m elements are in the input of n elements."""
    if aligned:
        return (n - 1) / (m - 1) if m > 1 else 0.0
    return 1 / factor if factor else n / m


def _nearest(n: int, m: int, factor: float, exact: bool) -> Array:
    """The input element of each output element. As in PyTorch, coordinates are float32."""
    ratio = np.float32(1 / factor) if factor else np.float32(n) / np.float32(m)
    index = np.floor((np.arange(m, dtype=np.float32) + np.float32(exact / 2)) * ratio)
    return np.minimum(index.astype(np.int64), n - 1)


def _taps(filter: Filter, n: int, m: int, ratio: float, aligned: bool) -> tuple[Array, Array]:
    """The taps of each output element and their weights, two arrays (m, taps)."""
    center = np.arange(m) * ratio if aligned else (np.arange(m) + 0.5) * ratio - 0.5
    first = np.floor(center)[:, None] - (filter.reach - 1)
    taps = first + np.arange(2 * filter.reach)
    weights = filter.weight(np.abs(taps - center[:, None]))
    return np.clip(taps, 0, n - 1).astype(np.int64), weights


def _averaging_taps(filter: Filter, n: int, m: int, ratio: float) -> tuple[Array, Array]:
    """The taps and weights with antialiasing: the filter is as wide as an output element."""
    width = max(ratio, 1.0)
    center = (np.arange(m) + 0.5)[:, None] * ratio
    start = np.maximum(center - filter.reach * width + 0.5, 0).astype(np.int64)
    stop = np.minimum(center + filter.reach * width + 0.5, n).astype(np.int64)
    taps = start + np.arange((stop - start).max())
    weights = filter.smooth(np.abs(taps - center + 0.5) / width) * (taps < stop)
    return np.minimum(taps, n - 1), weights / weights.sum(1, keepdims=True)


# -- resizing --------------------------------------------------------------------------------------


def _selected(x: Tensor, indices: list[Array]) -> Tensor:
    """The elements with these indices along the spatial dimensions."""
    sizes, out = x.shape[2:], tuple(map(len, indices))
    times = tuple(max(m // n, 1) for n, m in zip(sizes, out, strict=True))
    repeats = [np.repeat(np.arange(n), k) for n, k in zip(sizes, times, strict=True)]
    if all(map(np.array_equal, indices, repeats)):  # each element fills a window
        windows = {"kernel": times, "geometry": Geometry.of(len(times), times), "divisor": 1}
        y: Tensor = apply(pooling.avg_pool_input, x, shape=(*x.shape[:2], *out), **windows)
        return y
    for dim, index in enumerate(indices, start=2):
        front, rows = _rows(x, dim)
        x = rows[from_numpy(index)].reshape(len(index), *front).movedim(0, dim)
    return x


def _weighted(x: Tensor, dim: int, taps: Array, weights: Array) -> Tensor:
    """The sums of weighted taps along a dimension."""
    front, rows = _rows(x, dim)
    y: Any = 0
    for index, weight in zip(taps.T, weights.T.astype(x.dtype), strict=True):
        y = rows[from_numpy(np.ascontiguousarray(index))] * Tensor(weight[:, None]) + y
    return y.reshape(len(taps), *front).movedim(0, dim)


def _rows(x: Tensor, dim: int) -> tuple[Shape, Tensor]:
    """The other sizes, and a row for each index of the dimension, since the engine reads rows."""
    front = x.movedim(dim, 0)
    return front.shape[1:], front.reshape(len(front), math.prod(front.shape[1:]))
