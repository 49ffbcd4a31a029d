"""Diagonals and triangles, grids and combinations."""

from __future__ import annotations

import itertools
from typing import Any, Literal

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.kinds import View
from chainrule.op_methods import method
from chainrule.ops.index import index_put, placed, put_into
from chainrule.ops.positions import HERE
from chainrule.ops.rearrange import select
from chainrule.ops.rules import normalized_dim
from chainrule.ops.shape import stack
from chainrule.primitive import Spec, composition, primitive, supported
from chainrule.samples import cases
from chainrule.tensor import Tensor, from_numpy

__all__ = [
    "cartesian_prod", "combinations", "diag", "diag_embed", "diagflat", "diagonal",
    "diagonal_scatter", "meshgrid", "select_scatter", "slice_scatter", "tril_indices",
    "triu_indices",
]


def places(offset: int, rows: int, columns: int) -> tuple[Any, Any]:
    """Row and column of each element of a diagonal."""
    top, left = max(-offset, 0), max(offset, 0)
    length = max(min(rows - top, columns - left), 0)
    return np.arange(length) + top, np.arange(length) + left


@primitive
class diagonal_of_matrix:
    """yᵢ = xᵢ,ᵢ₊ₖ of the last two dimensions, k the offset: a view.   ∂y/∂x = 1 there."""
    kind, name = View(), "diagonal"
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), {"offset": 0}),
        lambda rng: (rng.normal(size=(2, 3, 4)), {"offset": -1}),
    )
    def infer(x, *, offset):
        if len(x.shape) < 2:
            raise ShapeError("a diagonal is of a matrix", given=x.shape)
        return Spec((*x.shape[:-2], len(places(offset, *x.shape[-2:])[0])), x.dtype)
    def forward(x, *, offset): return np.diagonal(x, offset, -2, -1)
    def vjp(g, x_spec, offset):
        rows, columns = map(from_numpy, places(offset, *x_spec.shape[-2:]))
        return placed(g, x_spec.shape, (..., HERE, HERE), rows, columns),
    def write_back(base, y, *, offset):
        rows, columns = map(from_numpy, places(offset, *base.shape[-2:]))
        return index_put(base, (..., rows, columns), y)


@composition
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonals of the matrices in two dimensions, in a last dimension: a view.

    >>> import chainrule as cr
    >>> diagonal(cr.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    first, second = normalized_dim(dim1, input.ndim), normalized_dim(dim2, input.ndim)
    if first == second:
        raise ArgumentError("a diagonal is of two dimensions", given=(dim1, dim2))
    rest = [d for d in range(input.ndim) if d not in (first, second)]
    return diagonal_of_matrix(input.permute(*rest, first, second), offset=offset)


@composition
def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """`input` with the elements of `src` on the diagonal."""
    y = input.clone()
    diagonal(y, offset, dim1, dim2).assign(src)
    return y


@composition
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """`input` with `src` in the place of the part at `index` along `dim`."""
    y = input.clone()
    select(y, dim, index).assign(src)
    return y


@composition
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None,
    step: int = 1,
) -> Tensor:
    """`input` with `src` in the place of the elements start:end:step along `dim`.

    >>> import chainrule as cr
    >>> slice_scatter(cr.zeros(4), cr.ones(2), start=1, end=3)
    tensor([0., 1., 1., 0.])
    """
    y = input.clone()
    before = (slice(None),) * normalized_dim(dim, input.ndim)
    y[(*before, slice(start, end, step))].assign(src)
    return y


@composition
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the last dimension on their diagonals, zeros elsewhere."""
    size = input.shape[-1] + abs(offset)
    rows, columns = map(from_numpy, places(offset, size, size))
    shape = (*input.shape[:-1], size, size)
    y = put_into(input, rows, columns, shape=shape, index=(..., HERE, HERE))
    rest = list(range(y.ndim - 2))
    ends = {normalized_dim(dim1, y.ndim): y.ndim - 2, normalized_dim(dim2, y.ndim): y.ndim - 1}
    if len(ends) < 2:
        raise ArgumentError("a diagonal is of two dimensions", given=(dim1, dim2))
    return y.permute(*[ends[d] if d in ends else rest.pop(0) for d in range(y.ndim)])


@composition
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal."""
    if input.ndim not in (1, 2):
        raise ShapeError("diag is of a vector or a matrix", given=input.shape)
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    return diagonal_of_matrix(input, offset=diagonal).clone()


@composition
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix with all elements on its diagonal."""
    return diag_embed(input.reshape(-1), offset)


@composition
def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix."""
    if input.ndim != 2:
        raise ShapeError("the trace is of a matrix", given=input.shape)
    return diagonal(input).sum()


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64) -> Tensor:
    """The rows and columns of a lower triangle: (2, n)."""
    return from_numpy(np.stack(np.tril_indices(row, offset, col)).astype(supported(dtype)))


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64) -> Tensor:
    """The rows and columns of an upper triangle: (2, n).

    >>> triu_indices(2, 2)
    tensor([[0, 0, 1], [0, 1, 1]])
    """
    return from_numpy(np.stack(np.triu_indices(row, offset, col)).astype(supported(dtype)))


@composition
def meshgrid(*tensors: Any, indexing: Literal["ij", "xy"] = "ij") -> tuple[Tensor, ...]:
    """The coordinates of a grid, one tensor for each axis; "xy" exchanges the first two dimensions.

    >>> import chainrule as cr
    >>> meshgrid(cr.tensor([1, 2]), cr.tensor([3, 4]))[1]
    tensor([[3, 4], [3, 4]])
    """
    axes = tensors[0] if len(tensors) == 1 and not isinstance(tensors[0], Tensor) else tensors
    if indexing not in ("ij", "xy") or any(x.ndim > 1 for x in axes):
        raise ArgumentError(
            "a grid is made of vectors", given=f"{[x.shape for x in axes]}, {indexing!r}",
            expected='indexing "ij" or "xy"',
        )
    axes = [x.reshape(-1) for x in axes]
    swap = indexing == "xy" and len(axes) > 1
    order = [1, 0, *range(2, len(axes))] if swap else list(range(len(axes)))
    shape = [axes[i].shape[0] for i in order]
    return tuple(
        [
            x.reshape([-1 if i == d else 1 for d in order]).expand(shape)
            for i, x in enumerate(axes)
        ]
    )


@composition
def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All tuples with an element of each vector, a row each."""
    if len(tensors) == 1:
        return tensors[0]
    return stack([x.reshape(-1) for x in meshgrid(*tensors)], 1)


@composition
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All combinations of r elements of a vector, a row each.

    >>> import chainrule as cr
    >>> combinations(cr.tensor([1, 2, 3]))
    tensor([[1, 2], [1, 3], [2, 3]])
    """
    choose: Any = itertools.combinations
    if with_replacement:
        choose = itertools.combinations_with_replacement
    chosen = list(choose(range(len(input)), r))
    return input[from_numpy(np.array(chosen, np.int64).reshape(-1, r))]


@method
def fill_diagonal_(input: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """Assign one value to the elements xᵢᵢ, xᵢᵢᵢ, ...; with `wrap`, the diagonal of a tall matrix
    starts again below each square.

    >>> import chainrule as cr
    >>> cr.zeros(2, 3).fill_diagonal_(1)
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if input.ndim < 2 or (input.ndim > 2 and len({*input.shape}) > 1):
        raise ShapeError("a diagonal of a matrix, or of equal dimensions", given=input.shape)
    rows = np.arange(input.shape[0], dtype=np.int64)
    columns = rows % (input.shape[1] + 1) if wrap and input.ndim == 2 else rows
    on = columns < min(input.shape[1:])
    at = (from_numpy(rows[on]), *[from_numpy(columns[on])] * (input.ndim - 1))
    return input.assign(index_put(input, at, fill_value))
