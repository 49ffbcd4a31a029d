"""The inverse of max pooling, and max pooling with windows at random positions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn.functional.checks import check_tensors
from chainrule.nn.functional.dimensions import Size, in_dimensions
from chainrule.nn.functional.pooling import pool_geometry
from chainrule.nn.functional.windows import flat_positions, largest_at
from chainrule.ops import select, shape
from chainrule.ops.creation import arange, full, zeros
from chainrule.ops.random import default_generator
from chainrule.ops.window import per_dimension, require_layout
from chainrule.primitive import Shape
from chainrule.tensor import Tensor


@in_dimensions
def max_unpool(
    n: int,
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """y = 0, but x at its positions `indices`: (N, C, {sizes:'}) → (N, C, {sizes}).

    The inverse of `max_pool{n}d` with `return_indices` and the same options, for the largest
    elements. Each size is (size − 1)·stride − 2·padding + kernel_size. Pooling maps several sizes
    to one; `output_size` selects another of them. It may be the shape of the pool's input. An input
    without N is accepted. Raises ShapeError for indices of another shape, ArgumentError for an
    `output_size` that pooling does not map to these sizes, OutOfRangeError for a position outside.

    >>> import chainrule as cr
    >>> from chainrule.nn.functional import max_pool{n}d
    >>> y, positions = max_pool{n}d(cr.ones(1, 2, {sizes:4}), 2, return_indices=True)
    >>> max_unpool{n}d(y, positions, 2).shape
    (1, 2, {sizes:4})
    """
    name = f"max_unpool{n}d"
    check_tensors(name, input=input, indices=indices)
    require_layout("unpooling", input, n, alone=True)
    if input.shape != indices.shape:
        raise ShapeError(
            f"{name} needs one position for each element",
            given=indices.shape,
            expected=input.shape,
        )
    kernel, geometry = pool_geometry(n, kernel_size, stride, padding)
    sizes = geometry.sizes(input.shape, kernel)
    if output_size is not None:
        sizes = _chosen_sizes(name, tuple(output_size), sizes, geometry.stride)
    flat = zeros(*input.shape[:-n], math.prod(sizes), dtype=input.dtype)
    y: Tensor = select.scatter(flat, -1, indices.flatten(-n), input.flatten(-n))
    return y.unflatten(-1, sizes)


max_unpool1d, max_unpool2d, max_unpool3d = max_unpool


def _chosen_sizes(name: str, output_size: Shape, sizes: Shape, stride: Shape) -> Shape:
    """The last numbers of `output_size`, if they differ from `sizes` by less than the stride."""
    n = len(sizes)
    chosen = output_size[-n:]
    if len(output_size) not in (n, n + 1, n + 2) or any(
        abs(c - size) >= s for c, size, s in zip(chosen, sizes, stride, strict=True)
    ):
        raise ArgumentError(
            f"{name} cannot make this output_size",
            given=output_size,
            expected=f"{sizes}, each more or less by less than the stride {stride}",
        )
    return chosen


@in_dimensions
def fractional_max_pool(
    n: int,
    input: Tensor,
    kernel_size: Size,
    output_size: Size | None = None,
    output_ratio: float | tuple[float, ...] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """y = the largest element of each of random windows: (N, C, {sizes}) → (N, C, {sizes:'}).

    Give `output_size`, or `output_ratio` as a part of the input's sizes (Graham, 2014). Along a
    dimension of k elements, window i starts at ⌊(i + u)·α⌋ − ⌊u·α⌋, α = (k − kernel)/(size − 1); u
    ~ U(0, 1) is drawn for each channel and dimension from the default generator. The last window
    is at the end. With `return_indices`, also returns the positions of the elements in the
    flattened dimensions. An input without N is accepted. Raises ArgumentError for options that do
    not fit.

    >>> import chainrule as cr
    >>> fractional_max_pool{n}d(cr.ones(1, 2, {sizes:7}), 2, output_ratio=0.6).shape
    (1, 2, {sizes:4})
    """
    name = f"fractional_max_pool{n}d"
    kernel = per_dimension(kernel_size, n, "kernel_size", 1)
    out_of = _output_rule(name, n, output_size, output_ratio)
    check_tensors(name, input=input)
    require_layout("pooling", input, n, alone=True)
    *lead, sizes = *input.shape[:-n], input.shape[-n:]
    out = out_of(sizes)
    if any(m < 1 or m + k - 1 > size for m, k, size in zip(out, kernel, sizes, strict=True)):
        raise ArgumentError(
            f"{name} needs output sizes of 1 to the input's size + 1 − the kernel's",
            given=f"output {out}, kernel {kernel}, input {sizes}",
        )
    u = _random_samples
    if u is None:
        u = default_generator.uniform(*lead, n, dtype=input.dtype)
    if n == 2:
        u = u.flip(-1)  # PyTorch draws the last dimension first here
    u = u.reshape(*lead, n)
    along = [_random_windows(u[..., d], sizes[d], out[d], kernel[d]) for d in range(n)]
    y, found = largest_at(input.flatten(-n), flat_positions(along, sizes), out)
    return (y, found) if return_indices else y


fractional_max_pool1d, fractional_max_pool2d, fractional_max_pool3d = fractional_max_pool


def _output_rule(name: str, n: int, size: Any, ratio: Any) -> Callable[[Shape], Shape]:
    """The output sizes as a function of the input's, from exactly one of size and ratio."""
    if (size is None) == (ratio is None):
        raise ArgumentError(
            f"{name} takes output_size or output_ratio",
            given=f"output_size={size}, output_ratio={ratio}",
        )
    if size is not None:
        sizes = per_dimension(size, n, "output_size", 1)
        return lambda _: sizes
    ratios = tuple(ratio) if isinstance(ratio, (tuple, list)) else (ratio,) * n
    if len(ratios) != n or not all(0 < r < 1 for r in ratios):
        raise ArgumentError(f"output_ratio of {name} is in (0, 1)", given=ratio)
    return lambda sizes: tuple(int(m * r) for m, r in zip(sizes, ratios, strict=True))


def _random_windows(u: Tensor, size: int, windows: int, taps: int) -> Tensor:
    """The positions (N, C, windows, taps) along one dimension, for a random number u (N, C)."""
    last = full((*u.shape, 1), size - taps, dtype="int64")
    starts = last
    if windows > 1:
        u, step = u.unsqueeze(-1), (size - taps) / (windows - 1)
        starts = ((arange(windows - 1) + u) * step).long() - (u * step).long()
        starts = shape.cat([starts, last], -1)
    return starts.unsqueeze(-1) + arange(taps)
