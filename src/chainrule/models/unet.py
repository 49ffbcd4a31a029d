"""U-Net: a label for each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from chainrule import nn
from chainrule.ops.shape import cat
from chainrule.tensor import Tensor


class UNet(nn.Module):
    """Down to small pictures with many channels and up again, with each size handed across.

    Shapes: (N, in_channels, H, W) → (N, out_channels, H, W); H and W must be divisible by
    2^(len(widths) − 1). `widths` are the channels at each size. On the way up a transposed
    convolution doubles the size, and the features of that size from the way down join as further
    channels. Ronneberger, Fischer & Brox (2015); here with padding, so that the size stays, and
    with batch norm.

    >>> import chainrule as cr
    >>> UNet(1, 2, widths=[8, 16])(cr.zeros(3, 1, 12, 16)).shape
    (3, 2, 12, 16)
    """

    def __init__(
        self, in_channels: int, out_channels: int, widths: Sequence[int] = (64, 128, 256, 512, 1024)
    ) -> None:
        pairs = list(pairwise(widths))
        self.first = double_convolution(in_channels, widths[0])
        self.pool = nn.MaxPool2d(2)
        self.down = nn.ModuleList([double_convolution(a, b) for a, b in pairs])
        self.grow = nn.ModuleList([nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairs[::-1]])
        self.up = nn.ModuleList([double_convolution(2 * a, a) for a, _ in pairs[::-1]])
        self.last = nn.Conv2d(widths[0], out_channels, 1)

    def forward(self, input: Tensor) -> Tensor:
        features = [self.first(input)]
        for down in self.down:
            features.append(down(self.pool(features[-1])))
        x = features.pop()
        for grow, up in zip(self.grow, self.up, strict=True):
            x = up(cat([features.pop(), grow(x)], 1))
        return self.last(x)


def double_convolution(in_channels: int, channels: int) -> nn.Sequential:
    """Two convolutions of 3 × 3, each with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )
