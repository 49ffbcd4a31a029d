"""Systems of equations: from triangles, from factors, and over tensors of more dimensions."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import LinAlgError, NotDifferentiableError, OutOfRangeError, ShapeError
from chainrule.ops import decompose, matrices
from chainrule.ops.compare import where
from chainrule.ops.contract import matmul
from chainrule.ops.decompose import square
from chainrule.ops.draws import randn
from chainrule.ops.matrices import matrix_norm, svdvals
from chainrule.ops.shape import cat, permute
from chainrule.primitive import Spec, composition, floating, primitive
from chainrule.samples import cases
from chainrule.tensor import Tensor

__all__ = ["cholesky_inverse", "cholesky_solve", "lu_unpack", "pca_lowrank", "svd_lowrank"]
Triple = tuple[Tensor, Tensor, Tensor]


class LU(NamedTuple):
    """Both triangles in one matrix, and the rows that were exchanged, counted from 1."""

    LU: Tensor
    pivots: Tensor


class Factors(NamedTuple):
    """Factors P·L·U, P a permutation."""

    P: Tensor
    L: Tensor
    U: Tensor


class Inverse(NamedTuple):
    """An inverse, and for each matrix 0, or its first pivot that is 0, counted from 1."""

    inverse: Tensor
    info: Tensor


class Solution(NamedTuple):
    """A solution, and for each matrix 0, or its first pivot that is 0, counted from 1."""

    result: Tensor
    info: Tensor


class Cholesky(NamedTuple):
    """A factor, and for each matrix 0, or the order of its first minor that is not positive."""

    L: Tensor
    info: Tensor


class CheckedLU(NamedTuple):
    """As `LU`, with the place of the first zero on the diagonal of U, or 0."""

    LU: Tensor
    pivots: Tensor
    info: Tensor


# -- LU ------------------------------------------------------------------------------------------


@primitive
class lu_packed:
    """(packed, pivots) with P·L·U = x: L below the diagonal, which is 1, U on and above it.

    In step j row j changes places with row pivots[j] ≥ j, counted from 1.
    ∂L/∂x = P·L⁻ᵀ·(lower(Lᵀ·gL) + upper(gU·Uᵀ))·U⁻ᵀ of square matrices.
    """
    samples = cases(
        lambda rng: (decompose.well(rng, 3, 3),), lambda rng: (decompose.well(rng, 2, 3, 3),)
    )
    def infer(x):
        floating(x)
        if len(x.shape) < 2:
            raise ShapeError("this needs matrices", given=x.shape)
        return x, Spec((*x.shape[:-2], min(x.shape[-2:])), np.dtype("int32"))
    def forward(x):
        y = x.reshape(-1, *x.shape[-2:]).copy()
        every, k = np.arange(len(y)), min(x.shape[-2:])
        pivots = np.zeros((len(y), k), "int32")
        for j in range(k):
            best = j + np.abs(y[:, j:, j]).argmax(-1)
            pivots[:, j] = best + 1
            y[every, j], y[every, best] = y[every, best], y[every, j]
            top = y[:, j, j, None]
            y[:, j + 1 :, j] /= np.where(top == 0, 1, top)
            y[:, j + 1 :, j + 1 :] -= y[:, j + 1 :, j, None] * y[:, None, j, j + 1 :]
        return y.reshape(x.shape), pivots.reshape(*x.shape[:-2], k)
    def vjp(gs, ys):
        (g, _), (y, pivots) = gs, ys
        if y.shape[-1] != y.shape[-2]:
            raise NotDifferentiableError("LU of matrices that are not square has no derivative")
        p, lower, upper = lu_unpack(y, pivots)
        inner = (lower.mT @ g.tril(-1)).tril(-1) + (g.triu() @ upper.mT).triu()
        return p @ decompose.solve(lower.mT, decompose.solve(upper, inner.mT).mT),


@primitive
class permutation:
    """P, (..., m, m) of 0 and 1: what the pivots of `lu_packed` did to rows, undone.   No ∂."""
    samples = cases(lambda rng: (np.array([3, 2, 3], "int32"), {"rows": 3, "dtype": "float64"}))
    def infer(pivots, *, rows, dtype):
        return Spec((*pivots.shape[:-1], rows, rows), np.dtype(dtype))
    def forward(pivots, *, rows, dtype):
        if not np.all((pivots >= 1) & (pivots <= rows)):
            raise OutOfRangeError("pivots are rows, counted from 1", expected=f"1 … {rows}")
        flat = pivots.reshape(-1, pivots.shape[-1])
        every = np.arange(len(flat))
        order = np.tile(np.arange(rows), (len(flat), 1))
        for j in range(flat.shape[-1]):
            other = flat[:, j] - 1
            order[every, j], order[every, other] = order[every, other], order[every, j]
        p = np.eye(rows, dtype=dtype)[order].swapaxes(-1, -2)
        return np.ascontiguousarray(p).reshape(*pivots.shape[:-1], rows, rows)


def lu_factor(A: Tensor, *, pivot: bool = True) -> LU:
    """P·L·U = A with the largest pivots, L and U in one matrix: (..., m, n).

    >>> import chainrule as cr
    >>> lu_factor(cr.tensor([[1.0, 2.0], [4.0, 4.0]]))
    LU(LU=tensor([[4.  , 4.  ], [0.25, 1.  ]]), pivots=tensor([2, 2], dtype=int32))
    """
    if not pivot:
        raise LinAlgError("LU without exchanged rows", instead="Leave pivot=False out.")
    return LU(*lu_packed(A))


def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> CheckedLU:
    """`lu_factor`, and the place of the first zero on the diagonal of U, from 1, or 0."""
    packed, pivots = lu_factor(A, pivot=pivot)
    return CheckedLU(packed, pivots, _first(packed.detach().diagonal(0, -2, -1) == 0))


def lu(A: Tensor, *, pivot: bool = True) -> Factors:
    """(P, L, U) with P·L·U = A: (..., m, k), (..., k, n), k = min(m, n)."""
    return lu_unpack(*lu_factor(A, pivot=pivot))


def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
) -> Factors:
    """(P, L, U) of what `lu_factor` gives; what is not asked for is empty."""
    m, n = LU_data.shape[-2:]
    k = min(m, n)
    none = Tensor(np.zeros(0, LU_data.dtype))
    p = permutation(LU_pivots.detach(), rows=m, dtype=str(LU_data.dtype)) if unpack_pivots else none
    if not unpack_data:
        return Factors(p, none, none)
    one = Tensor(np.eye(m, k, dtype=LU_data.dtype))
    return Factors(p, LU_data[..., :k].tril(-1) + one, LU_data[..., :k, :].triu())


def lu_solve(
    LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False
) -> Tensor:
    """X with A·X = B (`left=False`: X·A = B; `adjoint`: of Aᵀ), by the factors of A."""
    if not left:
        return lu_solve(LU, pivots, B.mT, adjoint=not adjoint).mT
    p, lower, upper = lu_unpack(LU, pivots)
    if adjoint:
        return matmul(p, decompose.solve(lower.mT, decompose.solve(upper.mT, B)))
    return decompose.solve(upper, decompose.solve(lower, matmul(p.mT, B)))


# -- triangles -----------------------------------------------------------------------------------


def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """X with A·X = B (`left=False`: X·A = B), of one triangle of A.

    `unitriangular` takes the diagonal as 1.

    >>> import chainrule as cr
    >>> a = cr.tensor([[2.0, 9.0], [1.0, 1.0]])
    >>> solve_triangular(a, cr.tensor([[2.0], [3.0]]), upper=False).mT
    tensor([[1., 2.]])
    """
    square(A)
    offset = int(unitriangular)
    part = A.triu(offset) if upper else A.tril(-offset)
    if unitriangular:
        part = part + Tensor(np.eye(A.shape[-1], dtype=A.dtype))
    return decompose.solve(part, B) if left else decompose.solve(part.mT, B.mT).mT


@composition
def cholesky_solve(input: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """X with L·Lᵀ·X = B; with `upper`, L is given as its transpose."""
    lower = L.mT if upper else L
    half = solve_triangular(lower, input, upper=False)
    return solve_triangular(lower.mT, half, upper=True)


@composition
def cholesky_inverse(input: Tensor, upper: bool = False) -> Tensor:
    """(L·Lᵀ)⁻¹ of the factor L; with `upper`, that is given as its transpose."""
    one = Tensor(np.eye(input.shape[-1], dtype=input.dtype))
    return cholesky_solve(one.expand(input.shape), input, upper)


# -- results with a place of failure -------------------------------------------------------------


def _first(failed: Tensor) -> Tensor:
    """The first True along the last dimension, counted from 1; 0 where there is none."""
    place = failed.int().argmax(-1) + 1
    return where(failed.any(-1), place, 0).int()


def _safe(A: Tensor, info: Tensor) -> Tensor:
    """A, with the identity in the place of the matrices that fail."""
    return where((info == 0)[..., None, None], A, Tensor(np.eye(A.shape[-1], dtype=A.dtype)))


def _check(asked: bool, info: Tensor, problem: str) -> None:
    if asked and bool((info != 0).any()):
        raise LinAlgError(problem, given=f"info = {info.tolist()}")


def inv_ex(A: Tensor, *, check_errors: bool = False) -> Inverse:
    """(A⁻¹, info): info is 0, or the first zero pivot of a singular matrix; then A⁻¹ is 1."""
    info = lu_factor_ex(A.detach()).info
    _check(check_errors, info, "a singular matrix")
    return Inverse(matrices.inv(_safe(A, info)), info)


def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> Solution:
    """(`solve`, info): info is 0, or the first zero pivot of a singular matrix."""
    info = lu_factor_ex(A.detach()).info
    _check(check_errors, info, "a system with a singular matrix")
    return Solution(matrices.solve(_safe(A, info), B, left=left), info)


def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> Cholesky:
    """(`cholesky`, info): info is 0, or the order of the first leading minor that is not positive.

    Where that is so, the factor is 1.
    """
    x = matrices.from_triangle(A.detach())
    minors = [matrices.det(x[..., :k, :k]) <= 0 for k in range(1, x.shape[-1] + 1)]
    info = _first(cat([minor.unsqueeze(-1) for minor in minors], -1))
    _check(check_errors, info, "a matrix that is not positive definite")
    return Cholesky(matrices.cholesky(_safe(A, info), upper=upper), info)


# -- others --------------------------------------------------------------------------------------


def cond(A: Tensor, p: float | str | None = None) -> Tensor:
    """‖A‖·‖A⁻¹‖: how much A·x = b magnifies errors; by singular values for None and ±2."""
    if p in (None, 2, -2):
        s = svdvals(A)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    kind: Any = p
    return matrix_norm(A, kind) * matrix_norm(matrices.inv(A), kind)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices, in a last dimension: a view."""
    return A.diagonal(offset, dim1, dim2)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Σ x·y along one dimension."""
    return (x * y).sum(dim)


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """(..., n, N): the powers x⁰, x¹, ... of each number.

    >>> import chainrule as cr
    >>> vander(cr.tensor([2, 3]))
    tensor([[1, 2],
            [1, 3]])
    """
    powers = np.arange(x.shape[-1] if N is None else N, dtype=x.dtype)
    return x.unsqueeze(-1) ** Tensor(powers)


def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of the map from the dimensions from `ind` on to those before."""
    front, back = A.shape[:ind], A.shape[ind:]
    if ind < 1 or math.prod(front) != math.prod(back):
        raise ShapeError("a map between as many numbers", given=f"{front} and {back}")
    return matrices.inv(A.reshape(math.prod(front), -1)).reshape(*back, *front)


def tensorsolve(A: Tensor, B: Tensor, dims: tuple[int, ...] | None = None) -> Tensor:
    """X with Σ A·X = B over the last dimensions of A; `dims` of A are moved there first."""
    if dims is not None:
        last = [d % A.ndim for d in dims]
        A = permute(A, *[d for d in range(A.ndim) if d not in last], *last)
    result = A.shape[B.ndim :]
    if math.prod(result) != B.numel():
        raise ShapeError("as many unknowns as equations", given=f"{A.shape} and {B.shape}")
    return decompose.solve(A.reshape(B.numel(), -1), B.reshape(-1, 1)).reshape(result)


# -- a few singular values -----------------------------------------------------------------------


def svd_lowrank(A: Tensor, q: int | None = 6, niter: int = 2, M: Tensor | None = None) -> Triple:
    """(U, S, V) of about the q largest singular values, from random directions.

    Halko, Martinsson & Tropp (2009), algorithm 5.1, with `niter` iterations; of A − M.
    """
    A = A if M is None else A - M
    wide = A.shape[-2] < A.shape[-1]
    x = A.mT if wide else A
    q = 6 if q is None else q
    basis = matrices.qr(matmul(x, randn(x.shape[-1], q, dtype=x.dtype))).Q
    for _ in range(niter):
        basis = matrices.qr(matmul(x.mT, basis)).Q
        basis = matrices.qr(matmul(x, basis)).Q
    u, s, vh = decompose.svd(matmul(basis.mT, x))
    u, v = matmul(basis, u), vh.mT
    return (v, s, u) if wide else (u, s, v)


def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> Triple:
    """`svd_lowrank` of rows with their mean taken away: V are the principal directions."""
    q = min(6, *A.shape[-2:]) if q is None else q
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)
