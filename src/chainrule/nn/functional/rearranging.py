"""Functions that move elements between channels and positions."""

from __future__ import annotations

import math

from chainrule.errors import ShapeError
from chainrule.nn.functional.checks import check_counts, check_tensors
from chainrule.nn.functional.dimensions import Size
from chainrule.nn.functional.padding import pad
from chainrule.ops import shape
from chainrule.ops.creation import zeros
from chainrule.ops.index import add_at
from chainrule.ops.window import Geometry, per_dimension, require_layout, taps
from chainrule.primitive import Shape
from chainrule.tensor import Tensor


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """y = r² channels as the r × r pixels of one: (..., C·r², H, W) → (..., C, H·r, W·r).

    r = `upscale_factor` (Shi et al., 2016). Raises ShapeError unless r² divides the channels.

    >>> import chainrule as cr
    >>> pixel_shuffle(cr.tensor([[[1]], [[2]], [[3]], [[4]]]), 2)
    tensor([[[1, 2], [3, 4]]])
    """
    r = upscale_factor
    check_counts("pixel_shuffle", upscale_factor=r)
    *lead, channels, height, width = _images("pixel_shuffle", input)
    if channels % (r * r):
        raise ShapeError(
            f"pixel_shuffle by {r} needs a multiple of {r * r} channels", given=input.shape
        )
    k = len(lead)
    parts = input.reshape(*lead, channels // (r * r), r, r, height, width)
    y = parts.permute(*range(k + 1), k + 3, k + 1, k + 4, k + 2)
    return y.reshape(*lead, channels // (r * r), height * r, width * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """y = the r × r pixels of a channel as r² channels: (..., C, H·r, W·r) → (..., C·r², H, W).

    The inverse of `pixel_shuffle`, r = `downscale_factor`. Raises ShapeError unless r divides the
    sizes.

    >>> import chainrule as cr
    >>> pixel_unshuffle(cr.tensor([[[1, 2], [3, 4]]]), 2)
    tensor([[[1]], [[2]], [[3]], [[4]]])
    """
    r = downscale_factor
    check_counts("pixel_unshuffle", downscale_factor=r)
    *lead, channels, height, width = _images("pixel_unshuffle", input)
    if height % r or width % r:
        raise ShapeError(f"pixel_unshuffle needs sizes that {r} divides", given=input.shape)
    k = len(lead)
    parts = input.reshape(*lead, channels, height // r, r, width // r, r)
    y = parts.permute(*range(k + 1), k + 2, k + 4, k + 1, k + 3)
    return y.reshape(*lead, channels * r * r, height // r, width // r)


def _images(name: str, input: Tensor) -> Shape:
    """The shape, which ends in (C, H, W)."""
    check_tensors(name, input=input)
    if input.ndim < 3:
        raise ShapeError(f"{name} works on (..., C, H, W)", given=input.shape)
    return input.shape


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """y = the first channel of each group, then the second of each, ...: (N, C, ...) → the same.

    It lets information pass between the groups of convolutions (Zhang et al., 2018). Raises
    ShapeError unless the groups divide the channels.

    >>> import chainrule as cr
    >>> channel_shuffle(cr.tensor([[[1], [2], [3], [4]]]), 2)
    tensor([[[1], [3], [2], [4]]])
    """
    check_tensors("channel_shuffle", input=input)
    check_counts("channel_shuffle", groups=groups)
    if input.ndim < 3 or input.shape[1] % groups:
        raise ShapeError(
            f"channel_shuffle works on (N, C, ...) with channels that {groups} divides",
            given=input.shape,
        )
    n, channels, *sizes = input.shape
    parts = input.reshape(n, groups, channels // groups, *sizes)
    return parts.transpose(1, 2).reshape(input.shape)


# -- windows as columns ----------------------------------------------------------------------------


def unfold(
    input: Tensor, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
) -> Tensor:
    """y = each window as a column: (N, C, H, W) → (N, C·k₁·k₂, windows).

    The windows are those of a convolution. An input without N is accepted. Raises ArgumentError for
    options out of range, ShapeError for another number of dimensions, or a kernel larger than the
    padded input.

    >>> import chainrule as cr
    >>> unfold(cr.tensor([[[1, 2, 3], [4, 5, 6]]]), 2)
    tensor([[1, 2], [2, 3], [4, 5], [5, 6]])
    """
    check_tensors("unfold", input=input)
    require_layout("unfold", input, 2, alone=True)
    kernel = per_dimension(kernel_size, 2, "kernel_size", 1)
    geometry = Geometry.of(2, stride, padding, dilation)
    out = geometry.positions(input.shape, kernel)
    bordered = pad(input, _border(geometry))
    windows = shape.stack([bordered[place] for _, place in taps(kernel, out, geometry)], -3)
    return windows.flatten(-4, -3).flatten(-2)


def fold(
    input: Tensor,
    output_size: Size,
    kernel_size: Size,
    dilation: Size = 1,
    padding: Size = 0,
    stride: Size = 1,
) -> Tensor:
    """y = the sum of columns at the places of their windows: (N, C·k₁·k₂, windows) → (N, C, H, W).

    The adjoint of `unfold` for images of `output_size`. An input without N is accepted. Raises
    ShapeError for columns that do not fit, ArgumentError for options out of range.

    >>> import chainrule as cr
    >>> fold(cr.ones(4, 2), [2, 3], 2)
    tensor([[[1., 2., 1.], [1., 2., 1.]]])
    """
    check_tensors("fold", input=input)
    kernel = per_dimension(kernel_size, 2, "kernel_size", 1)
    sizes = per_dimension(output_size, 2, "output_size", 1)
    geometry = Geometry.of(2, stride, padding, dilation)
    out = geometry.positions(sizes, kernel)
    if input.ndim not in (2, 3) or input.shape[-1] != math.prod(out):
        raise ShapeError(
            f"fold to {sizes} takes {math.prod(out)} windows",
            given=input.shape,
            expected=f"(N, C·{math.prod(kernel)}, {math.prod(out)})",
        )
    if input.shape[-2] % math.prod(kernel):
        raise ShapeError(
            f"the columns of fold have a multiple of {math.prod(kernel)} elements",
            given=input.shape,
        )
    *lead, rows, _ = input.shape
    windows = input.reshape(*lead, rows // math.prod(kernel), *kernel, *out)
    framed = tuple(n + sum(p) for n, p in zip(sizes, geometry.padding, strict=True))
    whole = (*windows.shape[:-4], *framed)
    y = zeros(*whole, dtype=input.dtype)
    for tap, place in taps(kernel, out, geometry):
        y = add_at(y, windows[(..., *tap, slice(None), slice(None))], index=place)
    return pad(y, [-width for width in _border(geometry)])


def _border(geometry: Geometry) -> list[int]:
    """The padding as `pad` takes it."""
    return [width for widths in reversed(geometry.padding) for width in widths]
