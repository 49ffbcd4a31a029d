"""Regions of images: boxes, aligned regions, and convolution at positions that are inputs."""

from __future__ import annotations

import math

import numpy as np

from chainrule.errors import FormatError
from chainrule.formats.onnx.operators.table import Ints, counted, operator, refused
from chainrule.formats.onnx.operators.windows import geometry
from chainrule.nn.functional.sampling import grid_sample
from chainrule.ops.contract import einsum
from chainrule.ops.shape import stack
from chainrule.primitive import Array
from chainrule.tensor import Tensor

# -- boxes ---------------------------------------------------------------------------------------


def _corners(boxes: Array, center_point_box: int) -> tuple[Array, Array]:
    """The lower and the upper corner of each box, (n, 2) each."""
    if center_point_box:
        centre, size = boxes[:, :2], boxes[:, 2:]
        return centre - size / 2, centre + size / 2
    first, second = boxes[:, :2], boxes[:, 2:]
    return np.minimum(first, second), np.maximum(first, second)


def _overlap(low: Array, high: Array, i: int, others: list[int]) -> Array:
    """The intersection over the union of box i and others."""
    sides = np.minimum(high[i], high[others]) - np.maximum(low[i], low[others])
    shared = np.clip(sides, 0, None).prod(1)
    union = (high[i] - low[i]).prod() + (high[others] - low[others]).prod(1) - shared
    return np.divide(shared, union, out=np.zeros_like(union), where=union > 0)


@operator("NonMaxSuppression")
def non_max_suppression(
    boxes: Array,
    scores: Array,
    most: float | None = None,
    iou_threshold: float | None = None,
    score_threshold: float | None = None,
    *,
    center_point_box: int,
) -> Array:
    """(image, class, box) of the best boxes that overlap none of the better ones too much.

    How many there are depends on the numbers, which a compiled model does not know.
    """
    found = []
    for image, of_image in enumerate(scores):
        low, high = _corners(boxes[image], center_point_box)
        for label, row in enumerate(of_image):
            kept: list[int] = []
            for i in np.argsort(-row, kind="stable"):
                if len(kept) >= (most or 0):
                    break
                if score_threshold is not None and row[i] <= score_threshold:
                    break
                if not kept or (_overlap(low, high, i, kept) <= (iou_threshold or 0)).all():
                    kept.append(i)
            found += [(image, label, i) for i in kept]
    return np.array(found, np.int64).reshape(-1, 3)


# -- aligned regions -----------------------------------------------------------------------------


def _averages(start: float, length: float, out: int, ratio: int, size: int) -> Array:
    """How `out` averages of samples along one dimension weight its elements: (out, size)."""
    count = ratio or max(math.ceil(length / out), 1)
    places = start + (counted(out * count) + 0.5) * (length / out / count)
    inside = (places >= -1) & (places <= size)
    places = places.clip(0, size - 1)
    first = np.floor(places).astype(np.int64)
    part, rows = places - first, np.arange(len(places))
    weights = np.zeros((len(places), size))
    np.add.at(weights, (rows, first), 1 - part)
    np.add.at(weights, (rows, np.minimum(first + 1, size - 1)), part)
    return (weights * inside[:, None]).reshape(out, count, size).mean(1)


@operator("RoiAlign")
def roi_align(
    x: Tensor,
    rois: Array,
    images: Ints,
    *,
    coordinate_transformation_mode: str = "output_half_pixel",
    mode: str,
    output_height: int,
    output_width: int,
    sampling_ratio: int,
    spatial_scale: float,
) -> Tensor:
    """The averages of interpolated samples in the cells of known regions (He et al., 2017)."""
    if mode != "avg":
        raise refused(f"regions are averaged, and the mode {mode} is not supported")
    half = coordinate_transformation_mode == "half_pixel"
    found = []
    for image, roi in zip(images, rois.tolist(), strict=True):
        left, top, right, bottom = (edge * spatial_scale - 0.5 * half for edge in roi)
        width, height = right - left, bottom - top
        if not half:
            width, height = max(width, 1.0), max(height, 1.0)
        rows = _averages(top, height, output_height, sampling_ratio, x.shape[2])
        columns = _averages(left, width, output_width, sampling_ratio, x.shape[3])
        down, across = Tensor(rows.astype(x.dtype)), Tensor(columns.astype(x.dtype))
        found.append(einsum("oh,chw,pw->cop", down, x[image], across))
    if not found:
        raise FormatError("there are no regions", given=rois.shape)
    return stack(found)


# -- convolution at positions that are inputs ----------------------------------------------------


@operator("DeformConv")
def deformable_conv(
    x: Tensor,
    w: Tensor,
    offset: Tensor,
    b: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    dilations: Ints | None = None,
    group: int,
    kernel_shape: Ints | None = None,
    offset_group: int,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Tensor:
    """A convolution whose taps are moved by offsets (y, x), and weighted by a mask (Zhu et al.,
    2019)."""
    if x.ndim != 4:
        raise refused("deformable convolution is of images alone")
    (n, channels, h, width), (kh, kw) = x.shape, w.shape[2:]
    moves = geometry(
        (h, width), (kh, kw), auto_pad="NOTSET", strides=strides, pads=pads, dilations=dilations
    )
    oh, ow = moves.positions(x.shape, w.shape)
    taps, parts = kh * kw, offset_group
    grid = []
    for d, size in ((1, width), (0, h)):  # x before y, as grid_sample takes them
        tap = counted(taps) % kw if d else counted(taps) // kw
        places = counted(oh * ow) % ow if d else counted(oh * ow) // ow
        places = places * moves.stride[d] - moves.padding[d][0]
        base = (tap * moves.dilation[d])[:, None] + places
        moved = offset.reshape(n * parts, taps, 2, oh * ow)[:, :, d]
        grid.append(((moved + Tensor(base.astype(x.dtype))) * 2 + 1) / size - 1)
    images = x.reshape(n * parts, channels // parts, h, width)
    seen = grid_sample(images, stack(grid, -1), "bilinear", "zeros", False)
    columns = seen.reshape(n, parts, channels // parts, taps, oh * ow)
    if mask is not None:
        columns = columns * mask.reshape(n, parts, 1, taps, oh * ow)
    columns = columns.reshape(n, group, channels // group * taps, oh * ow)
    y = w.reshape(1, group, w.shape[0] // group, w.shape[1] * taps) @ columns
    y = y.reshape(n, w.shape[0], oh, ow)
    return y if b is None else y + b.reshape(-1, 1, 1)
