"""The autoencoder: a few numbers from which the input can be drawn again."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule import nn
from chainrule.models.mlp import MLP
from chainrule.tensor import Tensor


class Autoencoder(nn.Module):
    """x̂ = decoder(encoder(x)), where the code encoder(x) is smaller than x.

    Shapes: (N, inputs) → (N, inputs), through a code (N, code). `hidden` are the widths from the
    input to the code; the decoder has them in reverse. Train it with the input as its own target.
    Hinton & Salakhutdinov (2006).

    >>> import chainrule as cr
    >>> model = Autoencoder(64, [32], 2)
    >>> model.encoder(cr.zeros(5, 64)).shape, model(cr.zeros(5, 64)).shape
    ((5, 2), (5, 64))
    """

    def __init__(self, inputs: int, hidden: Sequence[int], code: int) -> None:
        self.encoder = MLP(inputs, hidden, code)
        self.decoder = MLP(code, hidden[::-1], inputs)

    def forward(self, input: Tensor) -> Tensor:
        return self.decoder(self.encoder(input))
