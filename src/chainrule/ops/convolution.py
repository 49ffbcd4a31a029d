"""Convolution, and its gradients by the input (the transposed convolution) and by the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from chainrule.errors import ShapeError
from chainrule.kinds import Window
from chainrule.ops.batched import apart, everywhere, examples, merged
from chainrule.ops.contract import added, same_float
from chainrule.ops.rules import allocatable, channels_hint
from chainrule.ops.window import Geometry, framed, require_layout, taps, unframed
from chainrule.primitive import Array, Shape, Spec, SpecLike, primitive
from chainrule.tensor import Tensor


def columns(x: Array, kernel: Shape, out: Shape, geometry: Geometry) -> Array:
    """(N, groups, C/groups · taps, positions): each column is what one output element sees."""
    x = framed(x, geometry)
    lead, steps = x.strides[:2], x.strides[2:]
    apart = [d * step for d, step in zip(geometry.dilation, steps, strict=True)]
    along = [s * step for s, step in zip(geometry.stride, steps, strict=True)]
    seen = as_strided(x, (*x.shape[:2], *kernel, *out), (*lead, *apart, *along), writeable=False)
    depth = x.shape[1] // geometry.groups * math.prod(kernel)
    return seen.reshape(x.shape[0], geometry.groups, depth, math.prod(out))


def in_groups(x: Array, dim: int, geometry: Geometry) -> Array:
    """(N, groups, O/groups, positions) of outputs, (groups, O/groups, C/groups · taps) of weights:
    the channels at `dim` in groups, and all that follows them as one dimension."""
    shape = (*x.shape[:dim], geometry.groups, x.shape[dim] // geometry.groups)
    return x.reshape(*shape, math.prod(x.shape[dim + 1 :]))


def require_weights(
    name: str, x: SpecLike, w: SpecLike, bias: tuple[SpecLike, ...], geometry: Geometry
) -> None:
    """Weights have the dimensions and the dtype of the input, and the groups share them out."""
    require_layout(name, x, geometry.dimensions)
    same_float(name, x, w, *bias)
    if len(w.shape) != len(x.shape) or w.shape[0] % geometry.groups or 0 in w.shape[2:]:
        kernel = ", ".join(f"k{i + 1}" for i in range(geometry.dimensions))
        raise ShapeError(
            f"the weights of {name} do not fit", given=f"weights {w.shape}, groups "
            f"{geometry.groups}, input {x.shape}",
            expected=f"(O, C/groups, {kernel}), where groups divides O and no size is 0",
        )


def require_bias(name: str, bias: tuple[SpecLike, ...], channels: int) -> None:
    """A bias, if there is one, has a number for each channel of the output."""
    if bias and bias[0].shape != (channels,):
        raise ShapeError(
            f"the bias of {name} has another size", given=bias[0].shape, expected=(channels,)
        )


def add_bias(y: Array, bias: tuple[Array, ...]) -> Array:
    """y, with its number added to each channel."""
    for b in bias:
        y += b.reshape(len(b), *(1,) * (y.ndim - 2))
    return y


def by_bias(g: Tensor, needs: Sequence[bool]) -> list[Tensor | None]:
    """The gradient by the bias, if there is one, of an output that it is added to."""
    return [g.sum((0, *range(2, g.ndim))) if need else None for need in needs]


def batched_convolution(
    record: Any, xs: Sequence[Tensor], batched: Sequence[bool], params: dict[str, Any]
) -> Tensor:
    """A convolution of batched inputs: the examples become further images (N), or where each has
    weights of its own, further groups of channels."""
    (x, w, *bias), (of_x, of_w, *of_bias) = xs, batched
    size = examples(xs, batched)
    own_bias = bias if True in of_bias else []
    given = [] if own_bias or of_w else bias
    n, c, *image = params.get("shape", (0, 0))
    if of_w:
        x = merged(everywhere((x, w), (of_x, of_w))[0], 1)
        geometry = params["geometry"]._replace(groups=params["geometry"].groups * size)
        changed, c = {"geometry": geometry}, c * size
        w, own_bias = merged(w), bias
    elif of_x:
        x, n, changed = merged(x), n * size, {}
    else:
        changed = {}
    if image:
        changed["shape"] = (n, c, *image)
    y = record(x, w, *given, **{**params, **changed})
    y = apart(y, size, int(of_w)) if of_w or of_x else y
    for b in own_bias:
        y = y + b.reshape(*b.shape[:-1], *[1] * (b.ndim - 1), b.shape[-1], *[1] * (w.ndim - 2))
    return y


def moving_convolution(record: Any, xs: Any, ys: Any, ts: Any, params: dict[str, Any]) -> Tensor:
    """The tangent of a convolution: it is linear in its input, and in its weights, and adds b."""
    (x, w, *_), (by_x, by_w, *by_b) = xs, ts
    moved = [record(by_x, w, **params)] if by_x is not None else []
    moved += [record(x, by_w, **params)] if by_w is not None else []
    column = (-1, *[1] * (w.ndim - 2))
    given = [b for b in by_b if b is not None]
    total: Tensor = added(moved + [b.reshape(*column).expand(ys[0].shape) for b in given])
    return total


SAMPLES: Any = (  # input, weights, geometry
    ((2, 3, 6), (4, 3, 3), Geometry.of(1, stride=2, padding=1)),
    ((2, 3, 5, 4), (4, 3, 3, 2), Geometry.of(2)),
    ((2, 4, 5, 6), (6, 2, 3, 2), Geometry.of(2, (2, 1), (1, 2), (1, 2), groups=2)),
    ((1, 2, 3, 2, 3), (2, 2, 2, 1, 2), Geometry((1, 1, 2), ((0, 1), (1, 0), (1, 0)), (2, 1, 1))),
    ((0, 3, 5, 4), (4, 3, 3, 2), Geometry.of(2)),
)


def convolutions(inputs: str, result: str, bias: bool = True) -> Any:
    """Samples of two of x, w and u, some with a bias for the channels of the third."""

    def draw(rng: np.random.Generator) -> Iterator[Any]:
        for i, (x, w, geometry) in enumerate(SAMPLES):
            shapes = {"x": x, "w": w, "u": (x[0], w[0], *geometry.positions(x, w))}
            arrays = [rng.normal(size=shapes[name]) for name in inputs]
            if bias and i % 2:
                arrays.append(rng.normal(size=shapes[result][1]))
            params = {} if result == "u" else {"shape": shapes[result]}
            yield tuple(arrays), {**params, "geometry": geometry}

    return draw


@primitive
class convolution:
    """y[n,o] = Σ_c w[o,c] ⋆ x[n,c] + b[o], the cross-correlation of inputs with kernels.

    x (N, C, *sizes), w (O, C/groups, *kernel), perhaps b (O) → (N, O, *positions).
    """
    kind, samples = Window(), convolutions("xw", "u")

    def infer(x: SpecLike, w: SpecLike, *bias: SpecLike, geometry: Geometry) -> Spec:
        require_weights("convolution", x, w, bias, geometry)
        require_bias("convolution", bias, w.shape[0])
        channels = w.shape[1] * geometry.groups
        if x.shape[1] != channels:
            raise ShapeError(
                f"the input has {x.shape[1]} channels, this layer expects {channels}",
                given=f"input {x.shape}, weights {w.shape}, groups {geometry.groups}",
                expected=f"{channels} channels in dimension 1",
                instead=channels_hint(
                    x.shape,
                    channels,
                    f"Did you mean Conv{len(w.shape) - 2}d({x.shape[1]}, {w.shape[0]}, ...)?",
                ),
            )
        shape = (x.shape[0], w.shape[0], *geometry.positions(x.shape, w.shape))
        return allocatable(shape, x.dtype)

    def flops(x, w, *bias, geometry):
        size = convolution.infer(x, w, geometry=geometry).size
        return size * (2 * math.prod(w.shape[1:]) + len(bias))

    def forward(x, w, *bias, geometry):
        out = geometry.positions(x.shape, w.shape)
        y = in_groups(w, 0, geometry) @ columns(x, w.shape[2:], out, geometry)
        return add_bias(y.reshape(x.shape[0], w.shape[0], *out), bias)

    def vjp(g, x, w, geometry, needs):
        by_x = by_w = None
        if needs[0]:
            by_x = convolution_input(g, w, shape=x.shape, geometry=geometry)
        if needs[1]:
            by_w = convolution_weight(x, g, shape=w.shape, geometry=geometry)
        return by_x, by_w, *by_bias(g, needs[2:])

    def batch(xs, batched, params): return batched_convolution(convolution, xs, batched, params)
    def tangent(xs, ys, ts, params): return moving_convolution(convolution, xs, ys, ts, params)


@primitive
class convolution_input:
    """y[n,c] = Σ_o w[o,c] spread by u[n,o] + b[c], the gradient of convolution by its input.

    u (N, O, *positions), w (O, C/groups, *kernel), perhaps b (C) → shape (N, C, *sizes). Also
    called transposed convolution.
    """
    kind, samples = Window(), convolutions("uw", "x")

    def infer(
        u: SpecLike, w: SpecLike, *bias: SpecLike, shape: Shape, geometry: Geometry
    ) -> Spec:
        require_weights("transposed convolution", u, w, bias, geometry)
        require_bias("transposed convolution", bias, shape[1])
        if u.shape[1] != w.shape[0]:
            n = len(w.shape) - 2
            raise ShapeError(
                f"the input has {u.shape[1]} channels, this layer expects {w.shape[0]}",
                given=f"input {u.shape}, weights {w.shape}, groups {geometry.groups}",
                expected=f"{w.shape[0]} channels in dimension 1",
                instead=channels_hint(
                    u.shape,
                    w.shape[0],
                    f"Did you mean ConvTranspose{n}d({u.shape[1]}, {shape[1]}, ...)?",
                ),
            )
        return allocatable(shape, u.dtype)

    def flops(u, w, *bias, shape, geometry):
        return 2 * math.prod(u.shape) * math.prod(w.shape[1:]) + len(bias) * math.prod(shape)

    def forward(u, w, *bias, shape, geometry):
        out, kernel = u.shape[2:], w.shape[2:]
        spread = in_groups(w, 0, geometry).swapaxes(1, 2) @ in_groups(u, 1, geometry)
        spread = spread.reshape(*shape[:2], *kernel, *out)
        y = framed(np.zeros(shape, u.dtype), geometry)
        for tap, place in taps(kernel, out, geometry):
            y[place] += spread[(slice(None), slice(None), *tap)]
        return add_bias(unframed(y, shape, geometry), bias)

    def vjp(g, u, w, geometry, needs):
        by_u = by_w = None
        if needs[0]:
            by_u = convolution(g, w, geometry=geometry)
        if needs[1]:
            by_w = convolution_weight(g, u, shape=w.shape, geometry=geometry)
        return by_u, by_w, *by_bias(g, needs[2:])

    def batch(xs, batched, params):
        return batched_convolution(convolution_input, xs, batched, params)

    def tangent(xs, ys, ts, params):
        return moving_convolution(convolution_input, xs, ys, ts, params)


@primitive
class convolution_weight:
    """y[o,c] = Σ_n u[n,o] ⋆ x[n,c], the gradient of convolution by its weights.

    x (N, C, *sizes), u (N, O, *positions) → shape (O, C/groups, *kernel).
    """
    kind, samples = Window(), convolutions("xu", "w", bias=False)

    def infer(x, u, *, shape, geometry): return Spec(shape, x.dtype)

    def flops(x, u, *, shape, geometry): return 2 * math.prod(u.shape) * math.prod(shape[1:])

    def forward(x, u, *, shape, geometry):
        seen = columns(x, shape[2:], u.shape[2:], geometry)
        products = in_groups(u, 1, geometry) @ seen.swapaxes(2, 3)
        return np.add.reduce(products, 0, dtype=x.dtype).reshape(shape)

    def vjp(g, x, u, geometry, needs):
        by_x = by_u = None
        if needs[0]:
            by_x = convolution_input(u, g, shape=x.shape, geometry=geometry)
        if needs[1]:
            by_u = convolution(x, g, geometry=geometry)
        return by_x, by_u

    def tangent(xs, ys, ts, params):
        return moving_convolution(convolution_weight, xs, ys, ts, params)

    def batch(xs, batched, params):  # the examples become groups of channels
        size, (out, *rest), geometry = examples(xs, batched), params["shape"], params["geometry"]
        x, u = (merged(y, 1) for y in everywhere(xs, batched))
        geometry = geometry._replace(groups=geometry.groups * size)
        y = convolution_weight(x, u, shape=(out * size, *rest), geometry=geometry)
        return apart(y, size)
