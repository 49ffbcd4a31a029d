"""Metrics of regression: the distance of predictions from targets of the same shape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.primitive import Array
from chainrule.train.metrics.base import Metric, as_array, ratio


class MeanSquaredError(Metric):
    """Σ (output − target)² / n over all elements.

    >>> metric = MeanSquaredError()
    >>> metric.update(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    >>> metric.compute()
    2.0
    """

    name, rises = "mse", False

    def __init__(self) -> None:
        self.state = np.zeros(2)

    def update(self, outputs: Any, targets: Any) -> None:
        difference = _difference(outputs, targets)
        self.state += (np.square(difference).sum(), difference.size)

    def compute(self) -> float:
        return ratio(*self.state)


class MeanAbsoluteError(MeanSquaredError):
    """Σ |output − target| / n over all elements."""

    name = "mae"

    def update(self, outputs: Any, targets: Any) -> None:
        difference = _difference(outputs, targets)
        self.state += (np.abs(difference).sum(), difference.size)


class R2(Metric):
    """1 − Σ (y − ŷ)² / Σ (y − ȳ)²: the share of the variance explained, averaged over outputs.

    1 is perfect; 0 is as good as predicting the mean. The variance is merged over batches with a
    stable formula (Chan, Golub, LeVeque, 1979). For a constant target the value is 1 if all
    predictions are exact, else 0.
    """

    name = "r2"

    def __init__(self) -> None:
        self.state = np.zeros((4, 1))  # rows: count, mean, Σ(y − ȳ)², Σ(y − ŷ)², one column each

    def reset(self) -> None:
        self.state = np.zeros((4, 1))

    def fits(self, shape: tuple[int, ...]) -> bool:
        return len(shape) == 2 and shape[0] == 4

    def update(self, outputs: Any, targets: Any) -> None:
        y = as_array(targets).astype(np.float64)
        if not y.size:
            return
        missed = np.square(_difference(outputs, targets)).reshape(len(y), -1)
        y = y.reshape(len(y), -1)
        n, mean = self.state[0], self.state[1]
        shift = y.mean(axis=0) - mean
        total = n + len(y)
        spread = np.square(y - y.mean(axis=0)).sum(axis=0) + shift**2 * n * len(y) / total
        self.state = np.stack(
            [
                np.broadcast_to(total, shift.shape),
                mean + shift * len(y) / total,
                self.state[2] + spread,
                self.state[3] + missed.sum(axis=0),
            ]
        )

    def compute(self) -> float:
        count, _, spread, missed = self.state
        if count[0] < 2:
            return math.nan
        flat = np.where(missed == 0, 1.0, 0.0)
        safe = np.where(spread == 0, 1.0, spread)
        return float(np.where(spread == 0, flat, 1.0 - missed / safe).mean())


def _difference(outputs: Any, targets: Any) -> Array:
    x, y = as_array(outputs), as_array(targets)
    if x.shape != y.shape:
        raise ShapeError(
            "outputs and targets differ in shape",
            given=x.shape,
            expected=y.shape,
            instead="Use .squeeze(1) or .unsqueeze(1): (n, 1) and (n,) would broadcast to (n, n).",
        )
    return x.astype(np.float64) - y
