"""Reading and writing by indices along one dimension, and by masks."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.ops.compare import where as choose
from chainrule.ops.index import add_at, gather, getitem, index_put, nonzero, put_into
from chainrule.ops.positions import HERE, check_all
from chainrule.ops.rules import normalized_dim
from chainrule.primitive import Spec, array_of, composition, in_place_form, primitive
from chainrule.samples import cases
from chainrule.tensor import Tensor, from_numpy

__all__ = [
    "argwhere", "index_add", "index_copy", "index_fill", "index_reduce", "index_select",
    "masked_fill",
    "masked_scatter", "masked_select", "put", "scatter", "scatter_add", "scatter_reduce", "take",
    "take_along_dim", "where",
]

ALL = slice(None)


@overload
def where(condition: Tensor) -> tuple[Tensor, ...]: ...
@overload
def where(condition: Tensor, input: Tensor | float, other: Tensor | float) -> Tensor: ...
@composition
def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition holds, else `other`; of a condition alone, where it holds.

    The gradient goes to the one chosen. What is not chosen has gradient 0 · ∂, which is NaN when ∂
    is not finite (as of ln x at 0): make the unchosen branch safe first.

    >>> import chainrule as cr
    >>> where(cr.tensor([True, False]), 1.0, cr.tensor([5.0, 6.0]))
    tensor([1., 6.])
    """
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    return choose(condition, input, other)


@composition
def argwhere(input: Tensor) -> Tensor:
    """The positions of all elements that are not zero, a row each: (n, dimensions)."""
    return nonzero(input)


# -- along one dimension ---------------------------------------------------------------------------


@composition
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The parts at a vector of positions along `dim`.

    >>> import chainrule as cr
    >>> index_select(cr.tensor([[1, 2, 3]]), 1, cr.tensor([2, 0]))
    tensor([[3, 1]])
    """
    if index.ndim > 1:
        raise ShapeError("index_select takes a vector of positions", given=index.shape)
    x = input if input.ndim else input.reshape(1)
    y = getitem(x, (*(ALL,) * normalized_dim(dim, x.ndim), index.reshape(-1)))
    return y if input.ndim else y.reshape(())


@in_place_form
@composition
def index_add(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1
) -> Tensor:
    """x with α·source added to its parts at a vector of positions, repeated ones added up."""
    at = (ALL,) * normalized_dim(dim, input.ndim)
    shape = getitem(input, (*at, index)).shape
    if source.shape != shape:
        raise ShapeError("a part for each position", given=source.shape, expected=shape)
    scaled = source if alpha == 1 else source * alpha
    return add_at(input, scaled, index.long(), index=(*at, HERE))


@in_place_form
@composition
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """x with the parts at a vector of positions replaced by those of `source`."""
    return index_put(input, (*(ALL,) * normalized_dim(dim, input.ndim), index), source)


@in_place_form
@composition
def index_fill(input: Tensor, dim: int, index: Tensor, value: float | Tensor) -> Tensor:
    """x with the parts at a vector of positions filled with a number."""
    return index_put(input, (*(ALL,) * normalized_dim(dim, input.ndim), index), value)


@composition
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """The elements at `indices` along `dim`, the other dimensions broadcast; as `gather`."""
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    dim = normalized_dim(dim, input.ndim)
    x, at = _matched(input, indices, dim)
    return gather(x, dim, at)


def _matched(x: Tensor, index: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Both broadcast to each other in all dimensions but `dim`."""
    if x.ndim != index.ndim:
        raise ShapeError("as many dimensions as the input", given=index.shape, expected=x.shape)
    both = [b if a == 1 else a for a, b in zip(x.shape, index.shape, strict=True)]
    before, after = both[:dim], both[dim + 1 :]
    return (
        x.expand(*before, x.shape[dim], *after),
        index.expand(*before, index.shape[dim], *after),
    )


# -- scatter -------------------------------------------------------------------------------------


def _corner(x: Tensor, index: Tensor) -> tuple[Any, ...]:
    """Where in a source the elements are that `index`, which may be smaller, has places for."""
    if x.ndim != index.ndim or any(n > m for n, m in zip(index.shape, x.shape, strict=True)):
        raise ShapeError(
            "an index of as many dimensions as the source, and not larger",
            given=index.shape, expected=f"at most {x.shape}",
        )
    return tuple(slice(0, n) for n in index.shape)


def _grid(input: Tensor, dim: int, index: Tensor) -> tuple[Tensor, ...]:
    """The index of the elements of `input` that a scatter along `dim` writes."""
    if input.ndim != index.ndim or any(
        n > m for d, (n, m) in enumerate(zip(index.shape, input.shape, strict=True)) if d != dim
    ):
        raise ShapeError(
            f"an index along dimension {dim} is not larger elsewhere than the input",
            given=index.shape, expected=input.shape,
        )
    if index.dtype.kind not in "iu":
        raise DTypeError("an index has integers", given=index.dtype)
    axes = np.ogrid[tuple(slice(n) for n in index.shape)]
    return tuple(index if d == dim else from_numpy(axis) for d, axis in enumerate(axes))


@in_place_form
@composition
def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor | float,
    *,
    reduce: Literal["add", "multiply"] | None = None,
) -> Tensor:
    """x with the elements of `src`, or a number, at the positions `index` along `dim`.

    What is there is replaced; with `reduce`, added to or multiplied by. In a matrix and dim = 1:
    y[i, index[i, j]] = src[i, j]. Of repeated positions the last one stays.

    >>> import chainrule as cr
    >>> scatter(cr.zeros(1, 3), 1, cr.tensor([[2, 0]]), cr.tensor([[5.0, 6.0]]))
    tensor([[6., 0., 5.]])
    """
    if reduce not in (None, "add", "multiply"):
        raise ArgumentError("unknown reduction", given=reduce, expected='None, "add", "multiply"')
    values = src if isinstance(src, Tensor) else Tensor(
        np.full(index.shape, array_of(src, input.dtype))
    )
    if reduce is not None:
        return scatter_reduce(input, dim, index, values, "sum" if reduce == "add" else "prod")
    if not input.ndim:
        return values.reshape(()) if index.shape in ((), (1,)) else input
    at = _grid(input, normalized_dim(dim, input.ndim), index)
    return index_put(input, at, values[_corner(values, index)]) if index.numel() else input.clone()


@in_place_form
@composition
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """x with the elements of `src` added at the positions `index` along `dim`, repeated ones too.

    >>> import chainrule as cr
    >>> scatter_add(cr.zeros(3), 0, cr.tensor([2, 2, 0]), cr.tensor([1.0, 2.0, 3.0]))
    tensor([3., 0., 3.])
    """
    return scatter_reduce(input, dim, index, src, "sum")


Reduce = Literal["sum", "prod", "mean", "amax", "amin"]


@in_place_form
@composition
def scatter_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor,
    reduce: Reduce,
    *,
    include_self: bool = True,
) -> Tensor:
    """x with `src` folded in at the positions `index` along `dim`: sum, prod, mean, amax or amin.

    Without `include_self` what is in x takes no part, where something is folded in.
    """
    dim = normalized_dim(dim, input.ndim)
    if src.dtype != input.dtype:
        raise DTypeError("src has the dtype of the input", given=f"{src.dtype}, {input.dtype}")
    if not input.ndim:
        folded = scatter_reduce(
            input.reshape(1), 0, index.reshape(-1), src.reshape(-1), reduce,
            include_self=include_self,
        )
        return folded.reshape(())
    at = _grid(input, dim, index)
    values = src[_corner(src, index)]
    count = _added(Tensor(np.ones(index.shape, input.dtype)), at, input)
    touched = count > 0
    base = input if include_self else choose(touched, _neutral(reduce, input), input)
    if reduce in ("sum", "mean"):
        total = base + _added(values, at, input)
        if reduce == "sum":
            return total
        number = count + 1 if include_self else count.clamp(min=1)
        return total / number if input.dtype.kind == "f" else total // number
    return fold_into(base, values, *at, how=reduce)


@in_place_form
@composition
def index_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: Reduce,
    *,
    include_self: bool = True,
) -> Tensor:
    """`scatter_reduce` of whole parts along `dim`, at a vector of positions."""
    row = [1] * input.ndim
    row[dim] = -1
    at = index.long().reshape(row).expand(source.shape)
    return scatter_reduce(input, dim, at, source, reduce, include_self=include_self)


def _neutral(how: Reduce, x: Tensor) -> Any:
    """What changes nothing when it is folded in."""
    low, high = _limits(x)
    match how:
        case "prod":
            return 1
        case "amax":
            return low
        case "amin":
            return high
        case _:
            return 0


def _limits(x: Tensor) -> tuple[Any, Any]:
    if x.dtype.kind == "f":
        return -np.inf, np.inf
    info = np.iinfo(x.dtype)
    return int(info.min), int(info.max)


def _added(values: Tensor, at: tuple[Tensor, ...], like: Tensor) -> Tensor:
    return put_into(values, *at, shape=like.shape, index=(HERE,) * like.ndim)


@primitive
class fold_into:
    """y = x, with v folded in at positions: products, or the largest or the smallest.

    ∂: of products y/x and y/v; of extremes equal parts to all that reach y.
    """
    samples = cases(
        lambda rng: (
            rng.uniform(1, 2, 4), rng.uniform(1, 2, 3), np.array([0, 2, 2]), {"how": "prod"},
        ),
        lambda rng: (rng.normal(size=4), rng.normal(size=3), np.array([0, 2, 2]), {"how": "amax"}),
    )
    def infer(x, v, *at, how):
        if how not in _FOLDS:
            raise ArgumentError("unknown reduction", given=how, expected=f"sum, mean, {_FOLDS}")
        return Spec(x.shape, x.dtype)
    def forward(x, v, *at, how):
        check_all(x.shape, (HERE,) * len(at), at)
        y = x.copy()
        _FOLDS[how].at(y, at, v)
        return y
    def vjp(g, x, v, at, y, how):
        part = tuple(at)
        if how == "prod":
            return (g * y / x, g[part] * y[part] / v, *[None] * len(at))
        by_x, by_v = (x == y).to(g.dtype), (v == y[part]).to(g.dtype)
        shares = by_x + _added(by_v, at, x)
        scaled = g / shares
        return (scaled * by_x, scaled[part] * by_v, *[None] * len(at))


_FOLDS: dict[str, Any] = {"prod": np.multiply, "amax": np.maximum, "amin": np.minimum}

# -- masks and flat positions ----------------------------------------------------------------------


def _truth(mask: Tensor) -> Tensor:
    if mask.dtype.kind != "b":
        raise DTypeError("a mask is boolean", given=mask.dtype, instead="Compare first: x > 0.")
    return mask


@composition
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where a mask that broadcasts holds, in one dimension."""
    both = choose(_truth(mask), input, input)
    return both[mask.expand(both.shape)] if both.ndim else both.reshape(1)[mask.reshape(1)]


@in_place_form
@composition
def masked_fill(input: Tensor, mask: Tensor, value: float | Tensor) -> Tensor:
    """x with a number where a mask that broadcasts holds.

    >>> import chainrule as cr
    >>> masked_fill(cr.ones(2), cr.tensor([True, False]), -1)
    tensor([-1.,  1.])
    """
    number = value if isinstance(value, Tensor) else Tensor(array_of(value, input.dtype))
    if number.ndim:
        raise ShapeError("a fill value is one number", given=number.shape)
    return choose(_truth(mask), number.to(input.dtype), input)


@in_place_form
@composition
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """x with the first elements of `source`, in order, where a mask that broadcasts holds."""
    both = choose(_truth(mask), input, input)
    places = nonzero(mask.expand(both.shape).reshape(-1)).squeeze(1)
    if len(places) > source.numel():
        raise ShapeError(f"the mask holds {len(places)} times", given=f"{source.numel()} elements")
    flat = index_put(both.reshape(-1), places, source.reshape(-1)[: len(places)])
    return flat.reshape(both.shape)


@composition
def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at positions of the flattened tensor, in the shape of `index`."""
    return getitem(input.reshape(-1), index)


@in_place_form
@composition
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """x with the elements of `source` at positions of the flattened tensor, or added there."""
    flat, at, values = input.reshape(-1), index.reshape(-1), source.reshape(-1)
    if accumulate:
        return index_add(flat, 0, at, values).reshape(input.shape)
    return index_put(flat, at, values).reshape(input.shape)
