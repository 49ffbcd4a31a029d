"""Answers to the exercises of lesson 7, What makes deep nets train."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def leaky_gain(slope: float) -> float:
    """√(2 / (1 + slope²)), the gain of leaky ReLU.

    z is symmetric, so half of E[z²] is passed with factor 1 and half with slope²:
    E[a²] = ½(1 + slope²)·Var(z), and Var(z) = n·Var(w)·E[a²] of the layer before.
    """
    return math.sqrt(2 / (1 + slope * slope))


def softplus(x: Array) -> Array:
    """ln(1 + eˣ) = max(x, 0) + ln(1 + e^(−|x|)): no exponent is positive, nothing cancels."""
    softened: Array = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    return softened


def mean_and_variance(values: Iterable[Any]) -> tuple[float, float]:
    """Mean and variance (of a population) in one pass over float32 numbers (Welford, 1962).

    With n numbers seen, the mean moves by d/n where d = x − old mean; the sum of squared
    deviations grows by d·(x − new mean). Both are differences of x from its mean, so no digits
    are lost when the mean is large.
    """
    mean, squares, n = np.float32(0), np.float32(0), 0
    for x in values:
        n += 1
        d = np.float32(x) - mean
        mean += d / np.float32(n)
        squares += d * (np.float32(x) - mean)
    return float(mean), float(squares) / n


def adagrad(g: Array, s: dict[str, Any], lr: float, eps: float = 1e-10) -> Array:
    """What to subtract: η·g/(√v + ε), v the sum of all squared gradients so far."""
    s["v"] = s.get("v", 0) + g**2
    step: Array = lr * g / (np.sqrt(s["v"]) + eps)
    return step


def early_stopping(losses: Sequence[float], patience: int) -> tuple[int, int]:
    """(the epoch after which training stops, the epoch whose weights are kept), from 0.

    Training stops once `patience` epochs in a row have not improved on the best.
    """
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        if epoch - best == patience:
            return epoch, best
    return len(losses) - 1, best
