"""The two-layer network in one class: every formula in sight, every gradient on its own line."""

from __future__ import annotations

from typing import Any

import numpy as np

from lessons.by_hand.checks import Array, check_table, class_numbers, one_hot
from lessons.by_hand.model import batches


def prepare(
    pixels: Array, labels: Array, test_size: float = 0.2, seed: int = 0
) -> tuple[Array, Array, Array, Array]:
    """(x_train, y_train, x_test, y_test) from pixels 0 ... 255 of n images and their labels (n,).

    Images become rows of numbers in [0, 1]: pixels / 255, float32. They are shuffled, and the last
    fifth (`test_size`) is set aside: the network never learns from it, so it can be asked.

    >>> [part.shape for part in prepare(np.zeros((10, 28, 28)), np.zeros(10, int))]
    [(8, 784), (8,), (2, 784), (2,)]
    """
    pixels, labels = np.asarray(pixels), np.asarray(labels)
    if labels.shape != (len(pixels),):
        raise ValueError(
            f"{len(pixels)} images have labels ({len(pixels)},), given {labels.shape}."
        )
    x = pixels.reshape(len(pixels), -1).astype(np.float32) / 255
    order = np.random.default_rng(seed).permutation(len(x))
    train, test = np.split(order, [len(x) - round(len(x) * test_size)])
    return x[train], labels[train], x[test], labels[test]


class TwoLayerNetwork:
    """784 pixels → n_hidden neurons with ReLU → 10 classes with softmax, in NumPy alone.

        Z1 = X·W1 + b1     A1 = max(0, Z1)     Z2 = A1·W2 + b2     A2 = softmax(Z2)

    Shapes, for n examples, one a row: X (n, n_inputs), W1 (n_inputs, n_hidden), b1 (1, n_hidden),
    Z1 and A1 (n, n_hidden), W2 (n_hidden, n_outputs), b2 (1, n_outputs), Z2 and A2 (n, n_outputs).
    Labels Y are integers (n,). All weights and biases start uniform in [−0.5, 0.5].

    >>> network = TwoLayerNetwork(n_hidden=10, seed=0)
    >>> network.forward_propagation(np.zeros((5, 784))).shape
    (5, 10)
    """

    def __init__(
        self,
        n_inputs: int = 784,
        n_hidden: int = 10,
        n_outputs: int = 10,
        seed: int | None = None,
        dtype: Any = np.float32,
    ) -> None:
        random = np.random.default_rng(seed)
        self.W1 = random.uniform(-0.5, 0.5, (n_inputs, n_hidden)).astype(dtype)
        self.b1 = random.uniform(-0.5, 0.5, (1, n_hidden)).astype(dtype)
        self.W2 = random.uniform(-0.5, 0.5, (n_hidden, n_outputs)).astype(dtype)
        self.b2 = random.uniform(-0.5, 0.5, (1, n_outputs)).astype(dtype)

    def forward_propagation(self, X: Array) -> Array:
        """The probability of each class for each example, A2; the values on the way are kept."""
        self.X = check_table(X, len(self.W1), "forward_propagation")
        self.Z1 = self.X @ self.W1 + self.b1
        self.A1 = np.maximum(self.Z1, 0)
        self.Z2 = self.A1 @ self.W2 + self.b2
        powers = np.exp(self.Z2 - self.Z2.max(axis=1, keepdims=True))
        self.A2 = powers / powers.sum(axis=1, keepdims=True)
        return self.A2

    def loss(self, Y: Array) -> float:
        """The cross-entropy of the last forward pass: the mean of −ln A2 at the right classes.

        ln A2 = Z2 − ln Σ exp Z2 is computed from Z2, so that it stays finite.
        """
        labels = class_numbers(Y, self.Z2.shape[1])
        shifted = self.Z2 - self.Z2.max(axis=1, keepdims=True)
        logarithms = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return -float(logarithms[np.arange(len(labels)), labels].mean())

    def backward_propagation(self, Y: Array) -> tuple[Array, Array, Array, Array]:
        """(dW1, db1, dW2, db2): the gradients of the loss of the last forward pass.

        dZ2 = (A2 − one_hot(Y)) / n is the derivative of cross-entropy after softmax: the two are
        differentiated in one step, and most of it cancels. Then
        dW2 = A1ᵀ·dZ2,  db2 = Σ dZ2,  dZ1 = dZ2·W2ᵀ where Z1 > 0,  dW1 = Xᵀ·dZ1,  db1 = Σ dZ1.
        """
        n = len(self.A2)
        dZ2 = ((self.A2 - one_hot(Y, self.A2.shape[1])) / n).astype(self.A2.dtype)
        self.dW2 = self.A1.T @ dZ2
        self.db2 = dZ2.sum(axis=0, keepdims=True)
        dZ1 = dZ2 @ self.W2.T * (self.Z1 > 0)
        self.dW1 = self.X.T @ dZ1
        self.db1 = dZ1.sum(axis=0, keepdims=True)
        return self.dW1, self.db1, self.dW2, self.db2

    def update_parameters(self, learning_rate: float = 0.1) -> None:
        """One step downhill: each parameter minus `learning_rate` times its gradient."""
        self.W1 = self.W1 - learning_rate * self.dW1
        self.b1 = self.b1 - learning_rate * self.db1
        self.W2 = self.W2 - learning_rate * self.dW2
        self.b2 = self.b2 - learning_rate * self.db2

    def train(
        self,
        X: Array,
        Y: Array,
        epochs: int = 10,
        learning_rate: float = 0.1,
        batch_size: int | None = 64,
        seed: int = 0,
        verbose: bool = False,
    ) -> list[float]:
        """Forward, loss, backward, update, repeat; returns the mean loss of each epoch.

        An epoch sees every example once, in shuffled portions of `batch_size`, or all at once
        with `batch_size=None`.
        """
        X, Y, order, history = np.asarray(X), np.asarray(Y), np.random.default_rng(seed), []
        if Y.shape != (len(X),):
            raise ValueError(f"{len(X)} examples have labels ({len(X)},), given {Y.shape}.")
        for epoch in range(epochs):
            total = 0.0
            for batch in batches(len(X), batch_size or len(X), order):
                self.forward_propagation(X[batch])
                total += self.loss(Y[batch]) * len(batch)
                self.backward_propagation(Y[batch])
                self.update_parameters(learning_rate)
            history.append(total / len(X))
            if verbose:
                print(f"epoch {epoch + 1}/{epochs}: loss {history[-1]:.4f}")
        return history

    def predict(self, X: Array) -> Array:
        """The most probable class of each example: (n,)."""
        return self.forward_propagation(X).argmax(axis=1)

    def accuracy(self, X: Array, Y: Array) -> float:
        """The share of examples whose most probable class is the right one."""
        predicted = self.predict(X)
        return float((predicted == class_numbers(Y, self.A2.shape[1])).mean())
