"""Pooling: windows of an image, each reduced to one pixel."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ArgumentError
from chainrule.nn import functional
from chainrule.nn.functional.checks import check_positive
from chainrule.nn.module import Module
from chainrule.ops.window import pair
from chainrule.tensor import Tensor

Pair = tuple[int, int]


def _check_border(name: str, kernel: Pair, padding: Pair) -> None:
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ArgumentError(
            f"padding of {name} is at most half the kernel", given=f"{padding} for {kernel}"
        )


class MaxPool2d(Module):
    """The largest pixel of each window: (N, C, H, W) → (N, C, H', W').

    H' = ⌊(H + 2·padding − k)/stride⌋ + 1; the stride is the kernel's size unless given.
    With `return_indices` also the position of each in the H·W plane.

    >>> import chainrule as cr
    >>> MaxPool2d(2)(cr.zeros(8, 3, 28, 28)).shape
    (8, 3, 14, 14)
    """

    def __init__(
        self, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0,
        *, return_indices: bool = False,
    ) -> None:  # fmt: skip
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else pair(stride, "stride", 1)
        self.padding = pair(padding, "padding", 0)
        self.return_indices = return_indices
        _check_border("MaxPool2d", self.kernel_size, self.padding)

    def forward(self, input: Tensor) -> Any:
        return functional.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.return_indices
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """The mean of each window: (N, C, H, W) → (N, C, H', W'), sizes as in MaxPool2d.

    The zeros of the padding count, unless `count_include_pad=False`; `divisor_override` replaces
    the number that the sum is divided by.

    >>> import chainrule as cr
    >>> AvgPool2d(2)(cr.tensor([[[[1.0, 2.0], [3.0, 6.0]]]]))
    tensor([[[[3.]]]])
    """

    def __init__(
        self, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0,
        *, count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> None:  # fmt: skip
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else pair(stride, "stride", 1)
        self.padding = pair(padding, "padding", 0)
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override
        _check_border("AvgPool2d", self.kernel_size, self.padding)
        if divisor_override is not None:
            check_positive("AvgPool2d", divisor_override=divisor_override)

    def forward(self, input: Tensor) -> Tensor:
        return functional.avg_pool2d(
            input, self.kernel_size, self.stride, self.padding,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
