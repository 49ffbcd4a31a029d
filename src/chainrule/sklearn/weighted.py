"""Samples that have weights: their loss, and their order."""

from __future__ import annotations

from typing import Any

import numpy as np

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


def arranged(x: Array, y: Array, weights: Array | None) -> tuple[Array, Array, Array | None]:
    """The samples in an order of their own, so that the order of the rows has no effect.

    Whole weights are counts: a weight of 2 is a row that stands twice, 0 one that does not.
    """
    if weights is not None and (weights == np.rint(weights)).all():
        counts = weights.astype(np.int64)
        if counts.min() >= 0 and 0 < counts.sum() <= 4 * len(x):
            x, y, weights = x.repeat(counts, 0), y.repeat(counts, 0), None
    order = np.argsort(_hashes(x) + 3 * _hashes(y), kind="stable")
    return x[order], y[order], None if weights is None else weights[order]


def _hashes(rows: Array) -> Array:
    """A 64-bit number for each row, from the bits of its elements."""
    bits = np.ascontiguousarray(rows).view(f"u{rows.dtype.itemsize}")
    odd = np.random.Philox(0).random_raw(rows.shape[1]) | np.uint64(1)
    sums: Array = (bits ^ (bits >> bits.dtype.type(15))) @ odd
    return sums ^ (sums >> np.uint64(29))
