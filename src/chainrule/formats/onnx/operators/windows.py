"""Convolution and pooling."""

from __future__ import annotations

import functools
import math
from typing import Any, TypedDict, Unpack

import numpy as np

from chainrule.errors import FormatError
from chainrule.formats.onnx.operators.shapes import pad
from chainrule.formats.onnx.operators.table import Ints, counted, operator
from chainrule.ops import convolution as convolutions
from chainrule.ops import pooling
from chainrule.ops.creation import arange, zeros
from chainrule.ops.select import where
from chainrule.ops.window import Geometry
from chainrule.primitive import Array
from chainrule.tensor import Tensor


class Moves(TypedDict, total=False):
    """How a kernel moves: the attributes that convolutions and pools share."""

    auto_pad: str
    dilations: Ints | None
    pads: Ints | None
    strides: Ints | None


class Convolution(Moves, total=False):
    """The attributes of convolutions."""

    group: int
    kernel_shape: Ints | None


def geometry(
    sizes: Ints,
    kernel: Ints,
    *,
    auto_pad: str = "NOTSET",
    strides: Ints | None = None,
    pads: Ints | None = None,
    dilations: Ints | None = None,
    groups: int = 1,
) -> Geometry:
    """How a kernel moves over an image of these sizes."""
    n = len(kernel)
    stride, dilation = strides or (1,) * n, dilations or (1,) * n
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        padding = []
        for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
            total = max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
            padding.append(_shared_out(total, auto_pad))
    elif auto_pad in ("NOTSET", "VALID"):
        pads = pads if pads and auto_pad == "NOTSET" else (0,) * 2 * n
        padding = [*zip(pads, pads[n:], strict=False)]
    else:
        raise FormatError("unknown auto_pad", given=auto_pad)
    if not len(padding) == len(stride) == len(dilation) == len(sizes) == n:
        raise FormatError("strides, pads and dilations are for each dimension", given=f"{n} sizes")
    if min(stride) < 1 or min(dilation) < 1 or min(kernel) < 1:
        raise FormatError("strides, dilations and kernels are at least 1", given=(stride, kernel))
    return Geometry(stride, tuple(padding), dilation, groups)


def _shared_out(total: int, auto_pad: str) -> tuple[int, int]:
    """The padding (before, after); an odd element comes after for SAME_UPPER, else before."""
    small, large = total // 2, total - total // 2
    return (small, large) if auto_pad == "SAME_UPPER" else (large, small)


# -- convolution ---------------------------------------------------------------------------------


def _require_kernel(w: Tensor, kernel_shape: Ints | None) -> None:
    if kernel_shape not in (None, w.shape[2:]):
        raise FormatError(
            "the weights have another kernel", given=w.shape[2:], expected=kernel_shape
        )


@operator("Conv")
def conv(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    group: int = 1,
    kernel_shape: Ints | None = None,
    **moves: Unpack[Moves],
) -> Tensor:
    _require_kernel(w, kernel_shape)
    way = geometry(x.shape[2:], w.shape[2:], groups=group, **moves)
    bias = () if b is None else (b,)
    y: Tensor = convolutions.convolution(x, w, *bias, geometry=way)
    return y


@operator("ConvTranspose")
def conv_transpose(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    auto_pad: str,
    dilations: Ints | None = None,
    group: int,
    kernel_shape: Ints | None = None,
    output_padding: Ints | None = None,
    output_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Tensor:
    _require_kernel(w, kernel_shape)
    n = x.ndim - 2
    extra, stride = output_padding or (0,) * n, strides or (1,) * n
    dilation, pads = dilations or (1,) * n, pads or (0,) * 2 * n
    whole = [
        s * (m - 1) + d * (k - 1) + 1 + e
        for m, k, s, d, e in zip(x.shape[2:], w.shape[2:], stride, dilation, extra, strict=True)
    ]
    if output_shape is None and auto_pad.startswith("SAME"):
        output_shape = tuple(m * s for m, s in zip(x.shape[2:], stride, strict=True))
    padding = [*zip(pads, pads[n:], strict=False)]
    if output_shape is not None:
        totals = [size - wanted for size, wanted in zip(whole, output_shape[-n:], strict=True)]
        padding = [_shared_out(total, auto_pad) for total in totals]
    ends = tuple((p, q - e) for (p, q), e in zip(padding, extra, strict=True))
    moves = Geometry(stride, ends, dilation, group)
    bias = () if b is None else (b,)
    convolutions.require_weights("transposed convolution", x, w, bias, moves)
    if x.shape[1] != w.shape[0]:
        raise FormatError("the weights have other channels", given=w.shape, expected=x.shape)
    channels = w.shape[1] * group
    convolutions.require_bias("transposed convolution", bias, channels)
    shape = (x.shape[0], channels, *moves.sizes(x.shape, w.shape))
    y: Tensor = convolutions.convolution_input(x, w, *bias, shape=shape, geometry=moves)
    return y


@operator("Col2Im")
def columns_to_image(
    x: Tensor,
    image_shape: Ints,
    block_shape: Ints,
    *,
    dilations: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Tensor:
    """The sums of columns at the places of their windows: a transposed convolution."""
    taps = math.prod(block_shape)
    moves = geometry(image_shape, block_shape, strides=strides, pads=pads, dilations=dilations)
    n, channels = x.shape[0], x.shape[1] // taps
    out = moves.positions(image_shape, block_shape)
    each = np.eye(taps, dtype=x.dtype).reshape(taps, 1, *block_shape)
    weights = Tensor(np.tile(each, (channels, *[1] * (each.ndim - 1))))
    moves, shape = moves._replace(groups=channels), (n, channels, *image_shape)
    windows = x.reshape(n, channels * taps, *out)
    y: Tensor = convolutions.convolution_input(windows, weights, shape=shape, geometry=moves)
    return y


# -- pooling -------------------------------------------------------------------------------------


def _pool_geometry(x: Tensor, kernel: Ints, ceil_mode: int, **moves: Unpack[Moves]) -> Geometry:
    found = geometry(x.shape[2:], kernel, **moves)
    return found.rounded_up(x.shape, kernel) if ceil_mode else found


@operator("MaxPool")
def max_pool(
    x: Tensor,
    *,
    ceil_mode: int = 0,
    kernel_shape: Ints,
    storage_order: int = 0,
    **moves: Unpack[Moves],
) -> tuple[Tensor, Tensor]:
    """The largest elements and their positions in the whole tensor."""
    way = _pool_geometry(x, kernel_shape, ceil_mode, **moves)
    y, places = pooling.max_pool(x, kernel=kernel_shape, geometry=way)
    sizes = x.shape[2:]
    if storage_order:
        places = _by_columns(places, sizes)
    channels = arange(math.prod(x.shape[:2])).reshape(*x.shape[:2], *[1] * len(sizes))
    return y, places + channels * math.prod(sizes)


def _by_columns(places: Tensor, sizes: Ints) -> Tensor:
    """Positions by rows, the last dimension fastest, as positions by columns."""
    result, rest = places * 0, places
    for d in reversed(range(len(sizes))):
        result = result + rest.remainder(sizes[d]) * math.prod(sizes[:d])
        rest = rest.div(sizes[d], rounding_mode="floor")
    return result


@operator("AveragePool")
def average_pool(
    x: Tensor,
    *,
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    kernel_shape: Ints,
    **moves: Unpack[Moves],
) -> Tensor:
    exact = geometry(x.shape[2:], kernel_shape, **moves)
    rounded = _pool_geometry(x, kernel_shape, ceil_mode, **moves)
    border = exact.padding if count_include_pad else ((0, 0),) * len(kernel_shape)
    if rounded.padding == border:
        divisor = math.prod(kernel_shape)
        y: Tensor = pooling.avg_pool(x, kernel=kernel_shape, geometry=rounded, divisor=divisor)
        return y
    total = pooling.avg_pool(x, kernel=kernel_shape, geometry=rounded, divisor=1)
    y = total / Tensor(_counts(x.shape[2:], kernel_shape, rounded, border).astype(x.dtype))
    return y


def _counts(sizes: Ints, kernel: Ints, moves: Geometry, border: Any) -> Array:
    """How many elements each window has, those of the border included."""
    along = []
    out = moves.positions(sizes, kernel)
    for d, (size, (before, after)) in enumerate(zip(sizes, border, strict=True)):
        window, tap = np.divmod(counted(out[d] * kernel[d]).reshape(out[d], kernel[d]), kernel[d])
        place = window * moves.stride[d] - moves.padding[d][0] + tap * moves.dilation[d]
        along.append(((place >= -before) & (place < size + after)).sum(1))
    return functools.reduce(np.multiply.outer, along)


@operator("LpPool")
def lp_pool(
    x: Tensor,
    *,
    ceil_mode: int = 0,
    kernel_shape: Ints,
    p: int,
    **moves: Unpack[Moves],
) -> Tensor:
    """(Σ |x|ᵖ)^(1/p) over each window."""
    way = _pool_geometry(x, kernel_shape, ceil_mode, **moves)
    total: Tensor = pooling.avg_pool(x.abs() ** p, kernel=kernel_shape, geometry=way, divisor=1)
    return _root(total, p)


def _root(total: Tensor, p: int) -> Tensor:
    """The p-th root, whose gradient at 0 is 0."""
    y: Tensor = where(total == 0, 0, where(total == 0, 1, total) ** (1 / p))
    return y


def _spatial(x: Tensor) -> Ints:
    return tuple(range(2, x.ndim))


@operator("GlobalAveragePool")
def global_average_pool(x: Tensor) -> Tensor:
    return x.mean(_spatial(x), True)


@operator("GlobalMaxPool")
def global_max_pool(x: Tensor) -> Tensor:
    return x.amax(_spatial(x), True)


@operator("GlobalLpPool")
def global_lp_pool(x: Tensor, *, p: int) -> Tensor:
    return _root((x.abs() ** p).sum(_spatial(x), True), p)


@operator("MaxUnpool")
def max_unpool(
    x: Tensor,
    places: Tensor,
    output_shape: Ints | None = None,
    *,
    kernel_shape: Ints,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Tensor:
    """Zeros, but x at its positions in the smallest tensor that pools to x; more zeros follow."""
    moves = geometry(x.shape[2:], kernel_shape, strides=strides, pads=pads)
    shape = (*x.shape[:2], *moves.sizes(x.shape, kernel_shape))
    flat = zeros(1, dtype=x.dtype).expand(math.prod(shape))
    y = flat.scatter(0, places.reshape(-1), x.reshape(-1)).reshape(shape)
    more = [m - n for m, n in zip(output_shape or shape, shape, strict=True)]
    return pad(y, (*[0] * len(more), *more), mode="constant")


@operator("LRN")
def local_response(x: Tensor, *, alpha: float, beta: float, bias: float, size: int) -> Tensor:
    """x / (bias + α·mean of x² over neighbouring channels)^β."""
    if size < 1:
        raise FormatError("channels have at least themselves as neighbours", given=size)
    n, channels = x.shape[:2]
    squares = (x * x).reshape(n, 1, channels, math.prod(x.shape[2:]))
    before = (size - 1) // 2
    moves = Geometry((1, 1), ((before, size - 1 - before), (0, 0)), (1, 1))
    mean = pooling.avg_pool(squares, kernel=(size, 1), geometry=moves, divisor=size)
    y: Tensor = x / (mean.reshape(x.shape) * alpha + bias) ** beta
    return y
