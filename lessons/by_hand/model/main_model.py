"""A model: layers one after another, and the loop that trains them with an optimizer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from lessons.by_hand.checks import Array, check_same_shape
from lessons.by_hand.losses.loss import Loss, Loss_CategoricalCrossentropy


class Model:
    """f = layer_k ∘ ... ∘ layer_1: forward through the layers, backward in the other direction.

    `loss` is the loss that :meth:`backward` starts from and :meth:`train` makes small; assign
    another one to change it.

    >>> from lessons.by_hand import Activation_ReLU, DenseLayer
    >>> model = Model()
    >>> model.add(DenseLayer(784, 10))
    >>> model.add(Activation_ReLU())
    >>> model.forward(np.zeros((5, 784))).shape
    (5, 10)
    """

    def __init__(self, layers: Iterable[Any] = ()) -> None:
        self.layers: list[Any] = []
        self.loss: Loss = Loss_CategoricalCrossentropy()
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

    def backward(self, values: Array, y: Array | None = None) -> Array:
        """The gradient of the loss by the model's inputs; layers keep those of their weights.

        `backward(output, y)` takes the model's output and the labels, and begins with the gradient
        of `loss`. `backward(dvalues)` begins with a given gradient of the output.

        Each layer turns the gradient of its output into that of its inputs, `dinputs`, which is
        the gradient of the output of the layer before: the chain rule. On the way, layers with
        weights leave `dweights` and `dbiases`.
        """
        dvalues = values if y is None else self.loss.backward(values, y)
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
        By default the loss is the model's own and the optimizer `Optimizer_SGD(0.1)`. Returns the
        mean loss of each epoch.
        """
        loss, optimizer = loss or self.loss, optimizer or Optimizer_SGD(0.1)
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


class Optimizer_SGD:
    """W ← W − η·∂L/∂W, and the same for b: one step downhill.

    The gradient may come from all examples, from one, or from a mini-batch (Robbins and Monro,
    1951, for one); the optimizer does not see the difference.

    learning_rate: η, the length of the steps.
    decay: with d > 0, step t takes η / (1 + d·t). A step ends with `post_update_params()`; giving
        the whole model to `update_params` does that too.
    """

    def __init__(self, learning_rate: float = 1.0, decay: float = 0.0) -> None:
        if learning_rate <= 0 or decay < 0:
            raise ValueError(
                f"A learning rate is above 0 and a decay not below it, "
                f"given {learning_rate} and {decay}."
            )
        self.learning_rate, self.decay, self.iterations = learning_rate, decay, 0

    @property
    def current_learning_rate(self) -> float:
        """η / (1 + d·t)."""
        return self.learning_rate / (1 + self.decay * self.iterations)

    def pre_update_params(self) -> None:
        """Nothing to do before a step; here because many loops call it."""

    def update_params(self, layer: Any) -> None:
        """One step of a layer's weights and biases, or of all layers of a model.

        A layer without weights is left alone.
        """
        if hasattr(layer, "layers"):
            for part in layer.layers:
                self.update_params(part)
            return self.post_update_params()
        if not hasattr(layer, "weights"):
            return None
        if not hasattr(layer, "dweights"):
            raise RuntimeError(f"{layer!r} has no gradients yet: call backward first.")
        layer.weights = self._stepped(layer.weights, layer.dweights)
        layer.biases = self._stepped(layer.biases, layer.dbiases)
        return None

    def _stepped(self, values: Array, gradient: Array) -> Array:
        """A new array: whoever still holds the old one, a start to compare with say, keeps it."""
        return (values - self.current_learning_rate * gradient).astype(values.dtype, copy=False)

    def post_update_params(self) -> None:
        """A step is done: t ← t + 1."""
        self.iterations += 1
