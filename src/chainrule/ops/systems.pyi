# Written by tools/stubs.py, from the records.

from typing import Any, NamedTuple

from chainrule.primitive import Primitive
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

class _lu_packed(Primitive):
    def __call__(self, input: Tensor | float) -> tuple[Tensor, Tensor]:
        """(packed, pivots) with P·L·U = x: L below the diagonal, which is 1, U on and above it."""

lu_packed: _lu_packed

class _permutation(Primitive):
    def __call__(self, pivots: Tensor | float, *, rows: Any, dtype: Any) -> Tensor:
        """P, (..., m, m) of 0 and 1: what the pivots of `lu_packed` did to rows, undone.   No ∂."""

permutation: _permutation

def lu_factor(A: Tensor, *, pivot: bool = True) -> LU:
    """P·L·U = A with the largest pivots, L and U in one matrix: (..., m, n)."""

def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> CheckedLU:
    """`lu_factor`, and the place of the first zero on the diagonal of U, from 1, or 0."""

def lu(A: Tensor, *, pivot: bool = True) -> Factors:
    """(P, L, U) with P·L·U = A: (..., m, k), (..., k, n), k = min(m, n)."""

def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
) -> Factors:
    """(P, L, U) of what `lu_factor` gives; what is not asked for is empty."""

def lu_solve(
    LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False
) -> Tensor:
    """X with A·X = B (`left=False`: X·A = B; `adjoint`: of Aᵀ), by the factors of A."""

def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """X with A·X = B (`left=False`: X·A = B), of one triangle of A."""

def cholesky_solve(input: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """X with L·Lᵀ·X = B; with `upper`, L is given as its transpose."""

def cholesky_inverse(input: Tensor, upper: bool = False) -> Tensor:
    """(L·Lᵀ)⁻¹ of the factor L; with `upper`, that is given as its transpose."""

def inv_ex(A: Tensor, *, check_errors: bool = False) -> Inverse:
    """(A⁻¹, info): info is 0, or the first zero pivot of a singular matrix; then A⁻¹ is 1."""

def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> Solution:
    """(`solve`, info): info is 0, or the first zero pivot of a singular matrix."""

def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> Cholesky:
    """(`cholesky`, info): info is 0, or the order of the first leading minor that is not positive."""

def cond(A: Tensor, p: float | str | None = None) -> Tensor:
    """‖A‖·‖A⁻¹‖: how much A·x = b magnifies errors; by singular values for None and ±2."""

def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices, in a last dimension: a view."""

def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Σ x·y along one dimension."""

def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """(..., n, N): the powers x⁰, x¹, ... of each number."""

def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of the map from the dimensions from `ind` on to those before."""

def tensorsolve(A: Tensor, B: Tensor, dims: tuple[int, ...] | None = None) -> Tensor:
    """X with Σ A·X = B over the last dimensions of A; `dims` of A are moved there first."""

def svd_lowrank(A: Tensor, q: int | None = 6, niter: int = 2, M: Tensor | None = None) -> Triple:
    """(U, S, V) of about the q largest singular values, from random directions."""

def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> Triple:
    """`svd_lowrank` of rows with their mean taken away: V are the principal directions."""
