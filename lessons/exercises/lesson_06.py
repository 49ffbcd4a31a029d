"""Checks of the exercises of lesson 6, Against PyTorch."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import optim
from lessons import race
from lessons.exercises import Exercises, equal, given, require

check = Exercises(lesson=6)


@check.exercise(
    "The first step of Adam",
    "m and v start at 0. What are m and v after one gradient g, and what are m̂ and v̂?",
    "m̂ = g and v̂ = g²: the size of g cancels, its sign stays.",
)
def first_adam_step(answer: Any) -> None:
    for gradient in (1e-4, 1.0, -3.0, 1e4):
        w = cr.tensor([0.0], dtype=cr.float64, requires_grad=True)
        optimizer = optim.Adam([w], lr=1e-3)
        (w * gradient).sum().backward()
        optimizer.step()
        what = f"first_adam_step({gradient}, lr=0.001)"
        equal(what, answer(gradient, 1e-3), w.item(), 1e-7)


@check.exercise(
    "A standard error",
    "A count of independent images that are right with probability p is binomial.",
    "The count has the variance n·p·(1 − p); a share is the count divided by n.",
)
def standard_error(answer: Any) -> None:
    for p, n in ((0.97, 8_400), (0.5, 100)):
        shares = np.random.default_rng(0).binomial(n, p, size=40_000) / n
        what = f"standard_error({p}, {n})"
        found = float(given(what, answer(p, n)))
        fault = f"{what} gives {found:.5f}; 40,000 counts deviate by {shares.std():.5f}"
        require(abs(found / shares.std() - 1) < 0.03, fault)


@check.exercise(
    "Chance",
    "The variance of a difference of two independent shares is the sum of both variances.",
    "Compare |p − q| with 2·√(e_p² + e_q²), e the standard errors: `math.hypot`.",
)
def clearly_different(answer: Any) -> None:
    given("clearly_different(0.97, 0.972, 8400)", answer(0.970, 0.972, 8_400))
    require(not answer(0.970, 0.972, 8_400), "97.0 % and 97.2 % of 8,400 are called different")
    require(answer(0.9065, 0.9717, 8_400), "90.65 % and 97.17 % of 8,400 are not called different")
    first, second = np.random.default_rng(0).binomial(8_400, 0.97, size=(2, 2_000)) / 8_400
    called = np.mean([answer(p, q, 8_400) for p, q in zip(first, second, strict=True)])
    fault = f"of equal programs, {called:.1%} are called different; two standard errors mean 4.6 %"
    require(0.02 < called < 0.07, fault)


@check.exercise(
    "Work",
    "Each layer: one product forward, one for its weights, one for its inputs.",
    "Nobody needs the gradient by the images: the first layer has two products.",
)
def operations(answer: Any) -> None:
    equal("operations(1, (784, 64, 10))", answer(1, (784, 64, 10)), 204_544)
    sizes = (5, 4, 3, 2)
    expected = sum(
        2 * 6 * a * b * (2 if layer == 0 else 3) for layer, (a, b) in enumerate(pairwise(sizes))
    )
    equal(f"operations(6, {sizes})", answer(6, sizes), expected)


@check.exercise(
    "The start",
    "`one._replace(start=...)` is the race with another start; `race.by_hand(it, 'SGD')` is a "
    "contestant, `race.train_epoch(contestant, it, epoch)['valid']` an accuracy.",
    "Draw each array of the start with `rng.uniform(-0.5, 0.5, w.shape)`, as float32.",
)
def compare_starts(answer: Any) -> None:
    x, y = cr.data.digits()[0][:]
    few = race.prepare(x, y, 640, 320, threads=1)
    usual, wide = given("compare_starts(one, epochs)", answer(few, 2))
    contestant = race.by_hand(few, "SGD")
    reached = [race.train_epoch(contestant, few, epoch)["valid"] for epoch in range(2)][-1]
    equal("the accuracy from the usual start", usual, reached, 1e-6)
    require(0 <= wide <= 1 and wide != usual, f"the accuracy from the wide start is {wide}")
