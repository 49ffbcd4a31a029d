"""Pooling: windows of the input, each reduced to its largest element or its mean."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DTypeError
from chainrule.kinds import Window
from chainrule.ops.index import gather, scatter_add
from chainrule.ops.rules import nonempty, numeric
from chainrule.ops.window import Geometry, framed, require_layout, taps, unframed
from chainrule.primitive import Shape, Spec, SpecLike, primitive

POOLS: Any = (  # input, kernel, geometry
    ((2, 3, 7), (3,), Geometry((2,), ((1, 2),), (1,))),
    ((2, 3, 5, 4), (2, 2), Geometry.of(2, stride=2)),
    ((2, 3, 5, 4), (3, 2), Geometry.of(2, (2, 1), 1)),
    ((1, 2, 3, 4, 3), (2, 2, 1), Geometry.of(3, (1, 2, 2))),
)


def pooled(x: SpecLike, kernel: Shape, geometry: Geometry) -> Shape:
    """The shape of the output; no window may be empty."""
    n = geometry.dimensions
    require_layout("pooling", x, n)
    nonempty(x, tuple(range(2, n + 2)), "pooling")
    out = geometry.positions(x.shape, kernel)
    steps = zip(x.shape[2:], geometry.padding, geometry.dilation, strict=True)
    if any(p and d > size for size, (p, _), d in steps):
        raise ArgumentError(
            "a window of this pooling sees nothing but padding",
            given=f"input {x.shape}, kernel {kernel}, dilation {geometry.dilation}",
            instead="Use a smaller dilation, or no padding.",
        )
    return (*x.shape[:2], *out)


def distinct(rng: np.random.Generator) -> Iterator[Any]:
    """Inputs without equal elements, so that no maximum is tied."""
    for shape, kernel, geometry in POOLS:
        x = rng.permutation(np.linspace(-3, 3, math.prod(shape))).reshape(shape)
        yield (x,), {"kernel": kernel, "geometry": geometry}
    dilated = rng.permutation(np.linspace(-3, 3, 42)).reshape(1, 1, 6, 7)
    yield (dilated,), {"kernel": (2, 3), "geometry": Geometry.of(2, 2, 1, (3, 2))}


def averages(of_output: bool = False) -> Any:
    """Samples of the mean over windows, or of its adjoint."""

    def draw(rng: np.random.Generator) -> Iterator[Any]:
        for shape, kernel, geometry in POOLS:
            params = {"kernel": kernel, "geometry": geometry, "divisor": math.prod(kernel) + 1}
            if of_output:
                out = (*shape[:2], *geometry.positions(shape, kernel))
                yield (rng.normal(size=out),), {"shape": shape, **params}
            else:
                yield (rng.normal(size=shape),), params

    return draw


@primitive
class max_pool:
    """(y, positions): the largest element of each window, and where it is in its flat channel.

    x (N, C, *sizes) → twice (N, C, *positions). NaN wins; of equal elements the first. The
    gradient goes to the elements found.
    """
    kind, samples = Window(), distinct

    def infer(x: SpecLike, *, kernel: Shape, geometry: Geometry) -> Any:
        shape = pooled(numeric(x), kernel, geometry)
        return Spec(shape, x.dtype), Spec(shape, np.int64)

    def flops(x, *, kernel, geometry):
        return math.prod(pooled(x, kernel, geometry)) * math.prod(kernel)

    def forward(x, *, kernel, geometry):
        out, sizes = geometry.positions(x.shape, kernel), x.shape[2:]
        places = np.arange(math.prod(sizes), dtype=np.int64).reshape(1, 1, *sizes)
        x, places = framed(x, geometry), framed(places, geometry, -1)  # −1: padding
        y = np.zeros((*x.shape[:2], *out), x.dtype)
        positions = np.full(y.shape, -1, np.int64)
        for _, place in taps(kernel, out, geometry):
            seen, here = x[place], places[place]
            better = (positions < 0) | ~(seen <= y) & (y == y)
            better &= here >= 0
            y = np.where(better, seen, y)
            positions = np.where(better, here, positions)
        return y, positions

    def vjp(gs, x_spec, ys):
        n, c, *sizes = x_spec.shape
        flat = (n, c, math.prod(gs[0].shape[2:]))
        g, positions = gs[0].reshape(flat), ys[1].reshape(flat)
        spread = scatter_add(g, positions, shape=(n, c, math.prod(sizes)), dim=2)
        return spread.reshape(x_spec.shape),

    def tangent(xs, ys, ts, params):  # that of the element found
        (t,), (y, positions) = ts, ys
        t, at = (x.reshape(*x.shape[:2], math.prod(x.shape[2:])) for x in (t, positions))
        return gather(t, 2, at).reshape(y.shape), None


@primitive
class avg_pool:
    """y = the sum of each window, padding counted as 0, over `divisor`.   The adjoint spreads g.

    x (N, C, *sizes) → (N, C, *positions).
    """
    kind, samples = Window(), averages()

    def infer(x: SpecLike, *, kernel: Shape, geometry: Geometry, divisor: int) -> Spec:
        if x.dtype.kind != "f":
            raise DTypeError("the mean of integers is not an integer", given=x.dtype)
        return Spec(pooled(x, kernel, geometry), x.dtype)

    def flops(x, *, kernel, geometry, divisor):
        return math.prod(pooled(x, kernel, geometry)) * math.prod(kernel)

    def forward(x, *, kernel, geometry, divisor):
        out = geometry.positions(x.shape, kernel)
        y, x = np.zeros((*x.shape[:2], *out), x.dtype), framed(x, geometry)
        for _, place in taps(kernel, out, geometry):
            y += x[place]
        return y * x.dtype.type(1 / divisor)

    def vjp(g, x_spec, kernel, geometry, divisor):
        p = {"kernel": kernel, "geometry": geometry, "divisor": divisor}
        return avg_pool_input(g, shape=x_spec.shape, **p),

    def tangent(xs, ys, ts, params): return avg_pool(ts[0], **params)


@primitive
class avg_pool_input:
    """y = the gradient of avg_pool: each element of u over `divisor`, spread over its window."""
    kind, samples = Window(), averages(of_output=True)

    def infer(u, *, shape, kernel, geometry, divisor): return Spec(shape, u.dtype)

    def flops(u, *, shape, kernel, geometry, divisor):
        return math.prod(u.shape) * math.prod(kernel)

    def forward(u, *, shape, kernel, geometry, divisor):
        y = framed(np.zeros(shape, u.dtype), geometry)
        share = u * u.dtype.type(1 / divisor)
        for _, place in taps(kernel, u.shape[2:], geometry):
            y[place] += share
        return unframed(y, shape, geometry)

    def vjp(g, kernel, geometry, divisor):
        return avg_pool(g, kernel=kernel, geometry=geometry, divisor=divisor),

    def tangent(xs, ys, ts, params): return avg_pool_input(ts[0], **params)
