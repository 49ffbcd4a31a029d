"""Random augmentation of image batches: independent for each sample, vectorized over the batch.

The caller passes the generator, so the same (seed, epoch, batch) gives the same images. `at_rest`
of a transform is the transform that replaces it in prediction.

>>> images = np.arange(9.0).reshape(1, 1, 3, 3)
>>> RandomHorizontalFlip(p=1.0)(images, np.random.default_rng(0))[0, 0, 0].tolist()
[2.0, 1.0, 0.0]
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from chainrule.data.transforms import (
    Array,
    Generator,
    Transform,
    check_count,
    check_numbers,
    register,
)
from chainrule.errors import ArgumentError, ShapeError


def _need_generator(transform: Transform, generator: Generator | None) -> Generator:
    if generator is None:
        raise ArgumentError(
            f"{transform!r} draws random numbers and was given no generator",
            expected="a numpy.random.Generator",
            instead="Read through a DataLoader, or pass generator=np.random.default_rng(seed).",
        )
    return generator


def _need_images(transform: Transform, x: Array) -> tuple[int, int, int, int]:
    if x.ndim != 4:
        raise ShapeError(
            f"{type(transform).__name__} works on images",
            given=x.shape,
            expected="(N, C, H, W)",
            instead="Put it before Flatten, or ask the dataset for images (flat=False).",
        )
    n, c, h, w = x.shape
    return n, c, h, w


def _pad(x: Array, size: int) -> Array:
    if not size:
        return x
    n, c, h, w = x.shape
    # np.pad does this for any mode and axis, and takes five times as long.
    y = np.zeros((n, c, h + 2 * size, w + 2 * size), x.dtype)
    y[:, :, size : size + h, size : size + w] = x
    return y


def _windows(x: Array, height: int, width: int, top: Array, left: Array) -> Array:
    """The window (height, width) of sample i at (top[i], left[i]), for all samples at once."""
    views = sliding_window_view(x, (height, width), axis=(2, 3))
    return np.ascontiguousarray(views[np.arange(len(x)), :, top, left])


@register
class CenterCrop(Transform):
    """(N, C, H, W) → (N, C, size, size): the centre. Replaces RandomCrop in prediction."""

    def __init__(self, size: int, padding: int = 0) -> None:
        self.size, self.padding = check_count(size, "size", 1), check_count(padding, "padding", 0)

    def __call__(self, x: Array, generator: Generator | None = None) -> Array:
        _need_images(self, x)
        x = _pad(x, self.padding)
        top, left = _spare(self, x, self.size)
        top, left = top // 2, left // 2
        return x[:, :, top : top + self.size, left : left + self.size]

    def parameters(self) -> dict[str, Any]:
        return {"size": self.size, "padding": self.padding}


def _spare(transform: Transform, x: Array, size: int) -> tuple[int, int]:
    down, right = x.shape[2] - size, x.shape[3] - size
    if down < 0 or right < 0:
        raise ShapeError(
            f"{transform!r} is larger than the padded images", given=x.shape, expected=f">= {size}"
        )
    return down, right


@register
class RandomCrop(Transform):
    """(N, C, H, W) → (N, C, size, size) at a random position for each sample, after zero
    padding."""

    random = True

    def __init__(self, size: int, padding: int = 0) -> None:
        self.size, self.padding = check_count(size, "size", 1), check_count(padding, "padding", 0)
        self.at_rest = CenterCrop(size, padding)

    def __call__(self, x: Array, generator: Generator | None = None) -> Array:
        generator = _need_generator(self, generator)
        n, *_ = _need_images(self, x)
        x = _pad(x, self.padding)
        down, right = _spare(self, x, self.size)
        top = generator.integers(0, down + 1, n)
        left = generator.integers(0, right + 1, n)
        return _windows(x, self.size, self.size, top, left)

    def parameters(self) -> dict[str, Any]:
        return {"size": self.size, "padding": self.padding}


@register
class RandomShift(Transform):
    """Shifts each image by up to `pixels` along both axes and fills with zeros."""

    random = True

    def __init__(self, pixels: int) -> None:
        self.pixels = check_count(pixels, "pixels", 0)

    def __call__(self, x: Array, generator: Generator | None = None) -> Array:
        generator = _need_generator(self, generator)
        n, _, height, width = _need_images(self, x)
        top, left = generator.integers(0, 2 * self.pixels + 1, (2, n))
        return _windows(_pad(x, self.pixels), height, width, top, left)

    def parameters(self) -> dict[str, Any]:
        return {"pixels": self.pixels}


@register
class RandomHorizontalFlip(Transform):
    """Flips each image horizontally with probability `p`."""

    random = True

    def __init__(self, p: float = 0.5) -> None:
        self.p = float(check_numbers(p, "p"))
        if not 0 <= self.p <= 1:
            raise ArgumentError("p is a probability", given=p, expected="0 to 1")

    def __call__(self, x: Array, generator: Generator | None = None) -> Array:
        generator = _need_generator(self, generator)
        n, *_ = _need_images(self, x)
        flip = generator.random(n) < self.p
        return np.where(flip[:, None, None, None], x[:, :, :, ::-1], x)

    def parameters(self) -> dict[str, Any]:
        return {"p": self.p}
