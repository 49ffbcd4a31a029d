"""Fourier transforms, whose complex numbers are a last dimension of size 2, as products."""

from __future__ import annotations

import math

import numpy as np

from chainrule.errors import FormatError
from chainrule.formats.onnx.operators.shapes import each, pad
from chainrule.formats.onnx.operators.table import Ints, counted, operator
from chainrule.formats.onnx.tensors import dtype_of
from chainrule.ops.creation import zeros
from chainrule.ops.shape import stack
from chainrule.primitive import Array
from chainrule.tensor import Tensor


def _waves(rows: int, columns: int, period: int) -> tuple[Tensor, Tensor]:
    """cos and sin of 2π·i·j / period."""
    i, j = np.divmod(counted(rows * columns).reshape(rows, columns), columns)
    angle = 2 * np.pi * (i * j % period) / period
    return Tensor(np.cos(angle)), Tensor(np.sin(angle))


def _parts(x: Tensor) -> tuple[Tensor, Tensor]:
    """The real and the imaginary part."""
    if x.shape[-1] not in (1, 2):
        raise FormatError("a signal ends in a dimension of size 1 or 2", given=x.shape)
    real = x[..., 0]
    return real, x[..., 1] if x.shape[-1] == 2 else real * 0


def _resized(x: Tensor, dim: int, size: int) -> Tensor:
    """x cut to a size along a dimension, or with zeros after it."""
    return pad(x, (0, size - x.shape[dim]), axes=(dim,), mode="constant")


@operator("DFT", since=20)
def dft(
    x: Tensor,
    dft_length: Ints | None = None,
    axis: Ints | None = None,
    *,
    inverse: int,
    onesided: int,
) -> Tensor:
    """X[k] = Σₙ x[n]·exp(−2πi·k·n / N); the inverse has the other sign and is divided by N."""
    (dim,) = each(axis or (-2,), x.ndim)
    given = x.shape[dim]
    back_to_real = bool(inverse and onesided)
    length = dft_length[0] if dft_length else (2 * (given - 1) if back_to_real else given)
    if length < 1 or dim == x.ndim - 1:
        raise FormatError("a transform has a length of at least 1", given=(length, x.shape))
    half = length // 2 + 1
    dtype, x = x.dtype, _resized(x, dim, half if back_to_real else length)
    real, imaginary = (part.movedim(dim, -1) for part in _parts(x.double()))  # sums that cancel
    if back_to_real:
        cos, sin = _waves(half, length, length)
        weights = np.full(half, 2.0)
        weights[0] = weights[-1] = 1
        weights[-1] += length % 2
        y = ((real * Tensor(weights)) @ cos - (imaginary * Tensor(weights)) @ sin) / length
        return y.movedim(-1, dim).unsqueeze(-1).astype(dtype)
    cos, sin = _waves(length, half if onesided else length, length)
    sin = -sin if inverse else sin
    parts = [real @ cos + imaginary @ sin, imaginary @ cos - real @ sin]
    y = stack([part.movedim(-1, dim) for part in parts], -1)
    return (y / length if inverse else y).astype(dtype)


@operator("DFT", since=17)
def dft_along(
    x: Tensor, dft_length: Ints | None = None, *, axis: int, inverse: int, onesided: int
) -> Tensor:
    return dft(x, dft_length, (axis,), inverse=inverse, onesided=onesided)


@operator("STFT")
def stft(
    x: Tensor,
    step: Ints,
    window: Tensor | None = None,
    length: Ints | None = None,
    *,
    onesided: int,
) -> Tensor:
    """The transforms of overlapping frames: (N, L, 1) → (N, frames, bins, 2)."""
    if length is None and window is None:
        raise FormatError("frames have a length or a window")
    size = length[0] if length else len(window if window is not None else ())
    if step[0] < 1 or not 1 <= size <= x.shape[1]:
        raise FormatError("a frame is inside of the signal", given=f"{size} of {x.shape[1]}")
    frames = (x.shape[1] - size) // step[0] + 1
    places = counted(frames * size).reshape(frames, size)
    places = places // size * step[0] + places % size
    parts = x[:, Tensor(places)]
    if window is not None:
        parts = parts * window.reshape(-1, 1)
    return dft(parts, None, (2,), inverse=0, onesided=onesided)


@operator("MelWeightMatrix")
def mel_weights(
    bands: float, dft_length: float, rate: float, low: float, high: float, *, output_datatype: int
) -> Array:
    """Triangles on the mel scale: (bins, bands)."""
    count, rows = int(bands), int(dft_length) // 2 + 1
    weights = zeros(1).expand(rows, count).numpy().copy()
    first, last = (2595 * math.log10(1 + edge / 700) for edge in (low, high))
    mel = counted(count + 2) * ((last - first) / (count + 2)) + first
    edges = ((dft_length + 1) * 700 * (10 ** (mel / 2595) - 1) // rate).astype(np.int64)
    bins = counted(rows)
    for band in range(count):
        left, middle, right = edges[band : band + 3]
        rising = (bins >= left) & (bins <= middle)
        weights[rising, band] = ((bins - left) / max(middle - left, 1))[rising]
        weights[middle, band] = 1
        falling = (bins >= middle) & (bins < right)
        weights[falling, band] = ((right - bins) / max(right - middle, 1))[falling]
    return weights.astype(dtype_of(output_datatype, "the result"))
