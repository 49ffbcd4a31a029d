"""Convolution over images."""

from __future__ import annotations

import math
from typing import Any

from chainrule.errors import ArgumentError
from chainrule.nn import functional, init
from chainrule.nn.functional.checks import check_counts
from chainrule.nn.module import Module, Parameter
from chainrule.ops.creation import empty
from chainrule.ops.window import pair
from chainrule.tensor import Tensor


class Conv2d(Module):
    """y[n,o] = b[o] + Σ_c W[o,c] ⋆ x[n,c]: (N, C, H, W) → (N, O, H', W') (LeCun et al., 1989).

    H' = ⌊(H + 2·padding − dilation·(k − 1) − 1)/stride⌋ + 1. `padding` may be "valid" (0) or
    "same" (H' = H, for stride 1). `groups` cuts the channels into parts that do not mix.
    weight (O, C/groups, kh, kw) and bias (O) start from U(−k, k), k = 1/√(C/groups·kh·kw).

    >>> import chainrule as cr
    >>> Conv2d(3, 16, 3, padding=1)(cr.zeros(8, 3, 32, 32)).shape
    (8, 16, 32, 32)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        dtype: Any = None,
    ) -> None:
        check_counts("Conv2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                "groups of Conv2d must divide both numbers of channels",
                given=f"groups {groups}, channels {in_channels} → {out_channels}",
            )
        if padding_mode != "zeros":
            raise ArgumentError("Conv2d pads with zeros only", given=repr(padding_mode))
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride = pair(stride, "stride", 1)
        self.padding = padding if isinstance(padding, str) else pair(padding, "padding", 0)
        self.dilation = pair(dilation, "dilation", 1)
        self.groups = groups
        if isinstance(padding, str):
            _check_padding(padding, self.stride)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(empty(shape, dtype=dtype))
        self.bias = Parameter(empty(out_channels, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new starting values."""
        bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return functional.conv2d(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def short_repr(self) -> str:
        height, width = self.kernel_size
        return f"{self.in_channels} → {self.out_channels}, {height}×{width}"

    def extra_repr(self) -> str:
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        if self.padding != (0, 0):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else text + ", bias=False"


def _check_padding(padding: str, stride: tuple[int, int]) -> None:
    if padding not in ("same", "valid"):
        raise ArgumentError(
            "unknown padding of Conv2d", given=repr(padding), expected="'same', 'valid' or numbers"
        )
    if padding == "same" and stride != (1, 1):
        raise ArgumentError("padding='same' of Conv2d needs stride 1", given=f"stride {stride}")
