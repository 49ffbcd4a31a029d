"""Reading and writing by position: slices, integer and boolean arrays, gather and scatter."""

from __future__ import annotations

import operator
from typing import Any, Literal, overload

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.gateway import apply
from chainrule.kinds import Indexing, Moving, View
from chainrule.ops.batched import aligned, everywhere, examples
from chainrule.ops.positions import (
    HERE,
    assembled,
    check_all,
    check_positions,
    in_order,
    indexed_shape,
    kept_sizes,
    lifted,
    spread_ndim,
)
from chainrule.ops.reduce import sum_to_size
from chainrule.ops.rules import broadcast_shapes, normalized_dim
from chainrule.placed import Placed
from chainrule.primitive import Shape, Spec, array_of, composition, in_place_form, primitive
from chainrule.samples import cases
from chainrule.tensor import Tensor, from_numpy

__all__ = ["gather", "index_put", "nonzero"]

# -- slices --------------------------------------------------------------------------------------


@primitive
class slice_:
    """y = x[index], of integers, slices, None and `...`: a view.   ∂y/∂x = 1 on its part."""
    kind = View()
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), {"index": (slice(0, 2), 1)}),
        lambda rng: (rng.normal(size=(3, 4)), {"index": (Ellipsis, slice(None, None, -2), None)}),
    )
    def infer(x, *, index): return Spec(indexed_shape(x.shape, index), x.dtype)
    def forward(x, *, index): return x[index] if Ellipsis in index else x[(*index, ...)]
    def vjp(g, x_spec, index): return placed(g, x_spec.shape, index),
    def write_back(base, y, *, index): return overwrite(base, y, index=index)


@primitive
class slice_into:
    """y = zeros of a shape, with y[index] += x: the adjoint of `slice`.   ∂y/∂x = 1."""
    kind = Moving()
    samples = cases(
        lambda rng: (rng.normal(size=(2,)), {"shape": (3, 4), "index": (slice(0, 2), 1)})
    )
    def infer(x, *, shape, index): return Spec(shape, x.dtype)
    def forward(x, *, shape, index):
        y = np.zeros(shape, x.dtype)
        y[index] += x
        return y
    def vjp(g, index): return slice_(g, index=index),


# -- integer arrays ------------------------------------------------------------------------------


@primitive
class take:
    """y = x[..., i, ...], of integer tensors.   ∂y/∂x adds up where a position repeats.

    Out of range raises OutOfRangeError with the first bad position.
    """
    kind = Indexing()
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), np.array([2, 0, 2]), {"index": (HERE,)}),
        lambda rng: (
            rng.normal(size=(3, 4)), np.array([0, 1]), np.array([3, 3]), {"index": (HERE, HERE)},
        ),
        lambda rng: (rng.normal(size=(3, 4)), np.array([[0, 1]]), {"index": (slice(1, 3), HERE)}),
    )
    def infer(x, *indices, index): return Spec(indexed_shape(x.shape, index, indices), x.dtype)
    def forward(x, *indices, index):
        check_all(x.shape, index, indices)
        return x[assembled(index, indices)]
    def vjp(g, x_spec, indices, index):
        return (placed(g, x_spec.shape, index, *indices), *[None] * len(indices))
    def batch(xs, batched, params):
        (x, *tensors), by_tensors, index = xs, batched[1:], params["index"]
        if not batched[0]:
            tensors = aligned(tensors, by_tensors, spread_ndim(tensors, by_tensors))
            return take(x, *tensors, index=index).movedim(kept_sizes(x.shape, index)[1], 0)
        index, tensors, order = lifted(x.shape[1:], index, tensors, by_tensors, len(x))
        return take(x, *tensors, index=index).permute(*order)


@primitive
class put_into:
    """y = zeros of a shape, with y[index] += x, repeats added: the adjoint of `take`."""
    kind = Indexing()
    samples = cases(
        lambda rng: (
            rng.normal(size=(3, 4)), np.array([2, 0, 2]), {"shape": (3, 4), "index": (HERE,)},
        )
    )
    def infer(x, *indices, shape, index): return Spec(shape, x.dtype)
    def forward(x, *indices, shape, index):
        check_all(shape, index, indices)
        y = np.zeros(shape, x.dtype)
        np.add.at(y, assembled(index, indices), x)
        return y
    def vjp(g, indices, index):
        return (take(g, *indices, index=index), *[None] * len(indices))
    def batch(xs, batched, params):
        shape, size = params["shape"], examples(xs, batched)
        index, tensors, order = lifted(shape, params["index"], xs[1:], batched[1:], size)
        x = in_order(xs[0], batched[0], size, order)
        return put_into(x, *tensors, shape=(size, *shape), index=index)


@primitive
class add_at:
    """y = x, with y[index] += v, repeats added.   ∂y/∂x = 1, ∂y/∂v = 1 on its part."""
    kind, in_place = Indexing(), ((0, 0),)
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), rng.normal(size=4), {"index": (1,)}),
        lambda rng: (
            rng.normal(size=(3, 4)), rng.normal(size=(3, 2)),
            {"index": (slice(None), slice(1, 3))},
        ),
        lambda rng: (
            rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), np.array([0, 2, 0]),
            {"index": (HERE,)},
        ),
    )
    def infer(x, v, *indices, index): return written_spec(x, v, indices, index)
    def forward(x, v, *indices, index):
        check_all(x.shape, index, indices)
        y = x.copy()
        np.add.at(y, assembled(index, indices), v)
        return y
    def vjp(g, v_spec, indices, index):
        at_part = apply(take if indices else slice_, g, *indices, index=index)
        return (g, sum_to_size(at_part, v_spec.shape), *[None] * len(indices))
    def batch(xs, batched, params): return batched_write(add_at, xs, batched, params)


def written_spec(x: Spec, v: Spec, indices: tuple[Spec, ...], index: tuple[Any, ...]) -> Spec:
    """The spec of x, where v may be written at an index."""
    part = indexed_shape(x.shape, index, indices)
    if v.dtype != x.dtype:
        raise DTypeError(
            "the value has another dtype", given=v.dtype, expected=x.dtype,
            instead=f"Convert it with .to(cr.{x.dtype}).",
        )
    if broadcast_shapes(v.shape, part) != part:
        raise ShapeError("the value does not fit", given=v.shape, expected=part)
    return Spec(x.shape, x.dtype)


def batched_write(op: Any, xs: Any, batched: Any, params: Any) -> Tensor:
    """What `op` writes at an index into each example."""
    size = examples(xs, batched)
    (x,) = everywhere(xs[:1], batched[:1], size)
    index, tensors, order = lifted(x.shape[1:], params["index"], xs[2:], batched[2:], size)
    v = in_order(xs[1], batched[1], size, order)
    return op(x, v, *tensors, index=index)


def placed(g: Tensor, shape: Shape, index: tuple[Any, ...], *indices: Tensor) -> Placed:
    """The gradient of x[index] by x, of this shape."""
    into = put_into if indices else slice_into
    return Placed(into, add_at, (g, *indices), shape, {"index": index})


@composition
def getitem(x: Tensor, index: Any) -> Tensor:
    """`x[index]`, as in PyTorch: integers, slices, None, `...`, integer and boolean arrays."""
    parts, tensors = canonical(x, index)
    if not tensors:
        return slice_(x, index=parts)
    first, rest = integers_first(parts)
    return take(slice_(x, index=first) if first else x, *tensors, index=rest)


def integers_first(parts: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """An index with index tensors as two, the integers alone and the rest: integers take their
    dimensions away first, and do not count among the index tensors. The first may be empty."""
    if not any(isinstance(part, int) for part in parts):
        return (), parts
    kept = [part for part in parts if part is not None]
    first = [p if isinstance(p, int) or p is Ellipsis else slice(None) for p in kept]
    return tuple(first), tuple(part for part in parts if not isinstance(part, int))


def canonical(x: Tensor, index: Any) -> tuple[tuple[Any, ...], list[Tensor]]:
    """An index as (parts, index tensors): masks become positions, lists and arrays tensors."""
    given = [part_of_index(part) for part in (index if isinstance(index, tuple) else (index,))]
    if not any([isinstance(part, Tensor) for part in given]):
        return tuple(given), []
    parts: list[Any] = []
    tensors: list[Tensor] = []
    dim = 0
    for part in given:
        if part is Ellipsis:
            dim = x.ndim - sum(dims_taken(p) for p in given) + dim
        if isinstance(part, Tensor):
            found = mask_positions(x, part, dim) if part.dtype.kind == "b" else (part,)
            parts += [HERE] * len(found)
            tensors += found
        else:
            parts.append(part)
        dim += dims_taken(part)
    return tuple(parts), tensors


def dims_taken(part: Any) -> int:
    """How many dimensions a part of an index stands for; `...` stands for what the rest leaves."""
    if isinstance(part, Tensor) and part.dtype.kind == "b":
        return part.ndim
    return 0 if part is None or part is Ellipsis else 1


def part_of_index(part: Any) -> Any:
    """One part of an index: an int, a slice, None, `...`, or a tensor of integers or booleans."""
    if part.__class__ is int or part is None or part is Ellipsis:
        return part
    if isinstance(part, slice):
        ends = (part.start, part.stop, part.step)
        return slice(*[None if end is None else operator.index(end) for end in ends])
    if isinstance(part, (list, np.ndarray)):
        array = np.asarray(part)
        part = from_numpy(array if array.size else array.astype(np.int64))
    if isinstance(part, Tensor):
        if part.dtype.kind not in "iub":
            raise DTypeError("an index tensor has integers or booleans", given=part.dtype)
        if part.dtype.kind != "b" or part.ndim:
            return part
    if isinstance(part, (bool, np.bool_, Tensor)) or not hasattr(part, "__index__"):
        raise DTypeError(
            "this is no index", given=type(part).__name__ if not isinstance(part, Tensor) else part,
            expected="integers, slices, None, `...`, or integer or boolean tensors",
        )
    return part.__index__()


def mask_positions(x: Tensor, mask: Tensor, dim: int) -> tuple[Tensor, ...]:
    """The positions where a boolean mask is true, one tensor per dimension of the mask."""
    if mask.shape != x.shape[dim : dim + mask.ndim]:
        raise ShapeError(
            "a boolean index has the shape of what it indexes",
            given=mask.shape, expected=x.shape[dim : dim + mask.ndim],
        )
    return nonzero(mask, as_tuple=True)


@overload
def nonzero(input: Tensor, *, as_tuple: Literal[False] = False) -> Tensor: ...
@overload
def nonzero(input: Tensor, *, as_tuple: Literal[True]) -> tuple[Tensor, ...]: ...
@composition
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The positions of all elements that are not zero, a row each: (n, dimensions).

    With `as_tuple`, one tensor per dimension, as indexing takes them. How many positions there are
    depends on the numbers, so this cannot be captured.

    >>> import chainrule as cr
    >>> nonzero(cr.tensor([[0, 2], [3, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    numbers = input._numbers("nonzero (or a boolean index)")
    if as_tuple:
        return tuple(from_numpy(p.astype(np.int64)) for p in np.nonzero(np.atleast_1d(numbers)))
    return from_numpy(np.argwhere(numbers).astype(np.int64))


@in_place_form
@composition
def index_put(input: Tensor, indices: Any, values: Any) -> Tensor:
    """`x` with `x[indices] = values`; what `x[indices] = values` on a tensor assigns."""
    parts, tensors = canonical(input, indices)
    if isinstance(values, np.ndarray):
        values = from_numpy(values)
    elif not isinstance(values, Tensor):
        values = Tensor(array_of(values, input.dtype))
    first, rest = integers_first(parts) if tensors else ((), parts)
    if not first:
        return overwrite(input, values, *tensors, index=parts)
    part = overwrite(slice_(input, index=first), values, *tensors, index=rest)
    return overwrite(input, part, index=first)


@primitive
class overwrite:
    """y = x, with y[index] = v (of repeated positions the last stays).   ∂y/∂v = 1 on its part."""
    kind = Indexing()
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), rng.normal(size=4), {"index": (1,)}),
        lambda rng: (
            rng.normal(size=(3, 4)), rng.normal(size=(2, 4)), np.array([0, 2]), {"index": (HERE,)},
        ),
        lambda rng: (
            rng.normal(size=(3, 4)), rng.normal(size=(3, 1)), np.array([0, 2, 0]),
            {"index": (HERE,)},
        ),
    )
    def infer(x, v, *indices, index): return written_spec(x, v, indices, index)
    def forward(x, v, *indices, index):
        check_all(x.shape, index, indices)
        y = x.copy()
        y[assembled(index, indices)] = v
        return y
    def vjp(g, v_spec, indices, index):
        zero = Tensor(np.zeros((), g.dtype))
        at_part = apply(take if indices else slice_, g, *indices, index=index)
        if indices:  # of repeated positions only the last has an effect
            number = Tensor(np.arange(at_part.numel(), dtype=np.int64).reshape(at_part.shape))
            nobody = Tensor(np.full(g.shape, -1, np.int64))
            writer = overwrite(nobody, number, *indices, index=index)
            at_part = at_part * (take(writer, *indices, index=index) == number)
        rest = overwrite(g, zero, *indices, index=index)
        return (rest, sum_to_size(at_part, v_spec.shape), *[None] * len(indices))
    def batch(xs, batched, params): return batched_write(overwrite, xs, batched, params)


@primitive
class gather:
    """y = x at positions `index` along `dim`, shapes equal elsewhere.   The adjoint scatters."""
    kind = Indexing()
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), np.array([[0, 3], [1, 1], [2, 0]]), {"dim": 1})
    )
    def arguments(x: Tensor, dim: int, index: Tensor) -> Any:
        return (x, index), {"dim": normalized_dim(dim, x.ndim)}
    def infer(x, index, *, dim):
        fits = len(index.shape) == len(x.shape) and all(
            n == m or d == dim for d, (n, m) in enumerate(zip(index.shape, x.shape, strict=True))
        )
        if not fits or index.dtype.kind not in "iu":
            raise ShapeError(
                f"gather along dimension {dim} needs integers of the input's shape elsewhere",
                given=Spec(index.shape, index.dtype), expected=x.shape,
            )
        return Spec(index.shape, x.dtype)
    def forward(x, index, *, dim):
        check_positions(index, x.shape[dim], dim)
        return np.take_along_axis(x, index, dim)
    def vjp(g, x_spec, index, dim):
        return scatter_add(g, index, shape=x_spec.shape, dim=dim), None


@primitive
class scatter_add:
    """y = zeros of a shape, with x added at the positions `index` along `dim`."""
    kind = Indexing()
    samples = cases(
        lambda rng: (
            rng.normal(size=(3, 2)), np.array([[0, 3], [1, 1], [2, 0]]),
            {"shape": (3, 4), "dim": 1},
        )
    )
    def infer(x, index, *, shape, dim): return Spec(shape, x.dtype)
    def forward(x, index, *, shape, dim):
        check_positions(index, shape[dim], dim)
        y = np.zeros(shape, x.dtype)
        places = list(np.ogrid[tuple(slice(n) for n in index.shape)])
        places[dim] = index
        np.add.at(y, tuple(places), x)
        return y
    def vjp(g, index, dim): return apply(gather, g, index, dim=dim), None
