"""Pooling over 1, 2 and 3 dimensions: windows of the input, each reduced to one element."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.nn.functional.checks import check_counts, check_tensors
from chainrule.nn.functional.dimensions import Size, in_dimensions, over_batch, remembered
from chainrule.nn.functional.windows import combined, flat_positions, largest_at
from chainrule.ops import compare, pooling
from chainrule.ops.rules import nonempty
from chainrule.ops.window import Geometry, per_dimension, require_layout
from chainrule.primitive import Array, Shape
from chainrule.tensor import Tensor


@remembered
def pool_geometry(
    n: int, kernel_size: Size, stride: Size | None, padding: Size, dilation: Size = 1
) -> tuple[Shape, Geometry]:
    """The sizes of the kernel, and its geometry. The default stride is the kernel size."""
    kernel = per_dimension(kernel_size, n, "kernel_size", 1)
    geometry = Geometry.of(n, kernel if stride is None else stride, padding, dilation)
    if any(2 * p > k for (p, _), k in zip(geometry.padding, kernel, strict=True)):
        raise ArgumentError(
            "the padding is at most half the kernel", given=f"padding {padding}, kernel {kernel}"
        )
    return kernel, geometry


@in_dimensions
def max_pool(
    n: int,
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """y = the largest element of each window: (N, C, {sizes}) → (N, C, {sizes:'}).

    The default stride is the kernel size. The padding, at most half the kernel, counts as −∞. With
    `ceil_mode`, the last window may extend beyond the end. With `return_indices`, also returns the
    positions of the elements in the flattened dimensions of their channel. A window with NaN gives
    NaN; of equal elements, the first is chosen. An input without N is accepted. Raises
    ArgumentError for options out of range, ShapeError for another number of dimensions.

    >>> import chainrule as cr
    >>> max_pool{n}d(cr.ones(1, 2, {sizes:5}), 2).shape
    (1, 2, {sizes:2})
    """
    kernel, geometry = pool_geometry(n, kernel_size, stride, padding, dilation)
    _check_layout(f"max_pool{n}d", n, input)
    if ceil_mode:
        geometry = geometry.rounded_up(input.shape, kernel)
    both = over_batch(n, pooling.max_pool, input, kernel=kernel, geometry=geometry)
    return both if return_indices else both[0]


max_pool1d, max_pool2d, max_pool3d = max_pool


@in_dimensions
def avg_pool(
    n: int,
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """y = the mean of each window: (N, C, {sizes}) → (N, C, {sizes:'}).

    The default stride is the kernel size. With `ceil_mode`, the last window may extend beyond the
    end. The zeros of the padding count as elements unless `count_include_pad=False`.
    `divisor_override` replaces the divisor of the sum. An input without N is accepted. Raises
    ArgumentError for options out of range, ShapeError for another number of dimensions.

    >>> import chainrule as cr
    >>> avg_pool{n}d(cr.ones(1, 2, {sizes:5}), 2, ceil_mode=True).shape
    (1, 2, {sizes:3})
    """
    kernel, geometry = pool_geometry(n, kernel_size, stride, padding)
    if divisor_override is not None:
        check_counts(f"avg_pool{n}d", divisor_override=divisor_override)
    _check_layout(f"avg_pool{n}d", n, input)
    border = geometry.padding if count_include_pad else ((0, 0),) * n
    if ceil_mode:
        geometry = geometry.rounded_up(input.shape, kernel)
    counts = None
    if divisor_override is None and geometry.padding != border:
        counts = _counts(input.shape[-n:], kernel, geometry, border)
    divisor = divisor_override or (math.prod(kernel) if counts is None else 1)
    params = {"kernel": kernel, "geometry": geometry, "divisor": divisor}
    y: Tensor = over_batch(n, pooling.avg_pool, input, **params)
    return y if counts is None else y / Tensor(counts.astype(y.dtype))


avg_pool1d, avg_pool2d, avg_pool3d = avg_pool


@in_dimensions
def lp_pool(
    n: int,
    input: Tensor,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """y = (Σ xᵖ)^(1/p) over each window, p = `norm_type`: (N, C, {sizes}) → (N, C, {sizes:'}).

    p = 1 is the sum, p = ∞ the largest |x|, p = −∞ the smallest. The default stride is the kernel
    size. With `ceil_mode`, the last window may extend beyond the end; its sum is scaled to a full
    window. Where the sum is 0, so is the gradient. An input without N is accepted. Raises
    ArgumentError for options out of range, ShapeError for another number of dimensions.

    >>> import chainrule as cr
    >>> lp_pool{n}d(cr.ones(1, 2, {sizes:5}), 2, 2).shape
    (1, 2, {sizes:2})
    """
    check_tensors(f"lp_pool{n}d", input=input)
    if math.isinf(norm_type):
        sign = math.copysign(1.0, norm_type)
        largest: Tensor = max_pool[n - 1](input.abs() * sign, kernel_size, stride, 0, 1, ceil_mode)
        return largest * sign
    taps = math.prod(per_dimension(kernel_size, n, "kernel_size", 1))
    means: Tensor = avg_pool[n - 1](input**norm_type, kernel_size, stride, 0, ceil_mode)
    total = means * taps
    is_zero = total == 0
    y: Tensor = compare.where(is_zero, 1.0, total) ** (1 / norm_type)
    y = compare.where(is_zero, 0.0, y)
    return y


lp_pool1d, lp_pool2d, lp_pool3d = lp_pool


def _check_layout(name: str, n: int, input: Tensor) -> None:
    check_tensors(name, input=input)
    require_layout("pooling", input, n, alone=True)


def _counts(sizes: Shape, kernel: Shape, geometry: Geometry, border: Any) -> Array:
    """The number of elements of each window, including those of the border."""
    along = []
    out = geometry.positions(sizes, kernel)
    for d, (size, (before, after)) in enumerate(zip(sizes, border, strict=True)):
        first = np.arange(out[d]) * geometry.stride[d] - geometry.padding[d][0]
        end = np.minimum(first + kernel[d], size + after)
        along.append(end - np.maximum(first, -before))
    return functools.reduce(np.multiply.outer, along)


# -- a given number of windows -------------------------------------------------------------------

OutputSize = int | None | tuple[int | None, ...]


@in_dimensions
def adaptive_max_pool(
    n: int, input: Tensor, output_size: OutputSize, return_indices: bool = False
) -> Any:
    """y = the largest element of each window: (N, C, {sizes}) → (N, C, *output_size).

    Along a dimension of k elements with output size m, window i is ⌊i·k/m⌋ … ⌈(i + 1)·k/m⌉ − 1. An
    output size of None keeps the size. With `return_indices`, also returns the positions of the
    elements in the flattened dimensions of their channel. An input without N is accepted.

    >>> import chainrule as cr
    >>> adaptive_max_pool{n}d(cr.ones(1, 2, {sizes:5}), 3).shape
    (1, 2, {sizes:3})
    """
    sizes = _output_sizes(f"adaptive_max_pool{n}d", n, input, output_size)
    if kernel := _equal_windows(input.shape[-n:], sizes):
        return max_pool[n - 1](input, kernel, return_indices=return_indices)
    positions, _ = _uneven_windows(input.shape[-n:], sizes)
    both = largest_at(input.flatten(-n), Tensor(positions), sizes)
    return both if return_indices else both[0]


adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = adaptive_max_pool


@in_dimensions
def adaptive_avg_pool(n: int, input: Tensor, output_size: OutputSize) -> Tensor:
    """y = the mean of each window: (N, C, {sizes}) → (N, C, *output_size).

    The windows are those of `adaptive_max_pool{n}d`. An output size of None keeps the size. An
    input without N is accepted.

    >>> import chainrule as cr
    >>> adaptive_avg_pool{n}d(cr.ones(1, 2, {sizes:5}), 3).shape
    (1, 2, {sizes:3})
    """
    sizes = _output_sizes(f"adaptive_avg_pool{n}d", n, input, output_size)
    if kernel := _equal_windows(input.shape[-n:], sizes):
        return avg_pool[n - 1](input, kernel)
    positions, there = _uneven_windows(input.shape[-n:], sizes)
    seen = compare.where(Tensor(there), input.flatten(-n)[..., Tensor(positions)], 0.0)
    y: Tensor = seen.sum(-1) / Tensor(there.sum(-1).astype(input.dtype))
    return y.unflatten(-1, sizes)


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = adaptive_avg_pool


def _output_sizes(name: str, n: int, input: Tensor, output_size: OutputSize) -> Shape:
    """The output sizes, with None replaced by the size of the input."""
    if not isinstance(output_size, (tuple, list)):
        output_size = (output_size,) * n
    per_dimension([0 if m is None else m for m in output_size], n, "output_size", 0)
    _check_layout(name, n, input)
    nonempty(input, tuple(range(input.ndim - n, input.ndim)), name)
    wanted = zip(output_size, input.shape[-n:], strict=True)
    return tuple(size if m is None else m for m, size in wanted)


def _equal_windows(sizes: Shape, out: Shape) -> Shape:
    """The kernel whose windows, side by side, have these output sizes; () if there is none."""
    if 0 in out or any(k % m for k, m in zip(sizes, out, strict=True)):
        return ()
    return tuple(k // m for k, m in zip(sizes, out, strict=True))


def _uneven_windows(sizes: Shape, out: Shape) -> tuple[Array, Array]:
    """Two arrays (windows, taps): the flat positions of each window's elements, and whether they
    are in the window. A window with fewer elements than `taps` repeats its last ones.
    """
    along, inside = [], []
    for size, m in zip(sizes, out, strict=True):
        start, end = np.arange(m) * size // m, -(-(np.arange(m) + 1) * size // m)
        index = start[:, None] + np.arange((end - start).max(initial=1))
        along.append(np.minimum(index, end[:, None] - 1))
        inside.append(index < end[:, None])
    there = functools.reduce(lambda a, b: combined(a, b, np.logical_and), inside)
    return flat_positions(along, sizes), there
