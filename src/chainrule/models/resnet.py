"""Residual networks, for pictures as small as CIFAR's and as large as ImageNet's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import chainrule.nn.functional as F
from chainrule import nn
from chainrule.tensor import Tensor

Shortcut = Literal["projection", "padding"]


class _Shortcut(nn.Module):
    """x, with its size and channels made those of the block: every second pixel, zeros added."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        self.stride, self.added = stride, channels - in_channels

    def forward(self, input: Tensor) -> Tensor:
        x = input[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))


def _shortcut(kind: Shortcut, in_channels: int, channels: int, stride: int) -> nn.Module | None:
    if stride == 1 and in_channels == channels:
        return None
    if kind == "padding":
        return _Shortcut(in_channels, channels, stride)
    convolution = nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels))


class BasicBlock(nn.Module):
    """y = relu(x + bn(conv₂(relu(bn(conv₁(x)))))), two convolutions of 3 × 3."""

    expansion: ClassVar[int] = 1

    def __init__(
        self, in_channels: int, width: int, stride: int = 1, shortcut: Shortcut = "projection"
    ) -> None:
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(shortcut, in_channels, width, stride)

    def forward(self, input: Tensor) -> Tensor:
        x = input if self.downsample is None else self.downsample(input)
        y = F.relu(self.bn1(self.conv1(input)))
        return F.relu(x + self.bn2(self.conv2(y)))


class Bottleneck(nn.Module):
    """y = relu(x + bn(conv₃(…))): 1 × 1 to `width` channels, 3 × 3, 1 × 1 to 4·width.

    The stride is that of the 3 × 3 convolution, as in today's implementations.
    """

    expansion: ClassVar[int] = 4

    def __init__(
        self, in_channels: int, width: int, stride: int = 1, shortcut: Shortcut = "projection"
    ) -> None:
        channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(shortcut, in_channels, channels, stride)

    def forward(self, input: Tensor) -> Tensor:
        x = input if self.downsample is None else self.downsample(input)
        y = F.relu(self.bn1(self.conv1(input)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(x + self.bn3(self.conv3(y)))


class ResNet(nn.Module):
    """Stages of residual blocks, of which each halves the picture and doubles the channels.

    Shapes: (N, in_channels, H, W) → (N, num_classes). `stages` are the numbers of blocks; the first
    stage has `width` channels. With `small_images` the network starts with a 3 × 3 convolution, as
    for CIFAR; otherwise with 7 × 7 of stride 2 and a max pool. Where the size changes, x is
    projected by a 1 × 1 convolution, or with `shortcut="padding"` subsampled and padded with
    zeros, which has no parameters. Names in the state dict are those of torchvision.
    He, Zhang, Ren & Sun (2016).

    >>> import chainrule as cr
    >>> model = ResNet(BasicBlock, [1, 1], width=8, small_images=True)
    >>> model(cr.zeros(2, 3, 16, 16)).shape
    (2, 10)
    """

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        stages: Sequence[int],
        *,
        num_classes: int = 10,
        in_channels: int = 3,
        width: int = 64,
        small_images: bool = False,
        shortcut: Shortcut = "projection",
    ) -> None:
        kernel, stride = (3, 1) if small_images else (7, 2)
        self.conv1 = nn.Conv2d(
            in_channels, width, kernel, stride=stride, padding=kernel // 2, bias=False
        )
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.Identity() if small_images else nn.MaxPool2d(3, stride=2, padding=1)
        channels = width
        self.stages = len(stages)
        for i, blocks in enumerate(stages):
            layers: list[nn.Module] = []
            for j in range(blocks):
                stride = 2 if i > 0 and j == 0 else 1
                layers.append(block(channels, width * 2**i, stride, shortcut))
                channels = width * 2**i * block.expansion
            setattr(self, f"layer{i + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, input: Tensor) -> Tensor:
        x = self.maxpool(F.relu(self.bn1(self.conv1(input))))
        for i in range(self.stages):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.fc(x.mean((2, 3)))


def _cifar(blocks: int, options: dict[str, Any]) -> ResNet:
    small = {"width": 16, "small_images": True, "shortcut": "padding"}
    return ResNet(BasicBlock, [blocks] * 3, **{**small, **options})


def resnet20(**options: Any) -> ResNet:
    """The ResNet of 20 layers for CIFAR-10: 0.27 million parameters; options as of `ResNet`."""
    return _cifar(3, options)


def resnet56(**options: Any) -> ResNet:
    """The ResNet of 56 layers for CIFAR-10: 0.85 million parameters; options as of `ResNet`."""
    return _cifar(9, options)


def resnet18(**options: Any) -> ResNet:
    """The ResNet of 18 layers for ImageNet: 11.7 million parameters; options as of `ResNet`."""
    return ResNet(BasicBlock, [2, 2, 2, 2], **{"num_classes": 1000, **options})


def resnet34(**options: Any) -> ResNet:
    """The ResNet of 34 layers for ImageNet: 21.8 million parameters; options as of `ResNet`."""
    return ResNet(BasicBlock, [3, 4, 6, 3], **{"num_classes": 1000, **options})


def resnet50(**options: Any) -> ResNet:
    """The ResNet of 50 layers for ImageNet: 25.6 million parameters; options as of `ResNet`."""
    return ResNet(Bottleneck, [3, 4, 6, 3], **{"num_classes": 1000, **options})
