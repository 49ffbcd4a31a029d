"""Answers to the exercises of lesson 2, A network by hand."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lessons.by_hand import Loss, NeuralNetwork

Array = NDArray[Any]


class Activation_Tanh:
    """a = tanh z, elementwise, any shape.   ∂a/∂z = 1 − a²."""

    def forward(self, inputs: Array) -> Array:
        """Numbers between −1 and 1."""
        self.output = np.tanh(inputs)
        return self.output

    def backward(self, dvalues: Array) -> Array:
        """∂L/∂z = g·(1 − a²)."""
        self.dinputs = dvalues * (1 - self.output**2)
        return self.dinputs


class Loss_MeanSquaredError(Loss):
    """L = mean over the k outputs of (p − y)²; outputs p and targets y (n, k)."""

    def losses(self, output: Array, y: Array) -> Array:
        """The loss of each example: (n,)."""
        if np.shape(output) != np.shape(y):
            raise ValueError(f"One shape for both, given {np.shape(output)} and {np.shape(y)}.")
        return np.asarray(((output - y) ** 2).reshape(len(output), -1).mean(axis=1))

    def backward(self, output: Array, y: Array) -> Array:
        """∂L/∂p = 2·(p − y) / (n·k)."""
        self.dinputs = 2 * (output - y) / np.size(output)
        return self.dinputs


def n_parameters(*sizes: int) -> int:
    """How many numbers a dense network of these layer sizes learns: Σ (n_in + 1)·n_out.

    >>> n_parameters(784, 128, 64, 10)
    109386
    """
    return sum((n_inputs + 1) * n_outputs for n_inputs, n_outputs in pairwise(sizes))


def confusion_matrix(y: Array, predicted: Array, n_classes: int = 10) -> Array:
    """Entry (i, j): how many examples of class i were taken for class j.

    `np.add.at` adds once for every pair, also when a pair comes twice; `matrix[y, predicted] += 1`
    would add once for all of them.
    """
    matrix = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(matrix, (y, predicted), 1)
    return matrix


def different_neurons(x: Array, y: Array, start: float | None = None) -> int:
    """How many different hidden neurons a 784-8-10 network has after 5 epochs.

    With `start`, all of W1, B1, W2 and B2 start at that one number. Then all hidden neurons compute
    the same, get the same gradient, and stay the same for ever: eight neurons, worth one.
    """
    network = NeuralNetwork(x.shape[1], 8, 10, seed=0)
    if start is not None:
        for name in ("W1", "B1", "W2", "B2"):
            setattr(network, name, np.full_like(getattr(network, name), start))
    network.train(x.T, y, epochs=5, learning_rate=0.1)
    return len(np.unique(np.round(network.W1, 9), axis=0))
