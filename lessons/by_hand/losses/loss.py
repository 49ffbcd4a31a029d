"""Loss functions: one number that says how wrong the outputs are, and its gradient.

`forward(output, y)` (or `calculate`, the same) gives the mean over the examples, and keeps each
example's own loss as `sample_losses`. `backward(output, y)` gives the gradient of that mean, so it
holds the factor 1/n, and the gradients of the weights need no further division.
"""

from __future__ import annotations

import numpy as np

from lessons.by_hand.checks import Array, check_gradient, check_same_shape, targets
from lessons.by_hand.multi_activation.activation import Activation_Sigmoid, Activation_Softmax


class Loss:
    """What all losses have: the mean of `losses(output, y)`, kept and returned."""

    def losses(self, output: Array, y: Array) -> Array:
        """The loss of each example: (n,)."""
        raise NotImplementedError

    def backward(self, output: Array, y: Array) -> Array:
        """The gradient of the mean loss by the output, in its shape; kept as `dinputs`."""
        raise NotImplementedError

    def forward(self, output: Array, y: Array) -> float:
        """The mean loss, one number."""
        self.sample_losses = self.losses(output, y)
        return float(self.sample_losses.mean())

    def calculate(self, output: Array, y: Array) -> float:
        """The mean loss: another name for :meth:`forward`."""
        return self.forward(output, y)


class Loss_CategoricalCrossentropy(Loss):
    """L = −Σᵢ yᵢ·ln pᵢ for a row of probabilities p; with one right class k, L = −ln pₖ.

    Shapes: p (n, C); y either integer classes (n,) or one-hot rows (n, C), with the same result.

    ln 0 is −∞, so p is held above the smallest normal number of its dtype (2·10⁻³⁰⁸, in float32
    10⁻³⁸). A softmax that gives the right class exactly 0 passes no gradient back;
    :class:`Activation_Softmax_Loss_CategoricalCrossentropy` has no such limit.
    """

    def losses(self, output: Array, y: Array) -> Array:
        return -(targets(y, output) * np.log(_positive(output))).sum(axis=1)

    def backward(self, output: Array, y: Array) -> Array:
        """∂L/∂pᵢ = −yᵢ / pᵢ / n: (n, C)."""
        p = _positive(output)
        self.dinputs = (-targets(y, output) / p / len(p)).astype(p.dtype)
        return self.dinputs


class Loss_BinaryCrossentropy(Loss):
    """L = −(y·ln p + (1 − y)·ln(1 − p)) for a probability p of class 1 and a label y, 0 or 1.

    Shapes: p and y both (n, 1), or both (n,), or both (n, k) for k yes-or-no questions, whose mean
    is the example's loss. A p of (n, 1) and a y of (n,) are refused: NumPy would pair every
    output with every label.
    """

    def losses(self, output: Array, y: Array) -> Array:
        p, y = check_same_shape(output, y, type(self).__name__)
        each = -(y * np.log(_positive(p)) + (1 - y) * np.log(_positive(1 - p)))
        return each.reshape(len(p), -1).mean(axis=1)

    def backward(self, output: Array, y: Array) -> Array:
        """∂L/∂p = −(y/p − (1 − y)/(1 − p)) / N, where N = n·k is the number of outputs."""
        p, y = check_same_shape(output, y, type(self).__name__)
        self.dinputs = -(y / _positive(p) - (1 - y) / _positive(1 - p)) / p.size
        return self.dinputs


class Activation_Softmax_Loss_CategoricalCrossentropy(Loss):
    """Softmax and cross-entropy as one function of the scores z: L = ln Σⱼ e^zⱼ − z_k.

    The merged gradient is the famous shortcut. With p = softmax(z), the chain rule gives

        ∂L/∂zⱼ = Σᵢ (−yᵢ/pᵢ) · pᵢ·(δᵢⱼ − pⱼ) = −yⱼ + pⱼ·Σᵢ yᵢ = pⱼ − yⱼ:

    pᵢ cancels. What is left needs no division, and is right even where p underflows to 0.

    Stands at the end of a model that has no softmax of its own; `output` holds p.
    """

    def __init__(self) -> None:
        self.activation = Activation_Softmax()

    def losses(self, output: Array, y: Array) -> Array:
        z, rows = np.asarray(output), targets(y, output)
        self.output = self.activation.forward(z)
        shifted = z - z.max(axis=1, keepdims=True)
        logarithms = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return -np.where(rows > 0, rows * logarithms, 0).sum(axis=1)

    def backward(self, output: Array, y: Array) -> Array:
        """∂L/∂z = (p − y) / n, with p of the last forward pass: (n, C).

        The first argument may be the scores or p; only its shape is looked at.
        """
        check_gradient(self, output)
        p = self.output
        self.dinputs = ((p - targets(y, p)) / len(p)).astype(p.dtype)
        return self.dinputs


class Activation_Sigmoid_Loss_BinaryCrossentropy(Loss):
    """Sigmoid and binary cross-entropy as one: L = max(z, 0) − z·y + ln(1 + e^(−|z|)).

    The same cancellation as with softmax: ∂L/∂z = σ(z) − y. Shapes as in
    :class:`Loss_BinaryCrossentropy`; `output` holds the probabilities.
    """

    def __init__(self) -> None:
        self.activation = Activation_Sigmoid()

    def losses(self, output: Array, y: Array) -> Array:
        z, y = check_same_shape(output, y, type(self).__name__)
        self.output = self.activation.forward(z)
        each = np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))
        return each.reshape(len(z), -1).mean(axis=1)

    def backward(self, output: Array, y: Array) -> Array:
        """∂L/∂z = (p − y) / N, with p of the last forward pass."""
        check_gradient(self, output)
        p, y = check_same_shape(self.output, y, type(self).__name__)
        self.dinputs = (p - y) / p.size
        return self.dinputs


def _positive(p: Array) -> Array:
    """`p` as floats, at least the smallest normal number, so that ln p and 1/p are finite."""
    p = np.asarray(p) * 1.0
    return np.maximum(p, np.finfo(p.dtype).tiny)
