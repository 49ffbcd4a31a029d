"""Convolution by hand, in NumPy alone: first as seven loops, then as one matrix product.

Shapes, everywhere: inputs (N, C, H, W), weights (O, C, k, k), biases (O), output (N, O, H', W')
with H' = ⌊(H + 2·padding − k)/stride⌋ + 1. `g` is the gradient of the loss by the output.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """How many places a kernel has along one side.

    >>> output_size(28, 3), output_size(28, 3, padding=1), output_size(28, 5, stride=2, padding=2)
    (26, 28, 14)
    """
    return (size + 2 * padding - kernel) // stride + 1


def pad(x: Array, padding: int) -> Array:
    """A border of zeros around each image."""
    return np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))


def unpad(x: Array, padding: int) -> Array:
    """The images without their border."""
    return x[:, :, padding : x.shape[2] - padding, padding : x.shape[3] - padding]


def _places(x: Array, w: Array, stride: int, padding: int) -> Any:
    """All combinations of an output number (n, o, i, j) with a weight (c, u, v)."""
    outputs, channels, kernel, _ = w.shape
    height = output_size(x.shape[2], kernel, stride, padding)
    width = output_size(x.shape[3], kernel, stride, padding)
    return product(*map(range, (len(x), outputs, height, width, channels, kernel, kernel)))


def convolve(x: Array, w: Array, b: Array, stride: int = 1, padding: int = 0) -> Array:
    """y[n,o,i,j] = b[o] + Σ_c Σ_u Σ_v w[o,c,u,v] · x[n, c, i·stride + u, j·stride + v]."""
    outputs, _, kernel, _ = w.shape
    height = output_size(x.shape[2], kernel, stride, padding)
    width = output_size(x.shape[3], kernel, stride, padding)
    y = np.zeros((len(x), outputs, height, width), x.dtype) + b.reshape(1, -1, 1, 1)
    x_padded = pad(x, padding)
    for n, o, i, j, c, u, v in _places(x, w, stride, padding):
        y[n, o, i, j] += w[o, c, u, v] * x_padded[n, c, i * stride + u, j * stride + v]
    return y


def convolve_backward(
    g: Array, x: Array, w: Array, stride: int = 1, padding: int = 0
) -> tuple[Array, Array, Array]:
    """The gradients by x, w and b: each product of the forward pass, met once more."""
    x_padded = pad(x, padding)
    dx, dw = np.zeros_like(x_padded), np.zeros_like(w)
    for n, o, i, j, c, u, v in _places(x, w, stride, padding):
        row, column = i * stride + u, j * stride + v
        dw[o, c, u, v] += g[n, o, i, j] * x_padded[n, c, row, column]
        dx[n, c, row, column] += g[n, o, i, j] * w[o, c, u, v]
    return unpad(dx, padding), dw, g.sum((0, 2, 3))


def im2col(x: Array, kernel: int, stride: int = 1, padding: int = 0) -> Array:
    """Every window of every image as one row: (N·H'·W', C·k·k)."""
    windows = np.lib.stride_tricks.sliding_window_view(pad(x, padding), (kernel, kernel), (2, 3))
    windows = windows[:, :, ::stride, ::stride]  # (N, C, H', W', k, k), still no copy
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, x.shape[1] * kernel**2)


def col2im(
    columns: Array, shape: tuple[int, ...], kernel: int, stride: int = 1, padding: int = 0
) -> Array:
    """The transpose of im2col: each number of each row is added where it was taken from."""
    n, channels, rows, columns_ = shape
    height = output_size(rows, kernel, stride, padding)
    width = output_size(columns_, kernel, stride, padding)
    windows = columns.reshape(n, height, width, channels, kernel, kernel)
    x = np.zeros((n, channels, rows + 2 * padding, columns_ + 2 * padding), columns.dtype)
    for u, v in product(range(kernel), range(kernel)):
        target = x[:, :, u : u + stride * height : stride, v : v + stride * width : stride]
        target += windows[..., u, v].transpose(0, 3, 1, 2)
    return unpad(x, padding)


class Convolution:
    """A layer of O filters: the windows, as rows, times the filters, as columns.

    Weights start as He et al. (2015) propose, N(0, 2/(C·k²)); biases at 0.

    >>> layer = Convolution(1, 4, 3, padding=1)
    >>> layer.forward(np.zeros((2, 1, 28, 28), np.float32)).shape
    (2, 4, 28, 28)
    """

    def __init__(
        self, n_inputs: int, n_filters: int, kernel: int, stride: int = 1, padding: int = 0,
        seed: int = 0,
    ) -> None:
        draw = np.random.default_rng(seed)
        scale = np.sqrt(2 / (n_inputs * kernel**2))
        shape = (n_filters, n_inputs, kernel, kernel)
        self.weights = (scale * draw.standard_normal(shape)).astype(np.float32)
        self.biases = np.zeros(n_filters, np.float32)
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, inputs: Array) -> Array:
        """(N, C, H, W) → (N, O, H', W')."""
        self.inputs = inputs
        self.columns = im2col(inputs, self.kernel, self.stride, self.padding)
        height, width = (
            output_size(side, self.kernel, self.stride, self.padding) for side in inputs.shape[2:]
        )
        flat = self.columns @ self.weights.reshape(len(self.weights), -1).T + self.biases
        self.output = flat.reshape(len(inputs), height, width, -1).transpose(0, 3, 1, 2)
        return self.output

    def backward(self, dvalues: Array) -> Array:
        """The gradient by the inputs; those by weights and biases are left in the layer."""
        flat = dvalues.transpose(0, 2, 3, 1).reshape(-1, len(self.weights))
        self.dweights = (flat.T @ self.columns).reshape(self.weights.shape)
        self.dbiases = flat.sum(0)
        dcolumns = flat @ self.weights.reshape(len(self.weights), -1)
        self.dinputs = col2im(
            dcolumns, self.inputs.shape, self.kernel, self.stride, self.padding
        )
        return self.dinputs
