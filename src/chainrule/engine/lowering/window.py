"""Windows over images: convolutions and their gradients, pooling."""

from __future__ import annotations

from typing import Any

from chainrule.engine.layout import FLOATS, Layout, NativeCall, native_call
from chainrule.engine.lowering.contract import ACTIVATIONS
from chainrule.engine.lowering.table import Layouts, lowering
from chainrule.primitive import Shape

# What a thread's own memory holds: see conv.cpp and conv_weight.cpp.
MAX_ROW_BYTES = 256 * 1024
MAX_TAPS = 8192  # of one channel
MAX_WIDTH = 1024


def _numbers(geometry: Any) -> tuple[int, ...]:
    """A geometry as kernels read it: stride, padding, dilation, groups."""
    return (*geometry.stride, *geometry.padding, *geometry.dilation, geometry.groups)


def _fits(image: Layout, height: int, width: int, kernel: Shape, outputs: Layouts) -> bool:
    """Whether so many rows of one channel, of so many pixels, fit a thread's memory."""
    rows = height * width * image.dtype.itemsize
    taps = kernel[2] * kernel[3]
    small = rows <= MAX_ROW_BYTES and 0 < taps <= MAX_TAPS and 0 not in kernel
    return small and image.dtype in FLOATS and outputs[0].in_order()


def conv_call(
    inputs: Layouts,
    outputs: Layouts,
    geometry: Any,
    bias: bool = False,
    activation: str = "none",
) -> NativeCall | None:
    """y = activation(conv2d(x, w) + bias), of inputs (x, w[, bias]); bias one number a channel."""
    x, w = inputs[:2]
    width = x.shape[3] + 2 * geometry.padding[1]
    reach = (w.shape[2] - 1) * geometry.dilation[0] + 1
    if not _fits(x, reach, width, w.shape, outputs):
        return None
    if any(b.dtype != x.dtype or not b.in_order() for b in inputs[2:]):
        return None
    ints = (int(bias), ACTIVATIONS.index(activation), *_numbers(geometry))
    return native_call("conv2d", inputs, outputs, ints)


@lowering("convolution")
def _convolution(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return conv_call(inputs, outputs, **params)


@lowering("conv2d")
def _conv2d(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return conv_call(inputs, outputs, params["geometry"])


@lowering("conv2d_input")
def _conv2d_input(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    u, w = inputs
    geometry = params["geometry"]
    reach = [(w.shape[2 + d] - 1) * geometry.dilation[d] + 1 for d in range(2)]
    width = params["shape"][3] + reach[1]
    if not _fits(u, reach[0], width, w.shape, outputs):
        return None
    return native_call("conv2d_input", inputs, outputs, (0, 0, *_numbers(geometry)))


@lowering("conv2d_weight")
def _conv2d_weight(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    x, u = inputs
    geometry, shape = params["geometry"], params["shape"]
    width = x.shape[3] + 2 * geometry.padding[1]
    reach = (shape[2] - 1) * geometry.dilation[0] + 1
    if not _fits(x, reach, width, shape, outputs) or u.shape[3] > MAX_WIDTH or u.dtype != x.dtype:
        return None
    return native_call("conv2d_weight", inputs, outputs, _numbers(geometry))


# -- pooling -------------------------------------------------------------------------------------


@lowering("max_pool2d_with_positions", "avg_pool2d")
def _pool(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    kernel = "avg_pool2d" if len(outputs) == 1 else "max_pool2d_with_positions"
    return _pooling(kernel, params, inputs, outputs)


@lowering("avg_pool2d_input")
def _pool_input(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _pooling("avg_pool2d_input", params, inputs, outputs)


def _pooling(
    kernel: str, params: dict[str, Any], inputs: Layouts, outputs: Layouts
) -> NativeCall | None:
    ints = (*params["kernel"], *params["stride"], *params["padding"])
    in_order = all(x.in_order() for x in (*inputs, *outputs))
    if not in_order or inputs[0].dtype not in FLOATS or inputs[0].size >= 2**31:
        return None
    return native_call(kernel, inputs, outputs, ints)
