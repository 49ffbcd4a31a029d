"""Answers to the exercises of lesson 9, Function approximation."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def relu(x: Any) -> Any:
    """max(0, x)."""
    return np.maximum(0, x)


def broken_line(x: Array, y: Array) -> tuple[Array, Array, Array, float]:
    """(w, b, v, c) of Σ vᵢ·relu(wᵢ·x + bᵢ) + c, the line through the points (x, y).

    Every neuron has its kink at a point, wᵢ = 1 and bᵢ = −xᵢ. There the slope changes by vᵢ:
    the new slope minus the old one, and for the first point, before which it is flat, the slope.
    """
    slopes = np.diff(y) / np.diff(x)
    return np.ones(len(slopes)), -x[:-1], np.diff(slopes, prepend=0.0), float(y[0])


def maximum(x: Any, y: Any) -> Any:
    """max(x, y) = y + relu(x − y), and y = relu(y) − relu(−y): three ReLUs."""
    return relu(x - y) + relu(y) - relu(-y)


def layers_to_beat(neurons: int) -> int:
    """The least k with 2ᵏ > neurons + 1.

    A hidden layer of n neurons has at most n kinks, so n + 1 pieces; k folded tents have 2ᵏ.
    """
    k = 0
    while 2**k <= neurons + 1:
        k += 1
    return k


def far_slopes(w: Array, b: Array, v: Array) -> tuple[float, float]:
    """The slopes at −∞ and +∞ of Σ vᵢ·relu(wᵢ·x + bᵢ).

    Far to the right exactly the neurons with wᵢ > 0 are active, far to the left those with
    wᵢ < 0; each adds vᵢ·wᵢ. The biases only say how far is far.
    """
    slope = v * w
    return float(slope[w < 0].sum()), float(slope[w > 0].sum())


def window(x: Any, a: float, b: float, epsilon: float) -> Any:
    """1 on [a, b], 0 outside [a − ε, b + ε]: up at one end, down at the other, two hinges each.

    The largest weight is 1/ε, without bound as ε → 0: a jump would need an infinite one.
    """
    up = relu(x - a + epsilon) - relu(x - a)
    down = relu(x - b) - relu(x - b - epsilon)
    return (up - down) / epsilon
