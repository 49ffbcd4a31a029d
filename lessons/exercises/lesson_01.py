"""Checks of the exercises of lesson 1, A neuron."""

from __future__ import annotations

from typing import Any

import numpy as np

from lessons.exercises import Exercises, equal, given, require

check = Exercises(lesson=1)


def sigmoid(z: Any) -> Any:
    return (1 + np.tanh(z / 2)) / 2


@check.exercise(
    "Gates",
    "With both weights 1, the sum is 0, 1 or 2. Which of these must reach the threshold?",
    "*and* must fire at 2 but not at 1, so −2 < −b... put b between −2 and −1. *nand* is *and* "
    "with all signs turned.",
)
def gate(answer: Any) -> None:
    tables = {"and": (0, 0, 0, 1), "or": (0, 1, 1, 1), "nand": (1, 1, 1, 0)}
    for kind, table in tables.items():
        w, b = given(f"gate({kind!r})", answer(kind))
        for inputs, expected in zip(((0, 0), (0, 1), (1, 0), (1, 1)), table, strict=True):
            fires = int(np.dot(w, inputs) + b >= 0)
            require(fires == expected, f"{kind} of {inputs} gives {fires}, expected {expected}")


@check.exercise(
    "A loss for any score",
    "ln σ(z) = −ln(1 + e⁻ᶻ). Put both logarithms into the loss, and collect what is left of y.",
    "The loss is ln(1 + e⁻ᶻ) + (1 − y)·z. It is safe for large z; for very negative z, take −z out "
    "of the logarithm: ln(1 + e⁻ᶻ) = max(−z, 0) + ln(1 + e^(−|z|)).",
)
def loss_from_scores(answer: Any) -> None:
    z, y = np.linspace(-20, 20, 41), np.arange(41) % 2
    expected = -y * np.log(sigmoid(z)) - (1 - y) * np.log(sigmoid(-z))
    equal("loss_from_scores(z, y) for |z| ≤ 20", answer(z, y), expected, 1e-6)
    with np.errstate(all="ignore"):
        ends = answer(np.array([1000.0, -1000.0, 1000.0, -1000.0]), np.array([0, 1, 1, 0]))
    equal("the loss of the scores 1000, −1000, 1000, −1000", ends, [1000.0, 1000.0, 0.0, 0.0])


@check.exercise(
    "Raw features",
    "Write the standardized feature as (x − mean)/deviation in the sum, and sort the terms.",
    "x is multiplied by w/deviation; what does not depend on x belongs to the bias.",
)
def for_raw_features(answer: Any) -> None:
    rng = np.random.default_rng(0)
    x, w, b = rng.uniform(5, 900, (40, 6)), rng.standard_normal(6), 0.3
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    raw, bias = given("for_raw_features", answer(w, b, mean, deviation))
    expected = (x - mean) / deviation @ w + b
    equal("x @ w_raw + b_raw", x @ np.ravel(raw) + bias, expected, 1e-9)


@check.exercise(
    "Better safe",
    "Only the malignant tumours count here: sort their a.",
    "To find k of them, t must be the k-th smallest. Which k is the least that is enough?",
)
def threshold_for_recall(answer: Any) -> None:
    rng = np.random.default_rng(0)
    p, y = rng.uniform(0, 1, 301), rng.integers(0, 2, 301)
    for recall in (0.5, 0.9, 0.99, 1.0):
        t = given("threshold_for_recall", answer(p, y, recall))
        found, below = (p[y == 0] <= t).mean(), (p[y == 0] < t).mean()
        require(found >= recall, f"the limit for {recall:.0%} finds only {found:.1%}")
        require(below < recall, f"a lower limit than yours finds {recall:.0%}, too")


@check.exercise(
    "Squared error",
    "The chain rule: ∂(a − y)²/∂a times ∂a/∂z.",
    "∂a/∂z = a·(1 − a), as in the lesson; here it does not cancel.",
)
def squared_error_gradient(answer: Any) -> None:
    z, y, h = np.linspace(-8, 8, 33), np.arange(33) % 2, 1e-6
    slope = ((sigmoid(z + h) - y) ** 2 - (sigmoid(z - h) - y) ** 2) / (2 * h)
    equal("squared_error_gradient(z, y)", answer(z, y), slope, 1e-8)
