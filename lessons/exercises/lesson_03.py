"""Checks of the exercises of lesson 3, Three ways of gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from lessons.by_hand import (
    Activation_Sigmoid,
    Activation_Softmax_Loss_CategoricalCrossentropy,
    DenseLayer,
    Model,
    batches,
)
from lessons.exercises import Exercises, equal, given, require

check = Exercises(lesson=3)


@check.exercise(
    "Counting",
    "How many mini-batches has one epoch if B does not divide n?",
    "The last mini-batch may be smaller, so divide and round up: `math.ceil`.",
)
def updates(answer: Any) -> None:
    for n, size, epochs in ((60, 32, 3), (10, 1, 2), (10, 10, 7), (9, 64, 1)):
        order = np.random.default_rng(0)
        expected = sum(1 for _ in range(epochs) for _ in batches(n, size, order))
        equal(f"updates({n}, {size}, {epochs})", answer(n, size, epochs), expected)


@check.exercise(
    "The mean of gradients",
    "`x[i : i + 1]` is a table of one row. After each forward pass comes its backward pass.",
    "Add up `model.layers[0].dweights` after each backward pass, and divide by the number at last.",
)
def mean_of_single_gradients(answer: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((9, 5)), rng.integers(0, 3, 9)
    model = Model([DenseLayer(5, 4, seed=0), Activation_Sigmoid(), DenseLayer(4, 3, seed=1)])
    loss = Activation_Softmax_Loss_CategoricalCrossentropy()
    found = given("mean_of_single_gradients", answer(model, loss, x, y))
    loss.calculate(model.forward(x), y)
    model.backward(loss.backward(model.output, y))
    equal("the mean of the single gradients", found, model.layers[0].dweights, 1e-12)


@check.exercise(
    "The edge",
    "In the direction of an eigenvector of H with eigenvalue λ, a step multiplies by 1 − η·λ.",
    "Which λ is the first for which |1 − η·λ| passes 1? `np.linalg.eigvalsh(H)` gives all of them.",
)
def largest_stable_rate(answer: Any) -> None:
    a = np.random.default_rng(0).standard_normal((6, 4))
    hessian = a.T @ a + 0.1 * np.eye(4)
    edge = float(given("largest_stable_rate(H)", answer(hessian)))
    for factor, converges in ((0.98, True), (1.02, False)):
        w = np.ones(4)
        for _ in range(2000):
            w = w - factor * edge * hessian @ w
        size = np.linalg.norm(w)
        wanted = "near 0" if converges else "far from 0"
        fault = f"at {factor} times your rate, w has the length {size:.2g}, expected {wanted}"
        require((size < 0.01) == converges, fault)


@check.exercise(
    "One over t",
    "If w is the mean of the first t − 1 samples, what is (1 − 1/t)·w + x/t?",
    "Keep w after each of the steps, beginning with t = 1, and return all of them.",
)
def running_means(answer: Any) -> None:
    samples = np.random.default_rng(0).standard_normal(50)
    means = np.cumsum(samples) / np.arange(1, 51)
    equal("running_means(samples, start=100)", answer(samples, 100.0), means)


@check.exercise(
    "Without replacement",
    "Which error has the mini-batch that holds all n examples?",
    "The factor is 1 for B = 1 and 0 for B = n, and a straight line in B between.",
)
def relative_noise(answer: Any) -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal(20)
    for replace in (True, False):
        for size in (1, 5, 16, 20):
            means = [rng.choice(values, size, replace).mean() for _ in range(10_000)]
            drawn = np.mean((np.array(means) - values.mean()) ** 2) / values.var()
            what = f"relative_noise({size}, 20, replace={replace})"
            found = float(given(what, answer(size, 20, replace)))
            fault = f"{what} gives {found:.4f}; 10,000 draws have {drawn:.4f}"
            require(abs(found - drawn) < 0.06 * drawn + 1e-12, fault)
