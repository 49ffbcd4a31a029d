"""Checks of the exercises of lesson 7, What makes deep nets train."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import nn, optim
from lessons.exercises import Exercises, equal, given

check = Exercises(lesson=7)


@check.exercise(
    "Leaky gain",
    "z is symmetric: one half of E[z²] passes with factor 1. With which factor passes the other?",
    "E[a²] = ½·(1 + slope²)·Var(z), and n·Var(w) = gain² must undo the factor.",
)
def leaky_gain(answer: Any) -> None:
    for slope in (0.0, 0.01, 0.2, 1.0):
        expected = nn.init.calculate_gain("leaky_relu", slope)
        equal(f"leaky_gain({slope})", answer(slope), expected, 1e-12)


@check.exercise(
    "Softplus",
    "Take eˣ out of the logarithm where x is large: ln(1 + eˣ) = x + ln(1 + e⁻ˣ).",
    "Both forms are max(x, 0) + ln(1 + e^(−|x|)); `np.log1p` keeps its small values.",
)
def softplus(answer: Any) -> None:
    x = np.array([-80, -16.7, -3, -1e-3, 0, 1e-3, 1, 16.7, 88, 200, 1e30], np.float32)
    truth = [math.log1p(math.exp(v)) if v < 500 else v for v in x.tolist()]
    with np.errstate(all="ignore"):
        found = given("softplus(x)", answer(x))
    for v, one, other in zip(x, np.ravel(found), truth, strict=False):
        equal(f"softplus({v:g}), relative to the truth,", float(one) / other, 1.0, 1e-6)
    equal("softplus(x)", found, truth, 1e-6)


@check.exercise(
    "One pass",
    "With d = x − (the mean so far), the mean of n numbers moves by d/n.",
    "The sum of squared deviations grows by d·(x − the new mean).",
)
def mean_and_variance(answer: Any) -> None:
    for mean in (0.0, 1e4):
        x = (mean + np.random.default_rng(1).standard_normal(5000)).astype(np.float32)
        truth = x.astype(np.float64)
        found = answer(iter(x))
        equal(f"the results for a mean of {mean:g}", found, (truth.mean(), truth.var()), 5e-3)


@check.exercise(
    "AdaGrad",
    "The state `s` is a dict that begins empty: `s.get('v', 0)` is the sum so far.",
    "Add g² to the sum first, then return lr·g/(√v + eps).",
)
def adagrad(answer: Any) -> None:
    gradients = np.random.default_rng(2).standard_normal((30, 4))
    w = cr.tensor(np.ones(4), requires_grad=True)
    optimizer, x, state = optim.Adagrad([w], lr=0.3), np.ones(4), {}
    for step, g in enumerate(gradients, 1):
        moved = answer(g, state, lr=0.3)
        equal(f"the step {step}", moved, moved)  # written at all
        x = x - moved
        optimizer.zero_grad()
        (w * cr.tensor(g)).sum().backward()
        optimizer.step()
        equal(f"the place after step {step}", x, w.detach().numpy(), 1e-9)


@check.exercise(
    "Patience",
    "Keep the number of the best epoch so far. How many epochs is it ago?",
    "Training stops in the first epoch that is `patience` epochs after the best one.",
)
def early_stopping(answer: Any) -> None:
    cases = (
        ([3, 2, 2.5, 1, 1.5, 1.2, 1.1], 2, (5, 3)), ([3, 2, 2.5, 1], 1, (2, 1)),
        ([3.0, 2.0, 1.0], 5, (2, 2)), ([1, 1, 1, 0.5], 2, (2, 0)),
    )
    for losses, patience, expected in cases:
        equal(f"early_stopping({losses}, {patience})", answer(losses, patience), expected)
