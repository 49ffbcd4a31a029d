"""The functions of `chainrule.linalg`: on records of matrices, what PyTorch offers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.ops import decompose, products
from chainrule.ops.compare import where
from chainrule.ops.contract import matmul
from chainrule.ops.decompose import square
from chainrule.ops.norms import norm as norm_of_elements
from chainrule.ops.reduce import amax, amin, sum
from chainrule.ops.rules import Dims, normalized_dim
from chainrule.tensor import Tensor

Dim2 = tuple[int, int]


class QR(NamedTuple):
    """Factors q·r."""

    Q: Tensor
    R: Tensor


class SVD(NamedTuple):
    """Factors u·diag(s)·vᵀ."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class Eigen(NamedTuple):
    """Eigenvalues, and eigenvectors as columns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class SignAndLog(NamedTuple):
    """The sign and the logarithm of the size of a determinant."""

    sign: Tensor
    logabsdet: Tensor


class LeastSquares(NamedTuple):
    """The solution, the sums of squares left over, the rank and the singular values."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


def inv(A: Tensor) -> Tensor:
    """A⁻¹: (..., n, n) → (..., n, n). Raises LinAlgError for a singular matrix.

    >>> import chainrule as cr
    >>> inv(cr.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5 , 0.  ], [0.  , 0.25]])
    """
    return decompose.inv(A)


def det(A: Tensor) -> Tensor:
    """The determinant: (..., n, n) → (...)."""
    return decompose.det(A)


def slogdet(A: Tensor) -> SignAndLog:
    """(sign, ln |det A|), where the determinant itself would leave the dtype."""
    return SignAndLog(*decompose.slogdet(A))


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X with A·X = B, or X·A = B with `left=False`; B a vector, or (..., n, k).

    Raises LinAlgError for a singular matrix.

    >>> import chainrule as cr
    >>> solve(cr.tensor([[2.0, 0.0], [0.0, 4.0]]), cr.tensor([2.0, 2.0]))
    tensor([1. , 0.5])
    """
    is_vector = B.ndim == 1 or (A.ndim - 1 == B.ndim and B.shape == A.shape[:-1])
    if is_vector:
        return decompose.solve(A, B.unsqueeze(-1)).squeeze(-1)
    return decompose.solve(A, B) if left else decompose.solve(A.mT, B.mT).mT


def lstsq(A: Tensor, B: Tensor, rcond: float | None = None) -> LeastSquares:
    """X that makes ‖A·X − B‖ smallest: (..., m, n), (..., m, k) → (..., n, k)."""
    x = matmul(pinv(A, rtol=rcond), B)
    m, n = A.shape[-2:]
    rank = matrix_rank(A.detach(), rtol=rcond)
    none = Tensor(np.zeros(0, A.dtype))
    full = m > n and bool((rank == n).all())
    left = sum((matmul(A, x) - B) ** 2, -2) if full else none
    return LeastSquares(x, left, rank, none)


def from_triangle(A: Tensor, upper: bool = False) -> Tensor:
    """Symmetric matrices with the numbers of one triangle, and the gradient of a symmetric A."""
    x = A.detach()
    mirrored = x.triu() + x.triu(1).mT if upper else x.tril() + x.tril(-1).mT
    return A + where(x == mirrored, 0.0, mirrored - x)


def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """L lower triangular with L·Lᵀ = A, or its transpose. Raises LinAlgError."""
    factor = decompose.cholesky(from_triangle(A))
    return factor.mT if upper else factor


def qr(A: Tensor, mode: str = "reduced") -> QR:
    """(Q, R) with Q·R = A, R upper triangular; "r" gives R alone."""
    if mode not in ("reduced", "r"):
        raise ArgumentError("the mode of qr", given=mode, expected='"reduced" or "r"')
    q, r = decompose.qr(A)
    return QR(Tensor(np.zeros(0, A.dtype)) if mode == "r" else q, r)


def svd(A: Tensor, full_matrices: bool = True) -> SVD:
    """(U, S, Vh) with U·diag(S)·Vh = A. Full matrices of oblong ones have no derivative."""
    m, n = A.shape[-2:]
    if not full_matrices or m == n:
        return SVD(*decompose.svd(A))
    values = np.linalg.svd(A._numbers("svd with full_matrices"))
    return SVD(Tensor(values[0]), svdvals(A), Tensor(values[2]))


def svdvals(A: Tensor) -> Tensor:
    """The singular values, falling."""
    return decompose.svd(A)[1]


def eigh(A: Tensor, UPLO: str = "L") -> Eigen:
    """(eigenvalues, eigenvectors) of symmetric matrices, of which one triangle is read."""
    return Eigen(*decompose.eigh(from_triangle(A, UPLO == "U")))


def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric matrices, rising."""
    return eigh(A, UPLO).eigenvalues


def pinv(
    A: Tensor, *, atol: float | None = None, rtol: float | None = None, hermitian: bool = False
) -> Tensor:
    """The pseudoinverse A⁺: (..., m, n) → (..., n, m)."""
    default = max(A.shape[-2:]) * float(np.finfo(A.dtype).eps)
    return decompose.pinv(A, rcond=default if rtol is None else rtol)


def matrix_rank(
    A: Tensor, *, atol: float | None = None, rtol: float | None = None, hermitian: bool = False
) -> Tensor:
    """How many singular values are above max(atol, rtol·the largest)."""
    s = svdvals(A)
    if rtol is None:
        rtol = 0.0 if atol else max(A.shape[-2:]) * float(np.finfo(A.dtype).eps)
    return sum(s > (amax(s, -1, True) * rtol).clamp(min=atol or 0.0), -1)


def matrix_power(A: Tensor, n: int) -> Tensor:
    """Aⁿ by repeated squares; of the inverse for n < 0."""
    square(A)
    base, power = (inv(A), -n) if n < 0 else (A, n)
    y = Tensor(np.broadcast_to(np.eye(A.shape[-1], dtype=A.dtype), A.shape).copy())
    while power:
        y = matmul(y, base) if power % 2 else y
        base, power = (matmul(base, base), power // 2) if power > 1 else (base, 0)
    return y


def matrix_exp(A: Tensor) -> Tensor:
    """e^A = Σ Aᵏ/k!: (..., n, n) → (..., n, n).

    >>> import chainrule as cr
    >>> matrix_exp(cr.tensor([[0.0, 1.0], [0.0, 0.0]]))
    tensor([[1., 1.], [0., 1.]])
    """
    return decompose.matrix_exp(A)


def householder_product(input: Tensor, tau: Tensor) -> Tensor:
    """The first k columns of H₁·…·H_k, Hᵢ = I − τᵢ·vᵢ·vᵢᵀ: (..., n, k), (..., k) → (..., n, k).

    vᵢ is 0 above row i, 1 there, and below it column i of the input.

    >>> import chainrule as cr
    >>> householder_product(cr.tensor([[9.0], [1.0]]), cr.tensor([1.0]))
    tensor([[ 0.], [-1.]])
    """
    n, k = input.shape[-2:]
    if k > n or tau.shape[-1] > k:
        raise ShapeError(
            "more reflections than rows", given=(input.shape, tau.shape), expected="(..., n, k ≤ n)"
        )
    one = Tensor(np.eye(n, k, dtype=input.dtype))
    vectors, y = input.tril(-1) + one, one
    for i in reversed(range(tau.shape[-1])):
        v = vectors[..., i : i + 1]
        y = y - tau[..., i, None, None] * matmul(v, matmul(v.mT, y))
    return y


def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of several matrices, in the order that takes the least work."""
    first, last = tensors[0], tensors[-1]
    chain = [*tensors]
    chain[0] = first.unsqueeze(0) if first.ndim == 1 else first
    chain[-1] = last.unsqueeze(1) if last.ndim == 1 else chain[-1]
    y = products.chain_matmul(*chain)
    y = y.squeeze(-1) if last.ndim == 1 else y
    return y.squeeze(0) if first.ndim == 1 else y


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The vector product along a dimension of size 3."""
    return products.cross(input, other, dim)


def vector_norm(
    x: Tensor, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """(Σ |x|ᵖ)^(1/p) over the dimensions, p the order.

    >>> import chainrule as cr
    >>> vector_norm(cr.tensor([3.0, 4.0]))
    tensor(5.)
    """
    return norm_of_elements(x, ord, dim, keepdim, dtype=dtype)


def matrix_norm(
    A: Tensor, ord: float | str = "fro", dim: Dim2 = (-2, -1), keepdim: bool = False,
    *, dtype: Any = None,
) -> Tensor:
    """The norm of the matrices in two dimensions: "fro", "nuc", ±2, ±1 or ±∞.

    "nuc" is the sum of the singular values, ±2 the largest or smallest of them, ±1 of the sums of
    columns of |A|, ±∞ of rows.
    """
    x = A if dtype is None else A.to(dtype)
    if x.ndim < 2:
        raise ShapeError("a norm of matrices", given=x.shape, instead="Use vector_norm.")
    places = [normalized_dim(d, x.ndim) for d in dim]
    rows = x.permute(*[d for d in range(x.ndim) if d not in places], *places)
    if ord == "fro":
        y = norm_of_elements(rows, 2, (-2, -1))
    elif ord == "nuc":
        y = sum(svdvals(rows), -1)
    elif isinstance(ord, str) or abs(ord) not in (1, 2, math.inf):
        raise ArgumentError("unknown norm", given=ord, expected='"fro", "nuc", ±1, ±2, ±inf')
    else:
        extreme: Any = amax if ord > 0 else amin
        across = -2 if abs(ord) == 1 else -1
        parts = svdvals(rows) if abs(ord) == 2 else sum(rows.abs(), across)
        y = extreme(parts, -1)
    if keepdim:
        for place in sorted(places):
            y = y.unsqueeze(place)
    return y


def norm(
    A: Tensor, ord: float | str | None = None, dim: Dims = None, keepdim: bool = False,
    *, dtype: Any = None,
) -> Tensor:
    """Of all elements where no order is given; else of matrices in two dimensions, or vectors."""
    dims = (dim,) if isinstance(dim, int) else dim
    matrix = len(dims) == 2 if dims is not None else A.ndim == 2
    if ord is None or not (matrix or isinstance(ord, str)):
        return vector_norm(A, 2 if ord is None else float(ord), dim, keepdim, dtype=dtype)
    first, second = dims if dims is not None else (-2, -1)
    return matrix_norm(A, ord, (first, second), keepdim, dtype=dtype)
