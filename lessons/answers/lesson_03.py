"""Answers to the exercises of lesson 3, Three ways of gradient descent."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lessons.by_hand import Loss, Model

Array = NDArray[Any]


def updates(n_examples: int, batch_size: int, epochs: int) -> int:
    """How many steps the weights take: ⌈n / B⌉ an epoch, the last mini-batch may be smaller.

    >>> updates(60_000, 32, 10), updates(60_000, 60_000, 10), updates(10, 4, 1)
    (18750, 10, 3)
    """
    return epochs * math.ceil(n_examples / batch_size)


def mean_of_single_gradients(model: Model, loss: Loss, x: Array, y: Array) -> Array:
    """The mean, over the examples, of the gradient of each one alone: the first layer's weights.

    The loss is a mean, and the derivative of a mean is the mean of the derivatives; so this is the
    gradient of the whole batch, found with as many passes as there are examples.
    """
    total = np.zeros_like(model.layers[0].weights)
    for i in range(len(x)):
        one = slice(i, i + 1)
        loss.calculate(model.forward(x[one]), y[one])
        model.backward(loss.backward(model.output, y[one]))
        total += model.layers[0].dweights
    return total / len(x)


def largest_stable_rate(hessian: Array) -> float:
    """2 / λ_max: above it, gradient descent on ½·wᵀ·H·w moves away from the minimum.

    A step multiplies the part of w along an eigenvector of H by 1 − η·λ. All of these stay below 1
    in size just when η·λ < 2 for the largest λ.
    """
    return 2 / float(np.linalg.eigvalsh(hessian).max())


def running_means(samples: Array, start: float = 0.0) -> Array:
    """w after each step of w ← w − (1/t)·(w − x_t): the mean of the samples so far, (n,).

    w_t = (1 − 1/t)·w_{t−1} + x_t/t. If w_{t−1} is the mean of t − 1 samples, w_t is that of t; and
    the first step, with factor 1 − 1/1 = 0, forgets the start.
    """
    w, path = start, []
    for t, x in enumerate(samples, start=1):
        w = w - (w - x) / t
        path.append(w)
    return np.array(path)


def relative_noise(batch_size: int, n: int, replace: bool) -> float:
    """The mean squared error of a mini-batch mean, in units of the variance of one example.

    1/B for draws with replacement. Without, the batch of all n examples has no error at all:
    (n − B) / (n − 1) / B.
    """
    return 1 / batch_size * (1.0 if replace else (n - batch_size) / (n - 1))
