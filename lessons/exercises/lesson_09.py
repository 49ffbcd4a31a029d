"""Checks of the exercises of lesson 9, Function approximation."""

from __future__ import annotations

from typing import Any

import numpy as np

from lessons.exercises import Exercises, equal, given, require

check = Exercises(lesson=9)


def net(x: Any, w: Any, b: Any, v: Any, c: float = 0.0) -> Any:
    """Σ vᵢ·max(0, wᵢ·x + bᵢ) + c."""
    return np.maximum(np.outer(x, w) + b, 0) @ np.asarray(v) + c


@check.exercise(
    "The broken line",
    "Put one kink at each point but the last: w = 1, b = −xᵢ.",
    "A neuron's v is the change of slope at its point; before the first point the slope is 0.",
)
def broken_line(answer: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = np.cumsum(rng.uniform(0.1, 1, 12)), rng.standard_normal(12)
    w, b, v, c = given("broken_line(x, y)", answer(x, y))
    at = np.concatenate([x, rng.uniform(x[0], x[-1], 200)])
    equal("the net", net(at, w, b, v, c), np.interp(at, x, y), 1e-9)


@check.exercise(
    "Maximum",
    "max(x, y) = y + relu(x − y). Now y itself: where is relu(y) equal to it, and where is it 0?",
    "y = relu(y) − relu(−y).",
)
def maximum(answer: Any) -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 1000))
    equal("maximum(x, y)", answer(x, y), np.maximum(x, y), 1e-12)


@check.exercise(
    "Counting",
    "Each neuron of one hidden layer adds one kink; how many pieces do n kinks make?",
    "k layers of two neurons make 2ᵏ pieces.",
)
def layers_to_beat(answer: Any) -> None:
    for neurons in (1, 2, 3, 7, 8, 62, 63, 1000):
        k = int(given(f"layers_to_beat({neurons})", answer(neurons)))
        fault = f"layers_to_beat({neurons}) gives {k}: 2^{k} = {2**k} pieces against {neurons + 1}"
        require(2**k > neurons + 1, f"{fault}, that is too few")
        require(2 ** (k - 1) <= neurons + 1, f"{fault}; one layer less is enough")


@check.exercise(
    "Far away",
    "Which neurons are active at x = +∞, and which at −∞?",
    "Only the sign of wᵢ decides. An active neuron has the slope vᵢ·wᵢ.",
)
def far_slopes(answer: Any) -> None:
    w, b, v = np.random.default_rng(0).standard_normal((3, 20))
    y = net(np.array([-2e6, -1e6, 1e6, 2e6]), w, b, v)
    measured = ((y[1] - y[0]) / 1e6, (y[3] - y[2]) / 1e6)
    equal("far_slopes(w, b, v), at −∞ and +∞,", answer(w, b, v), measured, 1e-5)


@check.exercise(
    "A window",
    "Two hinges make a ramp from 0 to 1: relu(x − a + ε) − relu(x − a), divided by ε.",
    "Up at a, down at b: subtract a second ramp from the first.",
)
def window(answer: Any) -> None:
    x = np.linspace(-3, 3, 601)
    truth = np.interp(x, [-1.5, -1.0, 2.0, 2.5], [0, 1, 1, 0])
    equal("window(x, −1, 2, ε=0.5)", answer(x, -1.0, 2.0, 0.5), truth, 1e-9)
