"""Synthetic data sets for lessons and tests. The same seed gives the same numbers.

Each function returns an ArrayDataset with float32 inputs (n, features). Targets are int64 class
labels (n,) for cross-entropy. With `targets="column"`, data sets of two classes have float32 zeros
and ones (n, 1) for a single output and binary cross-entropy.

>>> data = moons(200, noise=0.1)
>>> data.arrays[0].shape, data.classes
((200, 2), ('upper', 'lower'))
"""

from __future__ import annotations

import numpy as np

from chainrule.data.dataset import CLASSIFICATION, REGRESSION, ArrayDataset
from chainrule.data.seeds import SAMPLES, stream
from chainrule.data.transforms import Array, Generator
from chainrule.errors import ArgumentError

TARGETS = ("labels", "column")
_PLANE = ("x", "y")


def as_targets(labels: Array, targets: str) -> Array:
    """Two-class labels as int64 (n,) ("labels") or as float32 (n, 1) zeros and ones ("column")."""
    if targets not in TARGETS:
        raise ArgumentError("unknown form of targets", given=repr(targets), expected=TARGETS)
    if targets == "column":
        return labels.astype(np.float32).reshape(-1, 1)
    return labels.astype(np.int64)


def _start(n: int, noise: float, seed: int, least: int = 2) -> Generator:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < least:
        raise ArgumentError("too few samples", given=n, expected=f"n >= {least}")
    if not 0 <= noise < np.inf:
        raise ArgumentError("noise is a standard deviation", given=noise, expected=">= 0")
    return stream(seed, SAMPLES)


def _finish(
    x: Array, labels: Array, classes: tuple[str, ...], draw: Generator, targets: str = "labels"
) -> ArrayDataset:
    order = draw.permutation(len(x))
    return ArrayDataset(
        x[order].astype(np.float32),
        as_targets(labels[order], targets),
        classes=classes,
        feature_names=_PLANE,
        task=CLASSIFICATION,
    )


def moons(
    n: int = 1000, noise: float = 0.1, seed: int = 0, targets: str = "labels"
) -> ArrayDataset:
    """Two interleaved half circles: (cos t, sin t) and (1 − cos t, ½ − sin t)."""
    draw = _start(n, noise, seed)
    t, label = np.pi * draw.random(n), np.arange(n) % 2
    upper = np.stack([np.cos(t), np.sin(t)], 1)
    lower = np.stack([1 - np.cos(t), 0.5 - np.sin(t)], 1)
    x = np.where(label[:, None] == 0, upper, lower) + noise * draw.standard_normal((n, 2))
    return _finish(x, label, ("upper", "lower"), draw, targets)


def circles(
    n: int = 1000, noise: float = 0.05, seed: int = 0, factor: float = 0.5, targets: str = "labels"
) -> ArrayDataset:
    """A circle of radius `factor` inside one of radius 1."""
    draw = _start(n, noise, seed)
    if not 0 < factor < 1:
        raise ArgumentError("factor is the inner radius", given=factor, expected="0 < factor < 1")
    label, radius = np.arange(n) % 2, np.array([1.0, factor])
    x = _ring(radius[label], draw) + noise * draw.standard_normal((n, 2))
    return _finish(x, label, ("outer", "inner"), draw, targets)


def rings(n: int = 1000, classes: int = 3, noise: float = 0.05, seed: int = 0) -> ArrayDataset:
    """`classes` circles around the origin, of radius 1/classes, 2/classes, ..., 1."""
    draw = _start(n, noise, seed, classes)
    label = np.arange(n) % classes
    x = _ring((label + 1) / classes, draw) + noise * draw.standard_normal((n, 2))
    return _finish(x, label, _named("ring", classes), draw)


def _ring(radius: Array, draw: Generator) -> Array:
    angle = 2 * np.pi * draw.random(len(radius))
    circle: Array = np.stack([np.cos(angle), np.sin(angle)], 1)
    return radius[:, None] * circle


def _named(what: str, count: int) -> tuple[str, ...]:
    if count < 2:
        raise ArgumentError("too few classes", given=count, expected=">= 2")
    return tuple(f"{what} {place}" for place in range(count))


def spirals(
    n: int = 1000, classes: int = 2, noise: float = 0.02, seed: int = 0, turns: float = 1.0
) -> ArrayDataset:
    """`classes` arms r = t, φ = 2π (turns · t + class / classes), t from 0 to 1."""
    draw = _start(n, noise, seed, classes)
    label, t = np.arange(n) % classes, np.sqrt(draw.random(n))
    angle = 2 * np.pi * (turns * t + label / classes)
    x = t[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return _finish(x + noise * draw.standard_normal((n, 2)), label, _named("arm", classes), draw)


def blobs(
    n: int = 1000, classes: int = 3, noise: float = 0.15, seed: int = 0, features: int = 2
) -> ArrayDataset:
    """Normal distributions with standard deviation `noise` around centres drawn from [−1, 1]ᶠ."""
    draw = _start(n, noise, seed, classes)
    label, centres = np.arange(n) % classes, draw.uniform(-1, 1, (classes, features))
    x = centres[label] + noise * draw.standard_normal((n, features))
    order = draw.permutation(n)
    x, label = x[order].astype(np.float32), label[order].astype(np.int64)
    return ArrayDataset(x, label, classes=_named("blob", classes), task=CLASSIFICATION)


def xor(n: int = 1000, noise: float = 0.1, seed: int = 0, targets: str = "labels") -> ArrayDataset:
    """The corners (±1, ±1) with noise; class 1 where the signs differ: no line separates them."""
    draw = _start(n, noise, seed)
    corner = np.arange(n) % 4
    signs = np.stack([corner // 2, corner % 2], 1) * 2.0 - 1.0
    label = (signs[:, 0] != signs[:, 1]).astype(np.int64)
    x = signs + noise * draw.standard_normal((n, 2))
    return _finish(x, label, ("same", "different"), draw, targets)


def sine(n: int = 1000, noise: float = 0.1, seed: int = 0) -> ArrayDataset:
    """Regression: y = sin(πx) + noise, x uniform in [−1, 1]; both float32 (n, 1)."""
    draw = _start(n, noise, seed)
    x = draw.uniform(-1, 1, (n, 1))
    y = np.sin(np.pi * x) + noise * draw.standard_normal((n, 1))
    x, y = x.astype(np.float32), y.astype(np.float32)
    return ArrayDataset(x, y, feature_names=("x",), task=REGRESSION)
