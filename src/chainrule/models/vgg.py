"""VGG: convolutions of 3 × 3, and nothing else, made deep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule import nn
from chainrule.tensor import Tensor

_STAGES = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
"""How many convolutions the five stages have, by the number of layers with weights."""


class VGG(nn.Module):
    """Stages of 3 × 3 convolutions, each with a max pool at its end, then linear layers.

    `stages` are the numbers of convolutions, which have `width`, 2·width, 4·width, at most 8·width
    channels. Shapes: (N, in_channels, H, W) → (N, num_classes), H and W at least 2^len(stages).
    The result is averaged to `grid` × `grid` places, and the two hidden linear layers have
    `features` outputs. Simonyan & Zisserman (2015); batch norm was added later.

    >>> import chainrule as cr
    >>> VGG([1, 1], width=8, features=32, grid=2)(cr.zeros(2, 3, 16, 16)).shape
    (2, 10)
    """

    def __init__(
        self,
        stages: Sequence[int],
        *,
        num_classes: int = 10,
        in_channels: int = 3,
        width: int = 64,
        features: int = 4096,
        grid: int = 7,
        batch_norm: bool = False,
        dropout: float = 0.5,
    ) -> None:
        layers: list[nn.Module] = []
        for stage, convolutions in enumerate(stages):
            channels = width * min(2**stage, 8)
            for _ in range(convolutions):
                layers.append(nn.Conv2d(in_channels, channels, 3, padding=1))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(channels))
                layers.append(nn.ReLU())
                in_channels = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((grid, grid))
        self.classifier = nn.Sequential(
            nn.Linear(in_channels * grid * grid, features),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(features, features),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(features, num_classes),
        )
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, input: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(input)).flatten(1))


def _vgg(layers: int, options: dict[str, Any]) -> VGG:
    return VGG(_STAGES[layers], **{"num_classes": 1000, **options})


def vgg11(**options: Any) -> VGG:
    """VGG of 11 layers, for images of 224 × 224 and 1,000 classes; options as of `VGG`."""
    return _vgg(11, options)


def vgg13(**options: Any) -> VGG:
    """VGG of 13 layers; options as of `VGG`."""
    return _vgg(13, options)


def vgg16(**options: Any) -> VGG:
    """VGG of 16 layers; options as of `VGG`."""
    return _vgg(16, options)


def vgg19(**options: Any) -> VGG:
    """VGG of 19 layers; options as of `VGG`."""
    return _vgg(19, options)
