"""Answers to the exercises of lesson 6: what a comparison measures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from lessons import race


def first_adam_step(gradient: float, lr: float, eps: float = 1e-8) -> float:
    """Exercise 1: m̂ = g and v̂ = g² after one step, so w moves by −η·g/(|g| + ε) ≈ ∓η.

    The size of the gradient has no influence, as long as it is well above ε.
    """
    return -lr * gradient / (abs(gradient) + eps)


def standard_error(p: float, n: int) -> float:
    """Exercise 2: √(p·(1 − p)/n), the deviation of a share p that was counted on n images."""
    return math.sqrt(p * (1 - p) / n)


def clearly_different(p: float, q: float, n: int) -> bool:
    """Exercise 2: whether two shares, each counted on n images, differ by more than chance would.

    The variances of both add, for images that were drawn independently. When both programs look
    at the same images, as in the race, chance is smaller, and the test is on the careful side.
    """
    return abs(p - q) > 2 * math.hypot(standard_error(p, n), standard_error(q, n))


def operations(batch: int, sizes: Sequence[int] = (784, 64, 10)) -> int:
    """Exercise 3: operations in the matrix products of one training step.

    Each layer: 2·batch·inputs·outputs forward, as many for the gradient by its weights, and as
    many for the gradient by its inputs, which the first layer does not need.
    """
    products = [2 * batch * inputs * outputs for inputs, outputs in pairwise(sizes)]
    return 3 * sum(products) - products[0]


def compare_starts(one: race.Race, epochs: int, seed: int = 0) -> tuple[float, float]:
    """Exercise 4: validation accuracies by SGD from the race's start, and from U(−0.5, 0.5).

    A sum over 784 inputs with weights of that width is some 14 times as wide as from ±1/√784: the
    hidden neurons, and then the scores, begin far from 0, the softmax is sure of its wrong
    answers, and much of the training goes into undoing the start. With 64 inputs it is 4 times.
    """
    draw = np.random.default_rng(seed)
    wide = tuple(draw.uniform(-0.5, 0.5, w.shape).astype(np.float32) for w in one.start)
    reached = []
    for start in (one.start, wide):
        runner = one._replace(start=start)
        contestant = race.by_hand(runner, "SGD")
        measured = [race.train_epoch(contestant, runner, epoch) for epoch in range(epochs)]
        reached.append(measured[-1]["valid"])
    return reached[0], reached[1]
