"""The loss of samples that have weights."""

from __future__ import annotations

from typing import Any

from chainrule import nn
from chainrule.ops.compare import where
from chainrule.primitive import Array
from chainrule.tensor import Tensor


class Weighted(nn.Module):
    """Σ wᵢ·lossᵢ / Σ wᵢ, with the weight of each sample as the last column of the targets."""

    def __init__(self, loss: Any, labels: bool) -> None:
        self.loss, self.labels = loss, labels
        self.predicts, self.metrics = loss.predicts, ()

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        y, weight = target[:, :-1], target[:, -1]
        losses = self.loss(input, y[:, 0].long() if self.labels else y)
        losses = losses if self.labels else losses.mean(1)
        total = weight.sum()
        return (losses * weight).sum() / where(total > 0, total, 1.0)

    def divisor(self, target: Array) -> float:
        """The sum of the weights of a batch."""
        return float(target[:, -1].sum())
