"""Optimizers: what is done with a gradient."""

from __future__ import annotations

from typing import Any

from lessons.by_hand.checks import Array


class Optimizer_SGD:
    """W ← W − η·∂L/∂W, and the same for b: one step downhill.

    The gradient may come from all examples, from one, or from a mini-batch (Robbins and Monro,
    1951, for one); the optimizer does not see the difference.

    learning_rate: η, the length of the steps.
    decay: with d > 0, step t takes η / (1 + d·t). A step ends with `post_update_params()`; giving
        the whole model to `update_params` does that too.
    """

    def __init__(self, learning_rate: float = 0.1, decay: float = 0.0) -> None:
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
