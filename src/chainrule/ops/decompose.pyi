# Written by tools/stubs.py, from the records.

from typing import Any

import numpy as np

from chainrule.primitive import Array, Primitive, SpecLike
from chainrule.tensor import Tensor

def square(x: SpecLike, **_: Any) -> SpecLike:
    """The spec of the input: floating square matrices."""

def by_lapack(compute: Any, problem: str, *arrays: Array, **options: Any) -> Any:
    """NumPy's result, in the dtype of the input; where it has none, an error that says why."""

def well(rng: np.random.Generator, *shape: int) -> Array:
    """Matrices far from singular."""

class _inv(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = x⁻¹.   ∂L/∂x = −yᵀ·g·yᵀ.   A singular matrix raises LinAlgError."""

inv: _inv

class _det(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = det x.   ∂L/∂x = g·the cofactors of x, also of singular matrices."""

det: _det

class _cofactors(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = det x · x⁻ᵀ = det(U·V)·U·diag(Πⱼ≠ᵢ sⱼ)·Vᵀ of the SVD, which singular matrices have too."""

cofactors: _cofactors

class _slogdet(Primitive):
    def __call__(self, input: Tensor | float) -> tuple[Tensor, Tensor]:
        """(sign, ln |det x|).   ∂ ln |det x|/∂x = x⁻ᵀ; the sign is constant."""

slogdet: _slogdet

class _matrix_exp(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = Σ xᵏ/k!, by the series of x/2ˢ, squared s times (Moler & Van Loan, 2003)."""

matrix_exp: _matrix_exp

class _solve(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y with a·y = b: (..., n, n), (..., n, k) → (..., n, k)."""

solve: _solve

class _cholesky(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y lower triangular with y·yᵀ = x.   ∂L/∂x = ½·y⁻ᵀ·(P + Pᵀ)·y⁻¹, P = Φ(yᵀ·g)."""

cholesky: _cholesky

def symmetrized(x: Array) -> Array:
    """½·(x + xᵀ)."""

def diagonal_part(x: Tensor) -> Tensor:
    """Zeros beside the diagonal."""

class _qr(Primitive):
    def __call__(self, input: Tensor | float) -> tuple[Tensor, Tensor]:
        """(q, r) with q·r = x, q orthonormal, r upper triangular; of (m, n), q has min(m, n) columns."""

qr: _qr

class _svd(Primitive):
    def __call__(self, input: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
        """(u, s, vᵀ) with u·diag(s)·vᵀ = x, reduced: k = min(m, n) columns, s falling."""

svd: _svd

class _eigh(Primitive):
    def __call__(self, input: Tensor | float) -> tuple[Tensor, Tensor]:
        """(w, v) of symmetric matrices: x·v = v·diag(w), w rising. The part ½·(x + xᵀ) of x counts."""

eigh: _eigh

class _pinv(Primitive):
    def __call__(self, input: Tensor | float, *, rcond: Any) -> Tensor:
        """y = x⁺, the pseudoinverse, of singular values above the fraction rcond of the largest."""

pinv: _pinv
