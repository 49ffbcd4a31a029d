"""Batch normalization by hand (Ioffe & Szegedy, 2015), with its true gradient, in NumPy alone."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class BatchNormalization:
    """Each feature of a batch to mean 0 and variance 1, then times `weights` plus `biases`.

    For images (N, C, H, W) a feature is a channel, and the statistics run over N, H and W; for
    tables (N, C) over N. In training they are the batch's own, and the running ones follow:
    r ← (1 − momentum)·r + momentum·batch, with the unbiased variance. In evaluation
    (`training = False`) the running ones are used.

    >>> layer = BatchNormalization(1)
    >>> layer.forward(np.array([[1.0], [3.0]])).round(3).ravel()
    array([-1.,  1.])
    """

    def __init__(self, n_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        self.weights, self.biases = np.ones(n_features), np.zeros(n_features)
        self.running_mean, self.running_var = np.zeros(n_features), np.ones(n_features)
        self.eps, self.momentum = eps, momentum
        self.training = True

    def forward(self, inputs: Array) -> Array:
        """The same shape as the inputs."""
        self.axes = (0, *range(2, inputs.ndim))
        if self.training:
            mean, var = inputs.mean(self.axes), inputs.var(self.axes)
            self._follow(mean, var, inputs.size // len(mean))
        else:
            mean, var = self.running_mean, self.running_var
        self.deviation = np.sqrt(self._wide(var, inputs) + self.eps)
        self.normalized = (inputs - self._wide(mean, inputs)) / self.deviation
        scaled = self.normalized * self._wide(self.weights, inputs)
        self.output = (scaled + self._wide(self.biases, inputs)).astype(inputs.dtype)
        return self.output

    def backward(self, dvalues: Array) -> Array:
        """dx = (ĝ − mean(ĝ) − x̂·mean(ĝ·x̂)) / √(v + ε), with ĝ = g·w.

        The two means are there since the batch's mean and variance depend on x as well. In
        evaluation they do not, and both are left out.
        """
        self.dweights = (dvalues * self.normalized).sum(self.axes)
        self.dbiases = dvalues.sum(self.axes)
        g = dvalues * self._wide(self.weights, dvalues)
        if self.training:
            along = (g * self.normalized).mean(self.axes, keepdims=True)
            g = g - g.mean(self.axes, keepdims=True) - self.normalized * along
        self.dinputs = (g / self.deviation).astype(dvalues.dtype)
        return self.dinputs

    def _follow(self, mean: Array, var: Array, count: int) -> None:
        """The running statistics take a step towards those of the batch."""
        unbiased = var * count / (count - 1)
        self.running_mean = (1 - self.momentum) * self.running_mean + self.momentum * mean
        self.running_var = (1 - self.momentum) * self.running_var + self.momentum * unbiased

    @staticmethod
    def _wide(feature: Array, like: Array) -> Array:
        """One number a feature, in a shape that meets (N, C, ...)."""
        return feature.reshape(1, -1, *[1] * (like.ndim - 2))
