"""Pooling over 1, 2 and 3 dimensions: windows of the input, each reduced to one element."""

from __future__ import annotations

from typing import Any

from chainrule.nn.functional.checks import check_counts
from chainrule.nn.functional.dimensions import Size
from chainrule.nn.functional.pooling import (
    OutputSize,
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    check_output_size,
    max_pool,
    pool_geometry,
)
from chainrule.nn.spatial import Spatial
from chainrule.tensor import Tensor


class _MaxPool(Spatial):
    """What MaxPool1d, MaxPool2d and MaxPool3d are."""

    text = """The largest element of each window: (N, C, {sizes}) → (N, C, {sizes:'}).

    Each size becomes ⌊(size + 2·padding − dilation·(k − 1) − 1)/stride⌋ + 1, or is rounded up with
    `ceil_mode`; the stride is the kernel's size unless given. With `return_indices` also the
    positions of the elements in the flat input of their channel. An input without N is accepted.

    >>> import chainrule as cr
    >>> MaxPool{n}d(2)(cr.zeros(2, 3, {sizes:5})).shape
    (2, 3, {sizes:2})
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        pool_geometry(self.dimensions, kernel_size, stride, padding, dilation)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        return max_pool[self.dimensions - 1](
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool, dimensions=1): ...


class MaxPool2d(_MaxPool, dimensions=2): ...


class MaxPool3d(_MaxPool, dimensions=3): ...


class _AvgPool(Spatial):
    """What AvgPool1d, AvgPool2d and AvgPool3d are."""

    text = """The mean of each window: (N, C, {sizes}) → (N, C, {sizes:'}), sizes as in MaxPool{n}d.

    The zeros of the padding count, unless `count_include_pad=False`; `divisor_override` replaces
    the number that the sum is divided by. An input without N is accepted.

    >>> import chainrule as cr
    >>> AvgPool{n}d(2)(cr.ones(2, 3, {sizes:5})).shape
    (2, 3, {sizes:2})
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        pool_geometry(self.dimensions, kernel_size, stride, padding)
        if divisor_override is not None:
            check_counts(type(self).__name__, divisor_override=divisor_override)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return avg_pool[self.dimensions - 1](
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool, dimensions=1): ...


class AvgPool2d(_AvgPool, dimensions=2): ...


class AvgPool3d(_AvgPool, dimensions=3): ...


class _AdaptiveMaxPool(Spatial):
    """What AdaptiveMaxPool1d, AdaptiveMaxPool2d and AdaptiveMaxPool3d are."""

    text = """The largest element of each of so many windows: (N, C, {sizes}) → (N, C, {sizes:'}).

    Window i of m over a dimension of k elements is ⌊i·k/m⌋ … ⌈(i + 1)·k/m⌉ − 1. A size of None
    stays. With `return_indices` also the positions of the elements in the flat input of their
    channel. An input without N is accepted.

    >>> import chainrule as cr
    >>> AdaptiveMaxPool{n}d(3)(cr.ones(1, 2, {sizes:5})).shape
    (1, 2, {sizes:3})
    """

    def __init__(self, output_size: OutputSize, return_indices: bool = False) -> None:
        check_output_size(self.dimensions, output_size)
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        return adaptive_max_pool[self.dimensions - 1](input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool, dimensions=1): ...


class AdaptiveMaxPool2d(_AdaptiveMaxPool, dimensions=2): ...


class AdaptiveMaxPool3d(_AdaptiveMaxPool, dimensions=3): ...


class _AdaptiveAvgPool(Spatial):
    """What AdaptiveAvgPool1d, AdaptiveAvgPool2d and AdaptiveAvgPool3d are."""

    text = """The mean of each of so many windows: (N, C, {sizes}) → (N, C, {sizes:'}).

    Windows as in AdaptiveMaxPool{n}d. A size of None stays. An input without N is accepted.

    >>> import chainrule as cr
    >>> AdaptiveAvgPool{n}d(1)(cr.ones(1, 2, {sizes:5})).shape
    (1, 2, {sizes:1})
    """

    def __init__(self, output_size: OutputSize) -> None:
        check_output_size(self.dimensions, output_size)
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return adaptive_avg_pool[self.dimensions - 1](input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool, dimensions=1): ...


class AdaptiveAvgPool2d(_AdaptiveAvgPool, dimensions=2): ...


class AdaptiveAvgPool3d(_AdaptiveAvgPool, dimensions=3): ...
