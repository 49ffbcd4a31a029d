"""The variational autoencoder: a space of codes in which every point gives a plausible input."""

from __future__ import annotations

from collections.abc import Sequence

import chainrule.nn.functional as F
from chainrule import nn
from chainrule.models.mlp import MLP
from chainrule.ops.draws import randn
from chainrule.tensor import Tensor


class VAE(nn.Module):
    """z = μ(x) + σ(x)·ε with ε ~ N(0, 1); x̂ = decoder(z), logits of numbers between 0 and 1.

    Shapes: (N, inputs) → (x̂ (N, inputs), μ (N, code), log σ² (N, code)). Writing z as a function
    of ε lets gradients reach μ and σ. In evaluation z is μ. Kingma & Welling (2014).

    >>> import chainrule as cr
    >>> model = VAE(64, [32], 2)
    >>> x = cr.rand(5, 64)
    >>> logits, mean, log_variance = model(x)
    >>> model.loss(x, logits, mean, log_variance).item() > 0, model.sample(3).shape
    (True, (3, 64))
    """

    def __init__(self, inputs: int, hidden: Sequence[int], code: int) -> None:
        self.code = code
        self.encoder = MLP(inputs, hidden, 2 * code)
        self.decoder = MLP(code, hidden[::-1], inputs)

    def forward(self, input: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.encoder(input).split(self.code, 1)
        z = mean
        if self.training:
            z = mean + (0.5 * log_variance).exp() * randn(*mean.shape, dtype=mean.dtype)
        return self.decoder(z), mean, log_variance

    @staticmethod
    def loss(input: Tensor, logits: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """The mean over examples of −log p(x|z) + KL(N(μ, σ²) ‖ N(0, 1)), in nats.

        KL = −½ Σ (1 + log σ² − μ² − σ²), appendix B of the paper.
        """
        surprise = F.binary_cross_entropy_with_logits(logits, input, reduction="sum")
        divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
        return (surprise + divergence) / len(input)

    def sample(self, n: int) -> Tensor:
        """n new inputs (n, inputs), numbers between 0 and 1, from codes z ~ N(0, 1)."""
        return self.decoder(randn(n, self.code)).sigmoid()
