"""Normalization by mean and variance, and its gradient."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.kinds import Along
from chainrule.ops.batched import everywhere, examples
from chainrule.ops.elementwise import rsqrt
from chainrule.ops.reduce import accumulator, count, mean_rule
from chainrule.ops.rules import reduced_shape, zeros_if_none
from chainrule.primitive import Spec, SpecLike, floating, primitive
from chainrule.tensor import Tensor


def affine_rule(x: SpecLike, *numbers: SpecLike) -> SpecLike:
    """x, once it is sure that weight and bias have one shape, which broadcasts to that of x."""
    sizes = numbers[0].shape if numbers else x.shape
    fits = len(sizes) == len(x.shape) and all(
        n in (1, whole) for n, whole in zip(sizes, x.shape, strict=True)
    )
    if not fits or any(y.shape != sizes or y.dtype != x.dtype for y in numbers):
        raise ShapeError(
            "weight and bias do not fit the input",
            given=" and ".join(f"{Spec(y.shape, y.dtype)}" for y in (x, *numbers)),
            expected="the input's dtype, and in each dimension its size or 1",
        )
    return floating(x)


def affine_samples(gradient: bool = False) -> Any:
    """Batch norm, layer norm, and what is neither; as inputs of the gradient, too."""
    shapes: Any = (
        ((4, 3), (0,), (1, 3)),
        ((2, 3, 4), (0, 2), (1, 3, 1)),
        ((3, 2, 4), (1, 2), (1, 2, 4)),
        ((2, 3, 4), (2,), (1, 3, 1)),
        ((2, 3, 20), (2,), (2, 3, 1)),
    )

    def draw(rng: np.random.Generator) -> Any:
        for shape, dims, sizes in shapes:
            x, w = rng.normal(size=shape), rng.normal(size=sizes)
            params = {"dims": dims, "eps": 1e-3}
            if gradient:
                m, v = x.mean(dims, keepdims=True), x.var(dims, keepdims=True)
                yield (rng.normal(size=shape), x, m, v, w), params
            else:
                yield (x,), params
                yield (x, w, rng.normal(size=sizes)), params

    return draw


@primitive
class normalize:
    """y = (x − m)/√(v + ε)·w + b, with mean m and variance v over the dimensions; → (y, m, v).

    x alone, or x, w, b: w and b have the dimensions of x, with its sizes or 1. Through m the
    gradient of x is g/n, through v 2(x − m)·g/n; that by y is `normalize_gradient`.
    Computed from x − x₀ (x₀ the first element), so that a constant gives b at any size.
    """
    kind, partial, samples = Along(), True, affine_samples()

    def infer(x, *affine, dims, eps):
        small = mean_rule(x, dims=dims, keepdim=True)
        return affine_rule(x, *affine), small, small

    def forward(x, *affine, dims, eps):
        n, wide = max(count(x, dims), 1), accumulator(x, dims)
        first = tuple(slice(0, 1) if d in dims else slice(None) for d in range(x.ndim))
        origin = x[first] if x.size else np.zeros(reduced_shape(x.shape, dims, True), x.dtype)
        shift = (np.sum(x - origin, dims, dtype=wide, keepdims=True) / n).astype(x.dtype)
        z = x - origin - shift
        v = (np.sum(z * z, dims, dtype=wide, keepdims=True) / n).astype(x.dtype)
        y = z / np.sqrt(v + eps)
        return y * affine[0] + affine[1] if affine else y, origin + shift, v

    def vjp(gs, x, affine, y1, y2, dims, eps, needs):
        (g, by_mean, by_var), m, v, by_affine = gs, y1, y2, (None, None)
        n, parts = max(count(x, dims), 1), []
        if g is not None:
            w = affine[0] if affine else Tensor(np.ones(v.shape, v.dtype))
            by_x, *by_affine = normalize_gradient(g, x, m, v, w, dims=dims, eps=eps)
            parts.append(by_x)
        if needs[0] and by_mean is not None:
            parts.append((by_mean * (1 / n)).expand(x.shape))
        if needs[0] and by_var is not None:
            parts.append((x - m) * (by_var * (2 / n)))
        return functools.reduce(operator.add, parts) if parts else None, *by_affine[: len(affine)]

    def batch(xs, batched, params):
        size, dims = examples(xs, batched), tuple([d + 1 for d in params["dims"]])
        x, *affine = everywhere(xs[:1], batched[:1], size) + xs[1:]
        if any(batched[1:]):
            affine = everywhere(affine, batched[1:], size)
        else:  # the same numbers for all examples
            affine = [z.unsqueeze(0) for z in affine]
        return normalize(x, *affine, dims=dims, eps=params["eps"])


@primitive
class normalize_gradient:
    """The gradients of (x − m)/√(v + ε)·w + b by x (through m and v, too), w and b; g is that of y.

    With z = (x − m)/√(v + ε) and h = g·w:   dx = (h − mean h − z·mean(h·z))/√(v + ε),
    dw = Σ g·z,  db = Σ g over the dimensions where w has size 1.
    """
    kind, partial, samples = Along(), True, affine_samples(gradient=True)

    def infer(g, x, m, v, w, *, dims, eps):
        small = mean_rule(x, dims=dims, keepdim=True)
        if (g.shape, g.dtype) != (x.shape, x.dtype) or any(
            (y.shape, y.dtype) != (small.shape, small.dtype) for y in (m, v)
        ):
            raise ShapeError(
                "g has the spec of x, m and v that of its mean",
                given=f"{g.shape}, {m.shape} and {v.shape} for x {x.shape}",
            )
        return affine_rule(x, w), w, w

    def forward(g, x, m, v, w, *, dims, eps):
        n, outer = max(count(x, dims), 1), tuple([d for d, n in enumerate(w.shape) if n == 1])
        def total(y, over): return np.sum(y, over, dtype=accumulator(y, over), keepdims=True)
        def mean(y): return (total(y, dims) / n).astype(x.dtype)
        root = np.sqrt(v + eps)
        z, h = (x - m) / root, g * w
        dx = (h - mean(h) - z * mean(h * z)) / root
        return dx, total(g * z, outer).astype(x.dtype), total(g, outer).astype(x.dtype)

    def vjp(gs, g, x, m, v, w, dims, eps):
        u, p, q = map(zeros_if_none, gs, (x, w, w))
        r, mean = rsqrt(v + eps), mean_over(dims, x)
        z, h, s = (x - m) * r, g * w, u * r
        tilt, slope = mean(h * z), mean(s * z)
        by_h = s - mean(s) - z * slope
        by_z = p * g - s * tilt - h * slope
        by_r = (by_z * (x - m) + u * (h - mean(h) - z * tilt)).sum(dims, True)
        by_x = by_z * r
        by_m = -by_x.sum(dims, True)
        by_w = (by_h * g).sum_to_size(w.shape)
        return by_h * w + p * z + q, by_x, by_m, by_r * r * r * r * -0.5, by_w

    def batch(xs, batched, params):
        size, dims = examples(xs, batched), tuple([d + 1 for d in params["dims"]])
        (g, x, m, v), w = everywhere(xs[:4], batched[:4], size), xs[4]
        params = {**params, "dims": dims}
        if batched[4]:
            return normalize_gradient(g, x, m, v, w, **params)
        dx, _, _ = normalize_gradient(g, x, m, v, w.unsqueeze(0), **params)
        z, shape = (x - m) * rsqrt(v + params["eps"]), (size, *w.shape)
        return dx, (g * z).sum_to_size(shape), g.sum_to_size(shape)

    def composed(g, x, m, v, w, *, dims, eps):
        r, mean = rsqrt(v + eps), mean_over(dims, x)
        z, h = (x - m) * r, g * w
        dx = (h - mean(h) - z * mean(h * z)) * r
        return dx, (g * z).sum_to_size(w.shape), g.sum_to_size(w.shape)


def mean_over(dims: tuple[int, ...], x: SpecLike) -> Callable[[Tensor], Tensor]:
    """The mean over dimensions of the size of x, which stay as 1."""
    share = 1 / max(count(x, dims), 1)
    return lambda y: y.sum(dims, True) * share
