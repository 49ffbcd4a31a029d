"""A model: layers one after another, and the loop that trains them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from lessons.by_hand.checks import Array, check_same_shape
from lessons.by_hand.losses import Loss, Loss_CategoricalCrossentropy
from lessons.by_hand.optimizers import Optimizer_SGD


class Model:
    """f = layer_k ∘ ... ∘ layer_1: forward through the layers, backward in the other direction.

    >>> from lessons.by_hand import Activation_ReLU, DenseLayer
    >>> model = Model()
    >>> model.add(DenseLayer(784, 10))
    >>> model.add(Activation_ReLU())
    >>> model.forward(np.zeros((5, 784))).shape
    (5, 10)
    """

    def __init__(self, layers: Iterable[Any] = ()) -> None:
        self.layers: list[Any] = []
        for layer in layers:
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Put a layer at the end; it must take what the last dense layer gives."""
        before = [part for part in self.layers if hasattr(part, "n_neurons")]
        if before and getattr(layer, "n_inputs", before[-1].n_neurons) != before[-1].n_neurons:
            raise ValueError(f"{layer!r} cannot follow {before[-1]!r}: their sizes do not meet.")
        self.layers.append(layer)

    def forward(self, inputs: Array) -> Array:
        """The output of the last layer; every layer keeps what its backward pass needs."""
        for layer in self.layers:
            inputs = layer.forward(inputs)
        self.output = inputs
        return self.output

    def backward(self, dvalues: Array) -> Array:
        """From the gradient of the model's output to that of its inputs.

        Each layer turns the gradient of its output into that of its inputs, `dinputs`, which is
        the gradient of the output of the layer before: the chain rule. On the way, layers with
        weights leave `dweights` and `dbiases`.
        """
        for layer in reversed(self.layers):
            layer.backward(dvalues)
            dvalues = layer.dinputs
        self.dinputs = dvalues
        return self.dinputs

    def train(
        self,
        X: Array,
        y: Array,
        epochs: int = 10,
        batch_size: int | None = 32,
        loss: Loss | None = None,
        optimizer: Optimizer_SGD | None = None,
        seed: int = 0,
        verbose: bool = False,
    ) -> list[float]:
        """Forward, loss, backward, update, for all mini-batches of all epochs.

        Examples are shuffled anew in every epoch; `batch_size=None` takes all of them at once.
        By default the loss is :class:`Loss_CategoricalCrossentropy` and the optimizer
        `Optimizer_SGD(0.1)`. Returns the mean loss of each epoch.
        """
        loss, optimizer = loss or Loss_CategoricalCrossentropy(), optimizer or Optimizer_SGD(0.1)
        X, y, order, history = np.asarray(X), np.asarray(y), np.random.default_rng(seed), []
        if len(X) != len(y):
            raise ValueError(f"Every example has a label: given {len(X)} and {len(y)}.")
        for epoch in range(epochs):
            total = 0.0
            for batch in batches(len(X), batch_size or len(X), order):
                output = self.forward(X[batch])
                total += loss.calculate(output, y[batch]) * len(batch)
                self.backward(loss.backward(output, y[batch]))
                optimizer.update_params(self)
            history.append(total / len(X))
            if verbose:
                print(f"epoch {epoch + 1}/{epochs}: loss {history[-1]:.4f}")
        return history

    def predict(self, X: Array) -> Array:
        """The class of each example, (n,): that of the largest output.

        A model with one output answers yes or no, as 0 or 1 of the output's shape (n, 1): 1 where
        the probability is above one half.
        """
        output = self.forward(X)
        if output.shape[1] == 1:
            return (output > 0.5).astype(np.int64)
        return output.argmax(axis=1)

    def accuracy(self, X: Array, y: Array) -> float:
        """The share of examples that :meth:`predict` gets right; y may be one-hot."""
        predicted, y = self.predict(X), np.asarray(y)
        if y.ndim == 2 and y.shape[1] > 1:
            y = y.argmax(axis=1)
        return float(np.equal(*check_same_shape(predicted, y, "Model.accuracy")).mean())


def batches(n: int, size: int, order: np.random.Generator) -> Iterator[Array]:
    """The numbers 0 ... n − 1 in random order, `size` at a time; the last ones may be fewer."""
    if size < 1:
        raise ValueError(f"A mini-batch has at least one example, given batch_size={size}.")
    shuffled = order.permutation(n)
    for start in range(0, n, size):
        yield shuffled[start : start + size]
