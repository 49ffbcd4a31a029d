"""Ops on sliding windows: convolution and pooling over images (N, C, H, W).

Along each side of length n, a kernel of k taps with dilation d, stride s and padding p gives
⌊(n + 2p − d·(k − 1) − 1) / s⌋ + 1 positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.gateway import apply
from chainrule.kinds import Window
from chainrule.ops.contract import same_float
from chainrule.ops.rules import nonempty, numeric
from chainrule.primitive import Array, Shape, Spec, SpecLike, composition, primitive
from chainrule.samples import cases
from chainrule.tensor import Tensor

Pair = tuple[int, int]


def pair(value: int | Pair, name: str, least: int) -> Pair:
    """An int for both sides, or (height, width), each at least `least`."""
    sides = (value, value) if isinstance(value, int) else tuple(value)
    if len(sides) != 2 or any(not isinstance(n, int) or n < least for n in sides):
        raise ArgumentError(
            f"{name} is an integer ≥ {least}, or two for (height, width)", given=value
        )
    return sides


def window_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How many positions a window has along one side; ShapeError when it does not fit."""
    reach = dilation * (kernel - 1) + 1
    if reach > size + 2 * padding:
        raise ShapeError(
            f"the kernel reaches over {reach} pixels, the padded input has {size + 2 * padding}",
            given=f"kernel {kernel}, dilation {dilation}, input {size}, padding {padding}",
            expected="a smaller kernel, or more padding",
        )
    return (size + 2 * padding - reach) // stride + 1


def padded(x: Array, padding: Pair, value: float = 0) -> Array:
    """x with a border."""
    if padding == (0, 0):
        return x
    (n, c, h, w), (ph, pw) = x.shape, padding
    y = np.full((n, c, h + 2 * ph, w + 2 * pw), value, x.dtype)
    y[:, :, ph : ph + h, pw : pw + w] = x
    return y


def windows(x: Array, kernel: Pair, stride: Pair, dilation: Pair, out: Pair) -> Array:
    """A view (N, C, kernel height, kernel width, out height, out width) of a padded image."""
    n, c, h, w = x.strides
    return as_strided(
        x,
        (*x.shape[:2], *kernel, *out),
        (n, c, h * dilation[0], w * dilation[1], h * stride[0], w * stride[1]),
        writeable=False,
    )


def taps(kernel: Pair, stride: Pair, dilation: Pair, out: Pair) -> Iterator[tuple[int, int, Any]]:
    """For each tap (i, j) of the kernel: the slices of the padded image that it meets."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            top, left = i * dilation[0], j * dilation[1]
            rows = slice(top, top + stride[0] * (out[0] - 1) + 1, stride[0])
            columns = slice(left, left + stride[1] * (out[1] - 1) + 1, stride[1])
            yield i, j, (slice(None), slice(None), rows, columns)


# -- convolution ---------------------------------------------------------------------------------


class Geometry(NamedTuple):
    """How a kernel moves over an image."""

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def positions(self, image: Shape, kernel: Shape) -> Pair:
        """The output's height and width, from the last two sizes of image and kernel."""
        height, width = (
            window_size(image[i], kernel[i], self.stride[i], self.padding[i], self.dilation[i])
            for i in (-2, -1)
        )
        return height, width


STRIDED = Geometry(stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2)


def require_image(x: SpecLike, name: str) -> None:
    """The input of a window op has four dimensions."""
    if len(x.shape) != 4:
        raise ShapeError(
            f"{name} works on images (N, C, H, W)", given=x.shape,
            instead="Add missing dimensions with x.unsqueeze(dim) or x.reshape(...).",
        )  # fmt: skip


def columns(x: Array, kernel: Pair, out: Pair, geometry: Geometry) -> Array:
    """(N, groups, C/groups·kh·kw, positions): each column is what one output pixel sees."""
    view = windows(padded(x, geometry.padding), kernel, geometry.stride, geometry.dilation, out)
    seen = x.shape[1] // geometry.groups * kernel[0] * kernel[1]
    return view.reshape(x.shape[0], geometry.groups, seen, out[0] * out[1])


@primitive
class conv2d:
    """y[n,o] = Σ_c w[o,c] ⋆ x[n,c], the cross-correlation of images with kernels.

    x (N, C, H, W), w (O, C/groups, kh, kw) → (N, O, H', W').
    """
    kind = Window()
    samples = cases(
        lambda rng: (
            rng.normal(size=(2, 3, 5, 4)), rng.normal(size=(4, 3, 3, 2)), {"geometry": Geometry()},
        ),
        lambda rng: (
            rng.normal(size=(2, 4, 5, 6)), rng.normal(size=(6, 2, 3, 2)), {"geometry": STRIDED},
        ),
        lambda rng: (
            rng.normal(size=(0, 3, 5, 4)), rng.normal(size=(4, 3, 3, 2)), {"geometry": Geometry()},
        ),
    )  # fmt: skip

    def arguments(
        x: Tensor, w: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
    ) -> Any:
        geometry = Geometry(
            pair(stride, "stride", 1), pair(padding, "padding", 0), pair(dilation, "dilation", 1),
            groups,
        )  # fmt: skip
        if not isinstance(groups, int) or groups < 1:
            raise ArgumentError("groups is an integer ≥ 1", given=groups)
        return (x, w), {"geometry": geometry}

    def infer(x: SpecLike, w: SpecLike, *, geometry: Geometry) -> Spec:
        require_image(x, "conv2d")
        same_float("conv2d", x, w)
        if len(w.shape) != 4:
            raise ShapeError(
                "the weights of conv2d are (out, in/groups, height, width)", given=w.shape
            )
        channels = w.shape[1] * geometry.groups
        if x.shape[1] != channels or w.shape[0] % geometry.groups:
            raise ShapeError(
                f"the input has {x.shape[1]} channels, this layer expects {channels}",
                given=f"input {x.shape}, weights {w.shape}, groups {geometry.groups}",
                expected=f"(N, {channels}, H, W)",
                instead=f"Did you mean Conv2d({x.shape[1]}, {w.shape[0]}, ...)?",
            )
        return Spec((x.shape[0], w.shape[0], *geometry.positions(x.shape, w.shape)), x.dtype)

    def flops(x, w, *, geometry):
        return 2 * conv2d.infer(x, w, geometry=geometry).size * math.prod(w.shape[1:])

    def forward(x, w, *, geometry):
        out = geometry.positions(x.shape, w.shape)
        kernels = w.reshape(geometry.groups, w.shape[0] // geometry.groups, math.prod(w.shape[1:]))
        y = kernels @ columns(x, w.shape[2:], out, geometry)
        return y.reshape(x.shape[0], w.shape[0], *out)

    def vjp(g, x, w, geometry, needs):
        by_x = by_w = None
        if needs[0]:
            by_x = apply("conv2d_input", g, w, shape=x.shape, geometry=geometry)
        if needs[1]:
            by_w = apply("conv2d_weight", x, g, shape=w.shape, geometry=geometry)
        return by_x, by_w


@primitive
class conv2d_input:
    """y = the gradient of conv2d by its input: each output pixel u spread over what it saw."""
    kind = Window()
    samples = cases(
        lambda rng: (
            rng.normal(size=(2, 4, 3, 3)), rng.normal(size=(4, 3, 3, 2)),
            {"shape": (2, 3, 5, 4), "geometry": Geometry()},
        ),
        lambda rng: (
            rng.normal(size=(2, 6, 3, 8)), rng.normal(size=(6, 2, 3, 2)),
            {"shape": (2, 4, 5, 6), "geometry": STRIDED},
        ),
    )  # fmt: skip

    def infer(u, w, *, shape, geometry): return Spec(shape, u.dtype)

    def flops(u, w, *, shape, geometry): return 2 * math.prod(u.shape) * math.prod(w.shape[1:])

    def forward(u, w, *, shape, geometry):
        (n, c, height, width), (ph, pw), out = shape, geometry.padding, u.shape[2:]
        per_group = w.shape[0] // geometry.groups
        kernels = w.reshape(geometry.groups, per_group, math.prod(w.shape[1:])).swapaxes(1, 2)
        spread = kernels @ u.reshape(n, geometry.groups, per_group, out[0] * out[1])
        spread = spread.reshape(n, c, *w.shape[2:], *out)
        y = np.zeros((n, c, height + 2 * ph, width + 2 * pw), u.dtype)
        for i, j, place in taps(w.shape[2:], geometry.stride, geometry.dilation, out):
            y[place] += spread[:, :, i, j]
        return np.ascontiguousarray(y[:, :, ph : ph + height, pw : pw + width])

    def vjp(g, u, w_spec, w, geometry, needs):
        by_u = apply("conv2d", g, w, geometry=geometry) if needs[0] else None
        by_w = None
        if needs[1]:
            by_w = apply("conv2d_weight", g, u, shape=w_spec.shape, geometry=geometry)
        return by_u, by_w


@primitive
class conv2d_weight:
    """y = the gradient of conv2d by its kernels: what each tap saw, weighted by the pixels u."""
    kind = Window()
    samples = cases(
        lambda rng: (
            rng.normal(size=(2, 3, 5, 4)), rng.normal(size=(2, 4, 3, 3)),
            {"shape": (4, 3, 3, 2), "geometry": Geometry()},
        ),
        lambda rng: (
            rng.normal(size=(2, 4, 5, 6)), rng.normal(size=(2, 6, 3, 8)),
            {"shape": (6, 2, 3, 2), "geometry": STRIDED},
        ),
    )  # fmt: skip

    def infer(x, u, *, shape, geometry): return Spec(shape, x.dtype)

    def flops(x, u, *, shape, geometry): return 2 * math.prod(u.shape) * math.prod(shape[1:])

    def forward(x, u, *, shape, geometry):
        out = u.shape[2:]
        seen = columns(x, shape[2:], out, geometry)
        pixels = u.reshape(
            u.shape[0], geometry.groups, shape[0] // geometry.groups, out[0] * out[1]
        )
        return np.add.reduce(pixels @ seen.swapaxes(2, 3), 0, dtype=x.dtype).reshape(shape)

    def vjp(g, x, u, geometry, needs):
        by_x = by_u = None
        if needs[0]:
            by_x = apply("conv2d_input", u, g, shape=x.shape, geometry=geometry)
        if needs[1]:
            by_u = apply("conv2d", x, g, geometry=geometry)
        return by_x, by_u


# -- pooling -------------------------------------------------------------------------------------


def pool_arguments(x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Any:
    """The arguments of a pooling: the stride is the kernel's size unless given."""
    kernel = pair(kernel_size, "kernel_size", 1)
    steps = kernel if stride is None else pair(stride, "stride", 1)
    border = pair(padding, "padding", 0)
    if any(2 * p > k for p, k in zip(border, kernel, strict=True)):
        raise ArgumentError("the padding is at most half the kernel", given=f"{border}, {kernel}")
    return (x,), {"kernel": kernel, "stride": steps, "padding": border}


def pool_positions(x: SpecLike, kernel: Pair, stride: Pair, padding: Pair) -> Shape:
    """The output's shape (N, C, H', W')."""
    require_image(x, "pooling")
    nonempty(x, (2, 3), "pooling")
    return (*x.shape[:2], *Geometry(stride, padding).positions(x.shape, kernel))


POOLS = (
    {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0)},
    {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 1)},
)


def pool_samples(rng: np.random.Generator) -> list[Any]:
    """Images without equal pixels, so that no maximum is tied."""
    distinct = rng.permutation(np.linspace(-3, 3, 2 * 3 * 5 * 4)).reshape(2, 3, 5, 4)
    return [((distinct,), dict(p)) for p in POOLS]


@primitive
class max_pool2d_with_positions:
    """(y, positions): the largest pixel of each window, and where in the H·W plane it was.

    The gradient goes to that pixel alone; NaN wins; of equal pixels the first.
    """
    kind = Window()
    arguments, samples = pool_arguments, pool_samples

    def infer(x: SpecLike, *, kernel: Pair, stride: Pair, padding: Pair) -> Any:
        shape = pool_positions(numeric(x), kernel, stride, padding)
        return Spec(shape, x.dtype), Spec(shape, np.int64)

    def flops(x, *, kernel, stride, padding):
        return math.prod(pool_positions(x, kernel, stride, padding)) * math.prod(kernel)

    def forward(x, *, kernel, stride, padding):
        (ph, pw), width = padding, x.shape[3]
        out = pool_positions(x, kernel, stride, padding)[2:]
        lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        framed = padded(x, padding, lowest)
        rows = (np.arange(out[0]) * stride[0] - ph)[:, None]
        columns = np.arange(out[1]) * stride[1] - pw
        y = np.full((*x.shape[:2], *out), lowest, x.dtype)
        # A window of nothing but the lowest number has its first pixel that is not of the border.
        first = np.maximum(rows, 0) * width + np.maximum(columns, 0)
        positions = np.broadcast_to(first, y.shape).copy()
        for i, j, place in taps(kernel, stride, (1, 1), out):
            pixels = framed[place]
            better = ~(pixels <= y) & ~np.isnan(y) if x.dtype.kind == "f" else pixels > y
            np.maximum(y, pixels, out=y)
            # Arithmetic in place of a choice: many times faster where the outcome is random.
            positions += better * ((rows + i) * width + (columns + j) - positions)
        return y, positions

    def vjp(gs, x_spec, ys):
        n, c, height, width = x_spec.shape
        flat = (n, c, gs[0].shape[2] * gs[0].shape[3])
        spread = apply(
            "scatter_add", gs[0].reshape(flat), ys[1].reshape(flat),
            shape=(n, c, height * width), dim=2,
        )  # fmt: skip
        return spread.reshape(x_spec.shape),


@composition
def max_pool2d(x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Tensor:
    """The largest pixel of each window."""
    y: Tensor = max_pool2d_with_positions(x, kernel_size, stride, padding)[0]
    return y


@primitive
class avg_pool2d:
    """y = the mean of each window, a border of zeros counted in.   The adjoint spreads g/n."""
    kind = Window()
    arguments, samples = pool_arguments, pool_samples

    def infer(x: SpecLike, *, kernel: Pair, stride: Pair, padding: Pair) -> Spec:
        if x.dtype.kind != "f":
            raise DTypeError("the mean of integers is not an integer", given=x.dtype)
        return Spec(pool_positions(x, kernel, stride, padding), x.dtype)

    def flops(x, *, kernel, stride, padding):
        return math.prod(pool_positions(x, kernel, stride, padding)) * math.prod(kernel)

    def forward(x, *, kernel, stride, padding):
        out = pool_positions(x, kernel, stride, padding)[2:]
        framed = padded(x, padding)
        y = np.zeros((*x.shape[:2], *out), x.dtype)
        for _, _, place in taps(kernel, stride, (1, 1), out):
            y += framed[place]
        return y * x.dtype.type(1 / (kernel[0] * kernel[1]))

    def vjp(g, x_spec, kernel, stride, padding):
        p = {"kernel": kernel, "stride": stride, "padding": padding}
        return apply("avg_pool2d_input", g, shape=x_spec.shape, **p),


@primitive
class avg_pool2d_input:
    """y = the gradient of avg_pool2d: each output pixel u spread evenly over its window."""
    kind = Window()
    samples = cases(
        lambda rng: (rng.normal(size=(2, 3, 2, 2)), {"shape": (2, 3, 5, 4), **POOLS[0]}),
        lambda rng: (rng.normal(size=(2, 3, 3, 5)), {"shape": (2, 3, 5, 4), **POOLS[1]}),
    )

    def infer(u, *, shape, kernel, stride, padding): return Spec(shape, u.dtype)

    def forward(u, *, shape, kernel, stride, padding):
        (n, c, height, width), (ph, pw) = shape, padding
        y = np.zeros((n, c, height + 2 * ph, width + 2 * pw), u.dtype)
        share = u * u.dtype.type(1 / (kernel[0] * kernel[1]))
        for _, _, place in taps(kernel, stride, (1, 1), u.shape[2:]):
            y[place] += share
        return np.ascontiguousarray(y[:, :, ph : ph + height, pw : pw + width])

    def vjp(g, kernel, stride, padding):
        return apply("avg_pool2d", g, kernel=kernel, stride=stride, padding=padding),
