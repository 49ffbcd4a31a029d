"""Ops that move elements without computing: views where NumPy can, copies where it must."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.gateway import apply, common_dtype
from chainrule.kinds import Moving, View
from chainrule.op_methods import in_place_view
from chainrule.ops.reduce import sum_to_size
from chainrule.ops.rules import Dims, allocatable, last, normalized_dim, normalized_dims, same_specs
from chainrule.primitive import (
    Shape,
    Spec,
    SpecLike,
    composition,
    primitive,
    same_spec,
)
from chainrule.samples import cases, uniform
from chainrule.tensor import Tensor

__all__ = [
    "cat", "expand", "flatten", "flip", "movedim", "pad", "permute", "reshape", "roll",
    "split", "squeeze", "stack", "tile", "transpose", "tril", "triu", "unsqueeze",
]


def sizes(shape: Sequence[Any]) -> Shape:
    """`f(2, 3)` and `f((2, 3))` mean the same."""
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = shape[0]
    return tuple(map(operator.index, shape))


@primitive
class barrier:
    """y = x, which no pass of the compiler sees through.   ∂y/∂x = 1."""
    kind, infer, samples = View(opaque=True, trailing=True), same_spec, uniform(-3, 3)
    def forward(x): return x.view()
    def vjp(g): return g,
    def write_back(base, y): return y


@primitive
class reshape:
    """y = x in another shape of as many elements; one −1 is worked out.   ∂y/∂x = 1."""
    kind = View(keeps_order=True)
    unchanged, merged = same_specs, last
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), {"shape": (2, 6)}),
        lambda rng: (rng.normal(size=(1, 1)), {"shape": ()}),
        lambda rng: (rng.normal(size=(0, 3)), {"shape": (3, 0)}),
    )

    def arguments(x: Tensor, *shape: Any) -> Any:
        wanted = sizes(shape)
        if wanted.count(-1) == 1:
            known, size = -math.prod(wanted), math.prod(x.shape)
            if known > 0 and size % known == 0:
                wanted = tuple(size // known if n == -1 else n for n in wanted)
        return (x,), {"shape": wanted}

    def infer(x: SpecLike, *, shape: Shape) -> Spec:
        size = math.prod(x.shape)
        if math.prod(shape) != size or (shape and min(shape) < 0):
            raise ShapeError(
                f"cannot reshape {size} elements to {shape}", given=f"shape {x.shape}",
                expected=f"sizes whose product is {size}, with at most one -1 that follows from "
                "the others",
            )
        return Spec(shape, x.dtype)

    def forward(x, *, shape): return x.reshape(shape)
    def vjp(g, x_spec): return g.reshape(x_spec.shape),


@primitive
class permute:
    """y = x with its dimensions in another order.   ∂y/∂x = 1."""
    kind = View()
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), {"dims": (1, 0)}),
        lambda rng: (rng.normal(size=(2, 3, 4)), {"dims": (2, 0, 1)}),
    )

    def arguments(x: Tensor, *dims: Any) -> Any:
        return (x,), {"dims": tuple(normalized_dim(d, x.ndim) for d in sizes(dims))}

    def unchanged(x: SpecLike, y: SpecLike, *, dims: Shape) -> bool:
        return dims == tuple(range(len(dims)))

    def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
        return {"dims": tuple(first["dims"][d] for d in second["dims"])}

    def infer(x: SpecLike, *, dims: Shape) -> Spec:
        if sorted(dims) != list(range(len(x.shape))):
            raise ShapeError("permute names every dimension once", given=dims, expected=x.shape)
        return Spec([x.shape[d] for d in dims], x.dtype)

    def forward(x, *, dims): return x.transpose(dims)
    def vjp(g, dims): return g.permute(*sorted(range(len(dims)), key=dims.__getitem__)),
    def batch(xs, batched, params): return xs[0].permute(0, *(d + 1 for d in params["dims"]))
    def write_back(base, y, *, dims): return y.permute(*sorted(dims, key=dims.__getitem__))


@primitive
class expand:
    """y = x repeated along dimensions of size 1, and new ones in front.   ∂y/∂x = Σ repeats."""
    kind = View(repeats=True)
    unchanged = same_specs
    samples = cases(
        lambda rng: (rng.normal(size=(3, 1)), {"shape": (2, 3, 4)}),
        lambda rng: (rng.normal(size=()), {"shape": (3,)}),
    )

    def arguments(x: Tensor, *shape: Any) -> Any:
        wanted = sizes(shape)
        offset = len(wanted) - x.ndim
        kept = [x.shape[i - offset] if n == -1 and i >= offset else n for i, n in enumerate(wanted)]
        return (x,), {"shape": tuple(kept)}

    def infer(x: SpecLike, *, shape: Shape) -> Spec:
        spec = allocatable(shape, x.dtype)
        tail = shape[len(shape) - len(x.shape) :]
        if len(x.shape) > len(shape) or any(
            n not in (1, m) for n, m in zip(x.shape, tail, strict=True)
        ):
            raise ShapeError("expand repeats dimensions of size 1", given=x.shape, expected=shape)
        return spec

    def forward(x, *, shape): return np.broadcast_to(x, shape)
    def vjp(g, x_spec): return sum_to_size(g, x_spec.shape),


@primitive
class flip:
    """y = x backwards along the dimensions.   ∂y/∂x = 1."""
    kind = Moving()
    involution = True
    samples = cases(lambda rng: (rng.normal(size=(3, 4)), {"dims": (0,)}))

    def arguments(x: Tensor, *dims: Any) -> Any:
        given = sizes(dims)
        return (x,), {"dims": normalized_dims(given, x.ndim) if given else ()}

    def infer(x: SpecLike, *, dims: Shape) -> SpecLike:
        return x

    def forward(x, *, dims): return np.ascontiguousarray(np.flip(x, dims)).reshape(x.shape)
    def vjp(g, dims): return g.flip(dims),


@primitive
class roll:
    """y = x moved on by `shifts` along the dimensions, the end coming back in front."""
    kind = Moving()
    samples = cases(lambda rng: (rng.normal(size=(3, 4)), {"shifts": (1,), "dims": (1,)}))

    def arguments(x: Tensor, shifts: int | Sequence[int], dims: Dims) -> Any:
        shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
        dims = (dims,) if isinstance(dims, int) else tuple(dims or ())
        if len(shifts) != len(dims):
            raise ArgumentError("one shift per dimension", given=f"{shifts} for {dims}")
        return (x,), {"shifts": shifts, "dims": tuple(normalized_dim(d, x.ndim) for d in dims)}

    def infer(x: SpecLike, *, shifts: Shape, dims: Shape) -> SpecLike:
        return x

    def forward(x, *, shifts, dims): return np.roll(x, shifts, dims)
    def vjp(g, shifts, dims): return g.roll(tuple(-s for s in shifts), dims),


def only_tensors(name: str, tensors: Sequence[Tensor]) -> list[Tensor]:
    """At least one tensor, and nothing else."""
    tensors = list(tensors)
    if not tensors:
        raise ArgumentError(f"{name} needs at least one tensor")
    for i, x in enumerate(tensors):
        if not isinstance(x, Tensor):
            raise DTypeError(
                f"`{name}` takes a sequence of tensors", given=f"{type(x).__name__} at {i}",
                instead="Convert it with cr.tensor(x).",
            )
    return tensors


@primitive
class cat:
    """y = the inputs one after another along `dim`.   ∂y/∂xᵢ = 1 on its part."""
    kind = Moving()
    samples = cases(
        lambda rng: (rng.normal(size=(2, 3)), rng.normal(size=(2, 1)), {"dim": 1}),
        lambda rng: (rng.normal(size=(2, 3)), {"dim": 0}),
    )

    def arguments(tensors: Sequence[Tensor], dim: int = 0) -> Any:
        tensors = only_tensors("cat", tensors)
        dtype = common_dtype("cat", *[x.dtype for x in tensors])
        tensors = [x if x.dtype == dtype else x.astype(dtype) for x in tensors]
        return tensors, {"dim": normalized_dim(dim, tensors[0].ndim)}

    def infer(*xs: SpecLike, dim: int) -> Spec:
        shape = list(xs[0].shape)
        rest = [x.shape[:dim] + x.shape[dim + 1 :] for x in xs]
        if not shape or len({len(x.shape) for x in xs}) > 1 or len(set(rest)) > 1:
            raise ShapeError(
                f"cat along dimension {dim} needs equal sizes elsewhere",
                given=[x.shape for x in xs],
            )
        shape[dim] = sum(x.shape[dim] for x in xs)
        return Spec(shape, xs[0].dtype)

    def forward(*xs, dim): return np.concatenate(xs, dim)

    def vjp(g, xs_spec, dim):
        return tuple(split(g, [spec.shape[dim] for spec in xs_spec], dim))


@primitive
class pad:
    """y = x with `widths` (before, after) of a constant around each dimension.   ∂y/∂x = 1."""
    kind = Moving()
    samples = cases(
        lambda rng: (rng.normal(size=(2, 3)), {"widths": ((1, 0), (0, 2)), "value": 0.0})
    )

    def arguments(x: Tensor, pad: Sequence[int], value: float = 0.0) -> Any:
        """As in PyTorch, `pad` = (left, right, top, bottom, ...) from the last dimension on."""
        if len(pad) % 2 or len(pad) > 2 * x.ndim:
            raise ArgumentError(
                "pad is (before, after) for each dimension from the last on", given=tuple(pad)
            )
        pairs = [(int(pad[i]), int(pad[i + 1])) for i in range(0, len(pad), 2)]
        pairs += [(0, 0)] * (x.ndim - len(pairs))
        return (x,), {"widths": tuple(reversed(pairs)), "value": value}

    def infer(x: SpecLike, *, widths: Any, value: float) -> Spec:
        if any(w < 0 for pair in widths for w in pair):
            raise ArgumentError("a pad width is negative", given=widths)
        if x.dtype.kind != "f" and not float(value).is_integer():
            raise DTypeError(f"integers are not padded with {value}", given=x.dtype)
        return allocatable([n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)], x.dtype)

    def forward(x, *, widths, value):
        y = np.full([n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)], value, x.dtype)
        y[inside(x.shape, widths)] = x
        return y

    def vjp(g, x_spec, widths): return g[inside(x_spec.shape, widths)],
    def tangent(xs, ys, ts, params): return apply(pad, ts[0], **{**params, "value": 0.0})


def inside(shape: Shape, widths: Any) -> tuple[slice, ...]:
    """Where in a padded array the array itself is."""
    return tuple(
        slice(before, before + n) for n, (before, _) in zip(shape, widths, strict=True)
    )


@primitive
class tril:
    """y = x below and on the diagonal, 0 above it.   ∂y/∂x = 1 or 0."""
    kind, in_place_form = Moving(trailing=True), True
    samples = cases(lambda rng: (rng.normal(size=(3, 4)), {"diagonal": 0}))

    def arguments(x: Tensor, diagonal: int = 0) -> Any:
        return (x,), {"diagonal": diagonal}

    def infer(x: SpecLike, *, diagonal: int) -> SpecLike:
        return matrix(x)

    def forward(x, *, diagonal): return np.tril(x, diagonal)
    def vjp(g, diagonal): return g.tril(diagonal),


@primitive
class triu:
    """y = x above and on the diagonal, 0 below it.   ∂y/∂x = 1 or 0."""
    kind, in_place_form = Moving(trailing=True), True
    samples = cases(lambda rng: (rng.normal(size=(3, 4)), {"diagonal": 1}))

    def arguments(x: Tensor, diagonal: int = 0) -> Any:
        return (x,), {"diagonal": diagonal}

    def infer(x: SpecLike, *, diagonal: int) -> SpecLike:
        return matrix(x)

    def forward(x, *, diagonal): return np.triu(x, diagonal)
    def vjp(g, diagonal): return g.triu(diagonal),


def matrix(x: SpecLike) -> SpecLike:
    """The input's spec, which must have at least two dimensions."""
    if len(x.shape) < 2:
        raise ShapeError("this needs a matrix", given=x.shape, expected="(..., rows, columns)")
    return x


# -- compositions --------------------------------------------------------------------------------


@in_place_view
@composition
def squeeze(input: Tensor, dim: Dims = None) -> Tensor:
    """Without the dimensions of size 1 (all of them, or those of `dim` that have size 1)."""
    dims = normalized_dims(dim, input.ndim) if input.ndim else ()
    return input.reshape([n for i, n in enumerate(input.shape) if n != 1 or i not in dims])


@in_place_view
@composition
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a dimension of size 1 put at `dim`."""
    at = normalized_dim(dim, input.ndim + 1)
    return input.reshape(*input.shape[:at], 1, *input.shape[at:])


@composition
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """With the dimensions from `start_dim` to `end_dim` merged into one."""
    if input.ndim == 0:
        return input.reshape(1)
    start, end = normalized_dim(start_dim, input.ndim), normalized_dim(end_dim, input.ndim)
    if start > end:
        raise ArgumentError("flatten starts after its end", given=(start_dim, end_dim))
    shape = input.shape
    return input.reshape(*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])


@in_place_view
@composition
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """With two dimensions exchanged."""
    order = list(range(input.ndim))
    a, b = normalized_dim(dim0, input.ndim), normalized_dim(dim1, input.ndim)
    order[a], order[b] = order[b], order[a]
    return input.permute(*order)


@composition
def movedim(
    input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]
) -> Tensor:
    """With the dimension `source` moved to `destination`, or several of them."""
    moves = [(d,) if isinstance(d, int) else tuple(d) for d in (source, destination)]
    sources, places = ([normalized_dim(d, input.ndim) for d in dims] for dims in moves)
    if len(sources) != len(places) or len({*sources}) < len(sources) > len({*places}):
        raise ArgumentError("a place for each dimension", given=f"{source} to {destination}")
    order = [d for d in range(input.ndim) if d not in sources]
    for place, dim in sorted(zip(places, sources, strict=True)):
        order.insert(place, dim)
    return input.permute(*order)


@composition
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new dimension."""
    tensors = only_tensors("stack", tensors)
    if len({x.shape for x in tensors}) != 1:
        raise ShapeError("stack needs tensors of one shape", given=[x.shape for x in tensors])
    return cat([x.unsqueeze(dim) for x in tensors], dim)


@composition
def split(input: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Parts along `dim`, of `split_size` elements each (the last may be smaller), or as listed."""
    dim = normalized_dim(dim, input.ndim)
    if isinstance(split_size, int):
        if split_size <= 0:
            raise ArgumentError("split_size is at least 1", given=split_size)
        n = input.shape[dim]
        split_size = [min(split_size, n - i) for i in range(0, n, split_size)] or [0]
    if sum(split_size) != input.shape[dim] or any(n < 0 for n in split_size):
        raise ShapeError(
            f"the parts do not add up to dimension {dim}", given=list(split_size),
            expected=f"a sum of {input.shape[dim]}",
        )
    ends = np.cumsum(split_size).tolist()
    front = (slice(None),) * dim
    return tuple(
        input[(*front, slice(end - n, end))] for n, end in zip(split_size, ends, strict=True)
    )


@composition
def tile(input: Tensor, *repeats: Any) -> Tensor:
    """The whole tensor repeated along each dimension, new dimensions in front."""
    times = sizes(repeats)
    shape = (1,) * (len(times) - input.ndim) + input.shape
    times = (1,) * (len(shape) - len(times)) + times
    spread = [n for pair in zip(times, shape, strict=True) for n in pair]
    y = input.reshape([n for size in shape for n in (1, size)]).expand(spread).clone()
    return y.reshape([n * t for n, t in zip(shape, times, strict=True)])
