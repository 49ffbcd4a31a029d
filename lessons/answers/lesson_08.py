"""Answers to the exercises of lesson 8: convolution, pooling, batch normalization."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from lessons.by_hand.batch_norm import BatchNormalization
from lessons.by_hand.convolution import Convolution

Array = np.ndarray[Any, np.dtype[Any]]


def receptive_field(layers: Iterable[tuple[int, int]]) -> int:
    """Exercise 1: the side of the square of pixels that one output of these layers depends on.

    A layer adds kernel − 1 steps to the field; a step is as many pixels as all the strides before
    it together.

    >>> receptive_field([(3, 1), (3, 1)]), receptive_field([(5, 1), (2, 2), (5, 1), (2, 2)])
    (5, 16)
    """
    field = step = 1
    for kernel, stride in layers:
        field += (kernel - 1) * step
        step *= stride
    return field


class MaxPooling:
    """Exercise 2: the largest of each square of 2 × 2; a last odd row or column is left out."""

    def forward(self, inputs: Array) -> Array:
        """(N, C, H, W) → (N, C, H // 2, W // 2)."""
        self.inputs = inputs
        self.places = self._squares(inputs).argmax(-1)
        self.output = self._squares(inputs).max(-1)
        return self.output

    def backward(self, dvalues: Array) -> Array:
        """Each gradient goes to the number that was kept; of equal ones, to the first."""
        squares = np.zeros((*dvalues.shape, 4), dvalues.dtype)
        np.put_along_axis(squares, self.places[..., None], dvalues[..., None], -1)
        n, channels, height, width = dvalues.shape
        self.dinputs = np.zeros(self.inputs.shape, dvalues.dtype)
        self.dinputs[:, :, : 2 * height, : 2 * width] = (
            squares.reshape(n, channels, height, width, 2, 2)
            .transpose(0, 1, 2, 4, 3, 5)
            .reshape(n, channels, 2 * height, 2 * width)
        )
        return self.dinputs

    @staticmethod
    def _squares(x: Array) -> Array:
        n, channels, height, width = (*x.shape[:2], x.shape[2] // 2, x.shape[3] // 2)
        even = x[:, :, : 2 * height, : 2 * width].reshape(n, channels, height, 2, width, 2)
        return even.transpose(0, 1, 2, 4, 3, 5).reshape(n, channels, height, width, 4)


def bias_gradients(x: Array, seed: int = 0) -> tuple[Array, Array]:
    """Exercise 3: the gradient of a convolution's biases with and without a batch norm after it.

    A bias adds the same number to all values of its channel. The mean takes it out again, so the
    loss does not depend on it: the gradient that comes out of the batch norm has the sum 0 in each
    channel, and that sum is the gradient of the bias. (Without, it is the sum of g.)
    """
    conv, norm = Convolution(x.shape[1], 4, 3, padding=1, seed=seed), BatchNormalization(4)
    g = np.random.default_rng(seed).standard_normal(norm.forward(conv.forward(x)).shape)
    conv.backward(norm.backward(g))
    with_norm = conv.dbiases
    conv.backward(g)
    return with_norm, conv.dbiases


def fold(weights: Array, biases: Array, norm: Any) -> tuple[Array, Array]:
    """Exercise 4: one convolution that does what a convolution and a batch norm do in evaluation.

    y = γ·(w ⋆ x + b − r)/√(v + ε) + β = (s·w) ⋆ x + s·(b − r) + β,  with s = γ/√(v + ε).
    `norm` is a trained `nn.BatchNorm2d`, r and v its running mean and variance.
    """
    gamma, beta, mean, var = (
        tensor.detach().numpy()
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    scale = gamma / np.sqrt(var + norm.eps)
    return weights * scale.reshape(-1, 1, 1, 1), scale * (biases - mean) + beta
