"""LeNet-5, the network that read the digits of cheques."""

from __future__ import annotations

from chainrule import nn


class LeNet5(nn.Sequential):
    """Two stages of convolution and pooling, then three linear layers.

    Shapes: (N, in_channels, 32, 32) → (N, num_classes); with `padding=2`, images of 28 × 28.
    Sizes are those of LeCun, Bottou, Bengio & Haffner (1998). As is usual today, its pools take
    the maximum, its activations are ReLU, all channels are connected, and the last layer is linear.

    >>> import chainrule as cr
    >>> LeNet5(padding=2)(cr.zeros(3, 1, 28, 28)).shape
    (3, 10)
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 10, *, padding: int = 0) -> None:
        super().__init__(
            nn.Conv2d(in_channels, 6, 5, padding=padding),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * 5 * 5, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, num_classes),
        )
