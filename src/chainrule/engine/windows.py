"""Lowerings of the window ops and of normalization: images, laid out in order."""

from __future__ import annotations

import math
from typing import Any

from chainrule.engine.layout import FLOATS, Layout, NativeCall, native_call
from chainrule.engine.lowering import Layouts, lowering
from chainrule.primitive import Shape

K_BLOCK = 256
BAND_BYTES = COLUMN_BYTES = 256 * 1024
"""As in engine/cpp/window.h: what the columns of a window op may take of the cache."""


def _images(inputs: Layouts, outputs: Layouts) -> bool:
    return inputs[0].dtype in FLOATS and all(x.in_order() for x in (*inputs, *outputs))


def _room(image: Layout, taps: Shape, out: Shape, stride_x: int, dilation: Shape) -> bool:
    """Whether one band of output rows, of the channels that a block can touch, fits the cache."""
    rows = (taps[0] - 1) * dilation[0] + 1
    width = (out[1] - 1) * stride_x + (taps[1] - 1) * dilation[1] + 1
    channels = (K_BLOCK + math.prod(taps) - 2) // max(math.prod(taps), 1) + 1
    size = image.dtype.itemsize
    fits = min(channels, image.shape[1]) * rows * width <= BAND_BYTES // size - 64
    return fits and math.prod(taps) <= COLUMN_BYTES // size // K_BLOCK


def _call(kernel: str, params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall:
    g = params["geometry"]
    ints = (*g.stride, *g.padding, *g.dilation, g.groups)
    return native_call(kernel, inputs, outputs, ints)


@lowering("conv2d")
def _conv2d(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    (x, w), y, g = inputs, outputs[0], params["geometry"]
    fits = _room(x, w.shape[2:], y.shape[2:], g.stride[1], g.dilation) and math.prod(w.shape) > 0
    return _call("conv2d", params, inputs, outputs) if fits and _images(inputs, outputs) else None


@lowering("conv2d_input")
def _conv2d_input(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    (u, w), y, g = inputs, outputs[0], params["geometry"]
    reach = [d * (k - 1) for d, k in zip(g.dilation, w.shape[2:], strict=True)]
    if any(p > r for p, r in zip(g.padding, reach, strict=True)) or not math.prod(w.shape):
        return None
    fits = _room(u, w.shape[2:], y.shape[2:], 1, g.dilation) and _images(inputs, outputs)
    return _call("conv2d_input", params, inputs, outputs) if fits else None


@lowering("conv2d_weight")
def _conv2d_weight(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    (x, u), y, g = inputs, outputs[0], params["geometry"]
    fits = _room(x, y.shape[2:], u.shape[2:], g.stride[1], g.dilation) and _images(inputs, outputs)
    return _call("conv2d_weight", params, inputs, outputs) if fits else None


@lowering("max_pool2d_with_positions")
def _max_pool2d(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    if not _images(inputs, outputs):
        return None
    ints = (*params["kernel"], *params["stride"], *params["padding"])
    return native_call("max_pool2d", inputs, outputs, ints)


@lowering("normalize")
def _normalize(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    """Where the kept dimensions are neighbours: x is (outer, kept, inner)."""
    x, dims = inputs[0], params["dims"]
    kept = [d for d in range(len(x.shape)) if d not in dims]
    if not _images(inputs, outputs) or not x.size or not dims:
        return None
    if kept and kept != list(range(kept[0], kept[-1] + 1)):
        return None
    first, last = (kept[0], kept[-1] + 1) if kept else (0, 0)
    sizes = (x.shape[:first], x.shape[first:last], x.shape[last:])
    return native_call("normalize", inputs, outputs, map(math.prod, sizes), (params["eps"],))
