"""The multilayer perceptron."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chainrule import nn


class MLP(nn.Sequential):
    """y = Wₙ·…·φ(W₂·φ(W₁·x + b₁) + b₂)… + bₙ: linear layers with an activation φ between them.

    Shapes: (N, inputs) → (N, outputs). `hidden` are the widths between. After each hidden layer
    stands batch norm if `batch_norm`, then the activation, then dropout with probability `dropout`.
    Rosenblatt (1958); trained by backpropagation: Rumelhart, Hinton & Williams (1986).

    >>> import chainrule as cr
    >>> MLP(64, [128, 32], 10)(cr.zeros(5, 64)).shape
    (5, 10)
    """

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int,
        *,
        activation: Callable[[], nn.Module] = nn.ReLU,
        batch_norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        layers: list[nn.Module] = []
        for width in hidden:
            layers.append(nn.Linear(inputs, width))
            if batch_norm:
                layers.append(nn.BatchNorm1d(width))
            layers.append(activation())
            if dropout:
                layers.append(nn.Dropout(dropout))
            inputs = width
        super().__init__(*layers, nn.Linear(inputs, outputs))
