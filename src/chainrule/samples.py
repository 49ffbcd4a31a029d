"""Inputs that test an op: each function here returns a `samples` field for a primitive.

A sample is `(inputs, params)`. The tests run every op on each of its samples, in each dtype,
contiguous and not, and check derivatives in float64. Keep values away from points where the op is
not differentiable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from chainrule.primitive import Sample, Shape

Samples = Callable[["np.random.Generator"], Iterable[Sample]]


def uniform(low: float, high: float, *shapes: Shape) -> Samples:
    """One input drawn from U(low, high) for each shape: by default a matrix, a 0-d and an empty
    array."""
    return lambda rng: [
        ((rng.uniform(low, high, shape),), {}) for shape in shapes or ((3, 4), (), (0, 3))
    ]


def pairs(low: float = -3, high: float = 3) -> Samples:
    """Two inputs drawn from U(low, high), in several pairs of shapes that broadcast.

    The second is at least 0.1 away from 0 and, for equal shapes, from the first.
    """

    def draw(rng: np.random.Generator) -> Iterable[Sample]:
        shapes = (((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((), (2,)), ((0, 3), (3,)))
        for a, b in shapes:
            x = rng.uniform(low, high, a)
            y = rng.uniform(low, high, b)
            close = np.abs(x - y) < 0.1
            if a == b:
                y = np.where(close, x + 0.25, y)
            yield (x, np.where(np.abs(y) < 0.1, 0.5, y)), {}

    return draw


def cases(*makers: Callable[[np.random.Generator], tuple[Any, ...]]) -> Samples:
    """One sample from each maker: `make(rng)` returns the inputs, and last a dict of parameters if
    there are any."""

    def draw(rng: np.random.Generator) -> Iterable[Sample]:
        for make in makers:
            made = make(rng)
            params = made[-1] if made and isinstance(made[-1], dict) else {}
            yield tuple(integers(x) for x in made if x is not params), params

    return draw


def integers(x: Any) -> Any:
    """Integers without a declared dtype as int64: NumPy gives them the index type."""
    return x.astype(np.int64) if getattr(x, "dtype", None) == np.intp else x
