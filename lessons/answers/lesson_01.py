"""Answers to the exercises of lesson 1, A neuron."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def gate(kind: str) -> tuple[Array, float]:
    """(w, b) of a threshold neuron that computes "and", "or" or "nand" of two bits.

    On which side of 0 the sum lands is all that matters: `and` needs both inputs to get there, `or`
    one. No (w, b) gives exclusive or: b < 0, w₁ + b ≥ 0 and w₂ + b ≥ 0 give w₁ + w₂ + b ≥ −b > 0.
    """
    return {
        "and": (np.array([1.0, 1.0]), -1.5),
        "or": (np.array([1.0, 1.0]), -0.5),
        "nand": (np.array([-1.0, -1.0]), 1.5),
    }[kind]


def loss_from_scores(z: Array, y: Array) -> Array:
    """−y·ln σ(z) − (1 − y)·ln(1 − σ(z)) = max(z, 0) − z·y + ln(1 + e^(−|z|)), elementwise.

    −ln σ(z) = ln(1 + e⁻ᶻ) and −ln(1 − σ(z)) = z + ln(1 + e⁻ᶻ), so the loss is
    ln(1 + e⁻ᶻ) + (1 − y)·z. With ln(1 + e⁻ᶻ) = max(−z, 0) + ln(1 + e^(−|z|)) no power is large.
    """
    z, y = np.asarray(z), np.asarray(y)
    if z.shape != y.shape:
        raise ValueError(f"Scores and labels have one shape, given {z.shape} and {y.shape}.")
    return np.asarray(np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z))))


def for_raw_features(w: Array, b: float, mean: Array, deviation: Array) -> tuple[Array, float]:
    """The weights and bias that give, from raw features, what (w, b) give from standardized ones.

    Σ wᵢ·(xᵢ − μᵢ)/σᵢ + b = Σ (wᵢ/σᵢ)·xᵢ + (b − Σ wᵢ·μᵢ/σᵢ). `w`, `mean` and `deviation` are (k,).
    """
    raw = w / deviation
    return raw, float(b - raw @ mean)


def threshold_for_recall(p: Array, y: Array, recall: float) -> float:
    """The lowest limit t so that "p ≤ t" finds at least the share `recall` of the examples y = 0.

    Those are the malignant ones, whose p should be small. Sorted, the k-th smallest of their
    p finds k of them; k = ⌈recall · count⌉ is the least that is enough.
    """
    malignant = np.sort(p[y == 0])
    return float(malignant[int(np.ceil(recall * len(malignant))) - 1])


def squared_error_gradient(z: Array, y: Array) -> Array:
    """∂/∂z of (σ(z) − y)², elementwise: 2·(a − y)·a·(1 − a).

    The factor a·(1 − a), which cross-entropy cancels, is near 0 where the neuron is sure: also
    where it is sure and wrong, so it hardly learns from its worst mistakes.
    """
    a = 1 / (1 + np.exp(-z))
    return np.asarray(2 * (a - y) * a * (1 - a))
