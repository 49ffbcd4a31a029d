"""Layers that change the shape of a tensor, or the places of its elements."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn import functional
from chainrule.nn.function_layer import FunctionLayer
from chainrule.nn.functional.checks import check_tensors
from chainrule.nn.module import Module
from chainrule.ops.rules import normalized_dim
from chainrule.tensor import Tensor


class Flatten(Module):
    """Merge the dimensions from start_dim to end_dim into one: (N, C, H, W) → (N, C·H·W).

    >>> import chainrule as cr
    >>> Flatten()(cr.zeros(64, 1, 28, 28)).shape
    (64, 784)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        check_tensors("Flatten", input=input)
        y: Tensor = input.flatten(self.start_dim, self.end_dim)
        return y


class Unflatten(Module):
    """Split one dimension into several: (N, C·H·W) → (N, C, H, W).

    One size may be −1: it is computed from the others. Raises ShapeError for sizes whose product is
    not the size of the dimension.

    >>> import chainrule as cr
    >>> Unflatten(1, (1, 28, 28))(cr.zeros(64, 784)).shape
    (64, 1, 28, 28)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        sizes = tuple(unflattened_size)
        if not sizes or any(n < -1 for n in sizes) or sizes.count(-1) > 1:
            raise ArgumentError("Unflatten needs sizes, at most one of them −1", given=sizes)
        self.dim = dim
        self.unflattened_size = sizes

    def forward(self, input: Tensor) -> Tensor:
        check_tensors("Unflatten", input=input)
        at = normalized_dim(self.dim, input.ndim)
        sizes, n = self.unflattened_size, input.shape[at]
        known = -math.prod(sizes) if -1 in sizes else math.prod(sizes)
        if known != n and (-1 not in sizes or not known or n % known):
            raise ShapeError(
                f"cannot cut dimension {at} of size {n} into {sizes}", given=input.shape
            )
        sizes = tuple(n // known if size == -1 else size for size in sizes)
        y: Tensor = input.reshape(*input.shape[:at], *sizes, *input.shape[at + 1 :])
        return y


class PixelShuffle(FunctionLayer, of=functional.pixel_shuffle):
    shown = "upscale_factor="


class PixelUnshuffle(FunctionLayer, of=functional.pixel_unshuffle):
    shown = "downscale_factor="


class ChannelShuffle(FunctionLayer, of=functional.channel_shuffle):
    shown = "groups="


class Unfold(FunctionLayer, of=functional.unfold):
    shown = "kernel_size= dilation= padding= stride="


class Fold(FunctionLayer, of=functional.fold):
    shown = "output_size= kernel_size= dilation= padding= stride="
