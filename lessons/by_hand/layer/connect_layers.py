"""The dense layer: every neuron sees every input."""

from __future__ import annotations

from typing import Any

import numpy as np

from lessons.by_hand.checks import Array, check_gradient, check_table


class DenseLayer:
    """z = x·W + b: `n_neurons` weighted sums of `n_inputs` numbers each, for n examples at once.

    Shapes: x (n, n_inputs), weights W (n_inputs, n_neurons), biases b (1, n_neurons), z (n,
    n_neurons). Column j of W holds the weights of neuron j.

    The weights start as Gaussian numbers of variance 2 / n_inputs (He et al., 2015), which keeps
    the signal's size through layers of ReLU; the biases as zeros. `weights` and `biases` are
    ordinary arrays: assign others to start elsewhere.

    seed: of the start; without it, the numbers come from `np.random`, so `np.random.seed` fixes
        them for the whole script.
    dtype: float64 by default; float32 is twice as fast, with 7 digits instead of 16.

    >>> layer = DenseLayer(784, 128)
    >>> layer.weights.shape, layer.biases.shape, layer.forward(np.zeros((5, 784))).shape
    ((784, 128), (1, 128), (5, 128))
    """

    def __init__(
        self, n_inputs: int, n_neurons: int, seed: int | None = None, dtype: Any = np.float64
    ) -> None:
        random = np.random if seed is None else np.random.RandomState(seed)
        start = np.sqrt(2 / n_inputs) * random.standard_normal((n_inputs, n_neurons))
        self.n_inputs, self.n_neurons = n_inputs, n_neurons
        self.weights, self.biases = start.astype(dtype), np.zeros((1, n_neurons), dtype)

    def forward(self, inputs: Array) -> Array:
        """z = x·W + b; the inputs are kept, since the backward pass needs them."""
        self.inputs = check_table(inputs, len(self.weights), repr(self))
        self.output = self.inputs @ self.weights + self.biases
        return self.output

    def backward(self, dvalues: Array) -> Array:
        """From g = ∂L/∂z (n, n_neurons): ∂L/∂W = xᵀ·g, ∂L/∂b = Σ g over examples, ∂L/∂x = g·Wᵀ.

        Each has the shape of what it is the gradient of.
        """
        g = check_gradient(self, dvalues)
        self.dweights = self.inputs.T @ g
        self.dbiases = g.sum(axis=0, keepdims=True)
        self.dinputs = g @ self.weights.T
        return self.dinputs

    def __repr__(self) -> str:
        return f"DenseLayer({self.n_inputs}, {self.n_neurons})"
