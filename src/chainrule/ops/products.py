"""Products by PyTorch's names: each is a matrix product, an elementwise one or a sum of them."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

from chainrule.errors import ArgumentError, ShapeError
from chainrule.ops.contract import matmul
from chainrule.ops.norms import norm
from chainrule.ops.reduce import sum
from chainrule.ops.rules import broadcast_shapes, normalized_dim
from chainrule.ops.shape import stack
from chainrule.primitive import composition, in_place_form
from chainrule.tensor import Tensor

__all__ = [
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "cdist", "chain_matmul", "cross", "dot",
    "inner", "kron", "mm", "mv", "outer", "tensordot", "vdot",
]


def _of(name: str, *pairs: tuple[Tensor, int]) -> None:
    """Refuse tensors of other numbers of dimensions: nothing broadcasts here."""
    for x, ndim in pairs:
        if x.ndim != ndim:
            raise ShapeError(
                f"`{name}` takes tensors of {', '.join(str(n) for _, n in pairs)} dimensions",
                given=", ".join(str(x.shape) for x, _ in pairs),
                instead="Use cr.matmul, which broadcasts.",
            )


@composition
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices: (n, k)·(k, m) → (n, m)."""
    _of("mm", (input, 2), (mat2, 2))
    return matmul(input, mat2)


@composition
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of two batches of matrices: (b, n, k)·(b, k, m) → (b, n, m)."""
    _of("bmm", (input, 3), (mat2, 3))
    if input.shape[0] != mat2.shape[0]:
        raise ShapeError("two batches of one size", given=(input.shape, mat2.shape))
    return matmul(input, mat2)


@composition
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """A matrix times a vector: (n, k)·(k) → (n)."""
    _of("mv", (input, 2), (vec, 1))
    return matmul(input, vec)


@composition
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The inner product of two vectors, Σ aᵢ·bᵢ.

    >>> import chainrule as cr
    >>> dot(cr.tensor([1.0, 2.0]), cr.tensor([3.0, 4.0]))
    tensor(11.)
    """
    _of("dot", (input, 1), (tensor, 1))
    return matmul(input, tensor)


@composition
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """As `dot`: real numbers are their own conjugates."""
    return dot(input, other)


@composition
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """yᵢⱼ = aᵢ·bⱼ: (n), (m) → (n, m)."""
    _of("outer", (input, 1), (vec2, 1))
    return input.unsqueeze(1) * vec2


@composition
def inner(input: Tensor, other: Tensor) -> Tensor:
    """Σ over the last dimension of both: (..., k), (···, k) → (..., ···)."""
    if not input.ndim or not other.ndim:
        return input * other
    return tensordot(input, other, ([-1], [-1]))


@in_place_form
@composition
def addmm(
    input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """β·x + α·a·b of matrices; x broadcasts, and is not read where β = 0."""
    return _added(input, mm(mat1, mat2), beta, alpha)


@in_place_form
@composition
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """β·x + α·a·v of a matrix and a vector."""
    return _added(input, mv(mat, vec), beta, alpha)


@in_place_form
@composition
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """β·x + α·v·wᵀ of two vectors."""
    return _added(input, outer(vec1, vec2), beta, alpha)


@in_place_form
@composition
def baddbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """β·x + α·a·b of batches of matrices."""
    return _added(input, bmm(batch1, batch2), beta, alpha)


@in_place_form
@composition
def addbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """β·x + α·Σ a·b, the products of batches of matrices summed."""
    return _added(input, sum(bmm(batch1, batch2), 0), beta, alpha)


def _added(x: Tensor, product: Tensor, beta: float, alpha: float) -> Tensor:
    scaled = product if alpha == 1 else product * alpha
    if beta == 0:
        return scaled.expand(broadcast_shapes(x.shape, scaled.shape))
    return (x if beta == 1 else x * beta) + scaled


@composition
def tensordot(a: Tensor, b: Tensor, dims: int | Sequence[Sequence[int]] | Tensor = 2) -> Tensor:
    """Σ over pairs of dimensions: the last n of a with the first n of b, or as listed.

    >>> import chainrule as cr
    >>> tensordot(cr.ones(2, 3), cr.ones(3, 4), dims=1).shape
    (2, 4)
    """
    given: Any = dims.tolist() if isinstance(dims, Tensor) else dims
    if isinstance(given, int):
        given = (range(a.ndim - given, a.ndim), range(given))
    lefts, rights = given
    left = [normalized_dim(d, a.ndim) for d in lefts]
    right = [normalized_dim(d, b.ndim) for d in rights]
    if [a.shape[d] for d in left] != [b.shape[d] for d in right]:
        raise ShapeError(
            "summed dimensions have equal sizes", given=f"{a.shape}, {b.shape}, {dims}"
        )
    rows = [d for d in range(a.ndim) if d not in left]
    columns = [d for d in range(b.ndim) if d not in right]
    inside = math.prod([a.shape[d] for d in left])
    kept = [a.shape[d] for d in rows], [b.shape[d] for d in columns]
    first = a.permute(*rows, *left).reshape(math.prod(kept[0]), inside)
    second = b.permute(*right, *columns).reshape(inside, math.prod(kept[1]))
    return matmul(first, second).reshape(*kept[0], *kept[1])


@composition
def kron(input: Tensor, other: Tensor) -> Tensor:
    """Kronecker's product: each element of a times the whole of b.

    >>> import chainrule as cr
    >>> kron(cr.tensor([1, 2]), cr.tensor([1, 10]))
    tensor([ 1, 10,  2, 20])
    """
    n = max(input.ndim, other.ndim)
    outer, block = ((1,) * (n - x.ndim) + x.shape for x in (input, other))
    left = input.reshape([size for m in outer for size in (m, 1)])
    right = other.reshape([size for m in block for size in (1, m)])
    return (left * right).reshape([a * b for a, b in zip(outer, block, strict=True)])


@composition
def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of matrices, those first whose product takes the fewest multiplications."""
    chain = list(matrices)
    if not chain:
        raise ArgumentError("a product needs at least one matrix")
    while len(chain) > 2:
        costs = [math.prod((*a.shape[-2:], b.shape[-1])) for a, b in itertools.pairwise(chain)]
        i = costs.index(min(costs))
        chain[i : i + 2] = [matmul(chain[i], chain[i + 1])]
    return functools.reduce(matmul, chain)


@composition
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The vector product along a dimension of size 3, the first one where none is named."""
    sizes = broadcast_shapes(input.shape, other.shape)
    if dim is None:
        dim = next((d for d, n in enumerate(sizes) if n == 3), 0)
    dim = normalized_dim(dim, len(sizes))
    if not sizes or sizes[dim] != 3:
        raise ShapeError("a vector product is of 3 numbers each", given=sizes)
    a, b = ([x.expand(sizes).select(dim, i) for i in range(3)] for x in (input, other))
    parts = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    return stack(parts, dim)


@composition
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0) -> Tensor:
    """The distances ‖a − b‖ₚ of all rows of one to all rows of the other: (..., n, m)."""
    return norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)
