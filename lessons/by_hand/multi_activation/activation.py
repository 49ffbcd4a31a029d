"""Activation functions, each with its true derivative; they have no weights."""

from __future__ import annotations

import numpy as np

from lessons.by_hand.checks import Array, check_gradient


class Activation_ReLU:
    """a = max(0, z), elementwise, any shape.   ∂a/∂z = 1 where z > 0, else 0.

    At z = 0 there is a kink and no derivative; 0 is the convention.
    """

    def forward(self, inputs: Array) -> Array:
        self.inputs = np.asarray(inputs)
        self.output = np.maximum(self.inputs, 0)
        return self.output

    def backward(self, dvalues: Array) -> Array:
        """∂L/∂z = g where z > 0, else 0."""
        self.dinputs = check_gradient(self, dvalues) * (self.inputs > 0)
        return self.dinputs


class Activation_Sigmoid:
    """a = σ(z) = 1 / (1 + e⁻ᶻ), elementwise, any shape.   ∂a/∂z = a·(1 − a).

    Computed from e^(−|z|), which cannot overflow: σ(z) = 1 / (1 + e^(−|z|)) for z ≥ 0, and
    e^(−|z|) / (1 + e^(−|z|)) for z < 0.
    """

    def forward(self, inputs: Array) -> Array:
        self.inputs = np.asarray(inputs)
        small = np.exp(-np.abs(self.inputs))
        self.output = np.where(self.inputs >= 0, 1, small) / (1 + small)
        return self.output

    def backward(self, dvalues: Array) -> Array:
        """∂L/∂z = g·a·(1 − a)."""
        g = check_gradient(self, dvalues)
        self.dinputs = g * self.output * (1 - self.output)
        return self.dinputs


class Activation_Softmax:
    """aᵢ = e^zᵢ / Σⱼ e^zⱼ: each row of scores (n, C) becomes a row of probabilities (n, C).

    The row's maximum is subtracted first: the fraction stays the same, and the largest exponent
    is 0, so nothing overflows.

    Every output depends on every score of its row. The derivative of one example is therefore a
    matrix, the Jacobian ∂aᵢ/∂zⱼ = aᵢ·(δᵢⱼ − aⱼ).
    """

    def forward(self, inputs: Array) -> Array:
        self.inputs = np.asarray(inputs)
        powers = np.exp(self.inputs - self.inputs.max(axis=-1, keepdims=True))
        self.output = powers / powers.sum(axis=-1, keepdims=True)
        return self.output

    def jacobian(self) -> Array:
        """∂aᵢ/∂zⱼ = aᵢ·(δᵢⱼ − aⱼ), one matrix an example: (n, C, C)."""
        a = self.output
        return a[:, :, None] * (np.eye(a.shape[1]) - a[:, None, :])

    def backward(self, dvalues: Array) -> Array:
        """∂L/∂zⱼ = Σᵢ gᵢ·∂aᵢ/∂zⱼ = aⱼ·(gⱼ − Σᵢ gᵢ·aᵢ).

        This is the product of g with each example's Jacobian, multiplied out: the matrices need
        not be built.
        """
        g = check_gradient(self, dvalues)
        self.dinputs = self.output * (g - (g * self.output).sum(axis=-1, keepdims=True))
        return self.dinputs
