"""Resizing and sampling of images.

A resize is separable: along each dimension, an output element is a sum of weighted input elements.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.errors import FormatError
from chainrule.formats.onnx.operators.shapes import each
from chainrule.formats.onnx.operators.table import Ints, counted, operator, refused
from chainrule.nn.functional.sampling import affine_grid, grid_sample
from chainrule.ops.select import where
from chainrule.primitive import Array
from chainrule.tensor import Tensor

Taps = tuple[Array, Array]
"""The positions and the weights, (elements, taps)."""


@dataclass
class Axis:
    """How one dimension is resized: n elements to m, `scale` times as many, of a part of them."""

    n: int
    m: int
    scale: float
    start: float = 0.0
    end: float = 1.0


def _places(axis: Axis, mode: str) -> Array:
    """Where each output element is, in coordinates of the input."""
    n, y = axis.n, counted(axis.m).astype(np.float64)
    length = axis.scale * n
    if mode == "align_corners":
        return y * 0 if length == 1 else y * (n - 1) / (length - 1)
    if mode == "asymmetric":
        return y / axis.scale
    if mode == "tf_crop_and_resize":
        span = (axis.end - axis.start) * (n - 1)
        along = y * 0 + span / 2 if length == 1 else y * span / (length - 1)
        return along + axis.start * (n - 1)
    centre = (y + 0.5) / axis.scale - 0.5
    if mode == "pytorch_half_pixel":
        return centre if axis.m > 1 else y * 0 - 0.5
    if mode == "half_pixel_symmetric":
        return centre + n / 2 * (1 - axis.m / length)
    if mode != "half_pixel":
        raise refused(f"the coordinates {mode} are not supported")
    return centre


ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _triangle(distance: Array, a: float) -> Array:
    return np.clip(1 - distance, 0, None)


def _cubic(distance: Array, a: float) -> Array:
    """Keys's kernel (1981) with parameter a."""
    d = distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


KERNELS = {"linear": (_triangle, 1), "cubic": (_cubic, 2)}
"""The weight by distance, and how far it reaches."""


def _taps(
    places: Array, axis: Axis, mode: str, antialias: bool, exclude_outside: bool, a: float
) -> Taps:
    """The taps of each output element."""
    kernel, reach = KERNELS[mode]
    scale = min(axis.scale, 1.0) if antialias else 1.0
    first = math.floor(-reach / scale) + 1
    count = 2 - 2 * first
    offsets = counted(count * max(axis.m, 1)).reshape(max(axis.m, 1), count)[: axis.m] % count
    taps = np.floor(places)[:, None] + first + offsets
    weights = kernel(np.abs(taps - places[:, None]) * scale, a)
    if exclude_outside:
        weights = weights * ((taps >= 0) & (taps < axis.n))
    if exclude_outside or antialias:
        weights = weights / weights.sum(1, keepdims=True)
    return np.clip(taps, 0, axis.n - 1).astype(np.int64), weights


def _resized(x: Tensor, dim: int, taps: Array, weights: Array | None) -> Tensor:
    """The sums of weighted taps along a dimension."""
    if weights is None:
        return x.index_select(dim, Tensor(np.ascontiguousarray(taps[:, 0])))
    shape = [1] * x.ndim
    shape[dim] = len(taps)
    parts = [
        x.index_select(dim, Tensor(np.ascontiguousarray(index)))
        * Tensor(weight.astype(x.dtype).reshape(shape))
        for index, weight in zip(taps.T, weights.T, strict=True)
    ]
    y = parts[0]
    for part in parts[1:]:
        y = y + part
    return y


def _axes(
    x: Tensor, dims: Ints, roi: Any, scales: Any, sizes: Ints | None, policy: str, crops: bool
) -> dict[int, Axis]:
    """The dimensions that change."""
    old = [x.shape[d] for d in dims]
    if sizes is None:
        factors = [float(factor) for factor in scales.tolist()]
        new = [math.floor(n * factor) for n, factor in zip(old, factors, strict=True)]
    else:
        factors = [m / n for n, m in zip(old, sizes, strict=True)]
        new = list(sizes)
        if policy != "stretch":
            factor = min(factors) if policy == "not_larger" else max(factors)
            factors = [factor] * len(old)
            new = [math.floor(n * factor + 0.5) for n in old]
    if any(not factor > 0 for factor in factors):
        raise FormatError("a scale is positive", given=factors)
    parts = roi.tolist() if crops and roi is not None else []
    found = {}
    for i, d in enumerate(dims):
        ends = (parts[i], parts[i + len(dims)]) if parts else (0.0, 1.0)
        if (new[i], factors[i], ends) != (old[i], 1.0, (0.0, 1.0)):
            found[d] = Axis(old[i], new[i], factors[i], *ends)
    return found


@operator("Resize", since=11)
def resize(
    x: Tensor,
    roi: Array | None = None,
    scales: Array | None = None,
    sizes: Ints | None = None,
    *,
    antialias: int = 0,
    axes: Ints | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Tensor:
    """Each dimension resized to a size, or by a scale."""
    dims = each(tuple(range(x.ndim)) if axes is None else axes, x.ndim)
    crops, sizes = coordinate_transformation_mode == "tf_crop_and_resize", sizes or None
    if (sizes is None) == (scales is None or scales.size == 0):
        raise FormatError("a resize has either sizes or scales")
    changed = _axes(x, dims, roi, scales, sizes, keep_aspect_ratio_policy, crops)
    for d, axis in changed.items():
        if axis.n == 0:
            raise FormatError("there are no elements to resize", given=x.shape)
        places = _places(axis, coordinate_transformation_mode)
        if mode == "nearest":
            index = ROUNDINGS[nearest_mode](places).clip(0, axis.n - 1).astype(np.int64)
            taps: tuple[Array, Array | None] = index[:, None], None
        else:
            options = bool(antialias), bool(exclude_outside), cubic_coeff_a
            taps = _taps(places, axis, mode, *options)
        y = _resized(x, d, *taps)
        if crops:
            shape = [1] * x.ndim
            shape[d] = len(places)
            inside = Tensor(((places >= 0) & (places <= axis.n - 1)).reshape(shape))
            y = where(inside, y, extrapolation_value)
        x = y
    return x


@operator("Resize")
def resize_asymmetric(x: Tensor, scales: Array, *, mode: str) -> Tensor:
    """Opset 10: coordinates are divided by the scale, and cut."""
    return resize(
        x,
        None,
        scales,
        mode=mode,
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


@operator("Upsample")
def upsample(x: Tensor, scales: Array, *, mode: str) -> Tensor:
    return resize_asymmetric(x, np.array(scales, np.float32), mode=mode)


@operator("GridSample")
def grid_sample_(
    x: Tensor, grid: Tensor, *, align_corners: int, mode: str, padding_mode: str
) -> Tensor:
    name = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    return grid_sample(x, grid, name, padding_mode, bool(align_corners))


@operator("AffineGrid")
def affine_grid_(theta: Tensor, size: Ints, *, align_corners: int) -> Tensor:
    return affine_grid(theta, size, bool(align_corners))
