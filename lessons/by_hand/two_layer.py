"""The two-layer network in one class: every formula in sight, every gradient on its own line."""

from __future__ import annotations

import numpy as np

from lessons.by_hand.checks import Array, check_columns, class_numbers, one_hot
from lessons.by_hand.model.main_model import batches


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


class NeuralNetwork:
    """784 pixels → hidden neurons with ReLU → 10 classes with softmax, in NumPy alone.

        Z1 = W1·X + B1     A1 = max(0, Z1)     Z2 = W2·A1 + B2     A2 = softmax(Z2)

    Each column is an example. Shapes, for m of them: X (input_size, m), W1 (hidden_size,
    input_size), B1 (hidden_size, 1), Z1 and A1 (hidden_size, m), W2 (output_size, hidden_size),
    B2 (output_size, 1), Z2 and A2 (output_size, m). Labels Y are integers (m,). All weights and
    biases start uniform in [−0.5, 0.5).

    seed: of the start; without it, the numbers come from `np.random`, so `np.random.seed` fixes
        them for the whole script.

    >>> network = NeuralNetwork(input_size=784, hidden_size=16, output_size=10)
    >>> network.W1.shape, network.B1.shape, network.forward_propagation(np.zeros((784, 5))).shape
    ((16, 784), (16, 1), (10, 5))
    """

    def __init__(
        self,
        input_size: int = 784,
        hidden_size: int = 10,
        output_size: int = 10,
        seed: int | None = None,
    ) -> None:
        random = np.random if seed is None else np.random.RandomState(seed)
        self.W1 = random.uniform(-0.5, 0.5, (hidden_size, input_size))
        self.B1 = random.uniform(-0.5, 0.5, (hidden_size, 1))
        self.W2 = random.uniform(-0.5, 0.5, (output_size, hidden_size))
        self.B2 = random.uniform(-0.5, 0.5, (output_size, 1))

    def ReLU(self, Z: Array) -> Array:
        """max(0, Z), elementwise."""
        return np.maximum(Z, 0)

    def softmax(self, Z: Array) -> Array:
        """e^zᵢ / Σⱼ e^zⱼ in each column; the column's maximum is subtracted before."""
        powers = np.exp(Z - Z.max(axis=0, keepdims=True))
        return powers / powers.sum(axis=0, keepdims=True)

    def one_hot_converter(self, Y: Array, n_classes: int) -> Array:
        """Labels (m,) as columns with a single one: (n_classes, m)."""
        return one_hot(Y, n_classes).T

    def forward_propagation(self, X: Array) -> Array:
        """The probability of each class for each example, A2; the values on the way are kept."""
        self.Z1 = self.W1 @ check_columns(X, self.W1.shape[1], "forward_propagation") + self.B1
        self.A1 = self.ReLU(self.Z1)
        self.Z2 = self.W2 @ self.A1 + self.B2
        self.A2 = self.softmax(self.Z2)
        return self.A2

    def loss(self, Y: Array) -> float:
        """The cross-entropy of the last forward pass: the mean of −ln A2 at the right classes.

        ln A2 = Z2 − ln Σ exp Z2 is computed from Z2, so that it stays finite.
        """
        labels = class_numbers(Y, len(self.Z2))
        shifted = self.Z2 - self.Z2.max(axis=0, keepdims=True)
        logarithms = shifted - np.log(np.exp(shifted).sum(axis=0, keepdims=True))
        return -float(logarithms[labels, np.arange(len(labels))].mean())

    def backward_propagation(self, X: Array, Y: Array) -> tuple[Array, Array, Array, Array]:
        """(dW1, dB1, dW2, dB2): the gradients of the loss of the last forward pass, that of X.

        dZ2 = (A2 − one_hot(Y)) / m is the derivative of cross-entropy after softmax: the two are
        differentiated in one step, and most of it cancels. Then
        dW2 = dZ2·A1ᵀ,  dB2 = Σ dZ2,  dZ1 = W2ᵀ·dZ2 where Z1 > 0,  dW1 = dZ1·Xᵀ,  dB1 = Σ dZ1.
        """
        dZ2 = (self.A2 - self.one_hot_converter(Y, len(self.A2))) / self.A2.shape[1]
        dW2, dB2 = dZ2 @ self.A1.T, dZ2.sum(axis=1, keepdims=True)
        dZ1 = self.W2.T @ dZ2 * (self.Z1 > 0)
        dW1, dB1 = dZ1 @ X.T, dZ1.sum(axis=1, keepdims=True)
        return dW1, dB1, dW2, dB2

    def update_parameters(
        self, dW1: Array, dB1: Array, dW2: Array, dB2: Array, learning_rate: float = 0.1
    ) -> None:
        """One step downhill: each parameter minus `learning_rate` times its gradient."""
        self.W1 = self.W1 - learning_rate * dW1
        self.B1 = self.B1 - learning_rate * dB1
        self.W2 = self.W2 - learning_rate * dW2
        self.B2 = self.B2 - learning_rate * dB2

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
        m = check_columns(X, self.W1.shape[1], "train").shape[1]
        if Y.shape != (m,):
            raise ValueError(f"{m} examples have labels ({m},), given {Y.shape}.")
        for epoch in range(epochs):
            total = 0.0
            for batch in batches(m, batch_size or m, order):
                self.forward_propagation(X[:, batch])
                total += self.loss(Y[batch]) * len(batch)
                gradients = self.backward_propagation(X[:, batch], Y[batch])
                self.update_parameters(*gradients, learning_rate)
            history.append(total / m)
            if verbose:
                print(f"epoch {epoch + 1}/{epochs}: loss {history[-1]:.4f}")
        return history

    def predict(self, X: Array) -> Array:
        """The most probable class of each example: (m,)."""
        return self.forward_propagation(X).argmax(axis=0)

    def accuracy(self, X: Array, Y: Array) -> float:
        """The share of examples whose most probable class is the right one."""
        predicted = self.predict(X)
        return float((predicted == class_numbers(Y, len(self.A2))).mean())
