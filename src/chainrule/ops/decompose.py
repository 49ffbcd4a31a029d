"""Linear algebra of square and other matrices (..., n, m), computed by LAPACK through NumPy.

The derivatives are those of Giles (2008), "Collected matrix derivative results for forward and
reverse mode algorithmic differentiation", and of Townsend (2016) for the SVD.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import LinAlgError, NotDifferentiableError, ShapeError
from chainrule.ops.compare import where
from chainrule.ops.reduce import sum, sum_to_size
from chainrule.ops.rules import broadcast_shapes
from chainrule.ops.shape import cat
from chainrule.primitive import Array, Spec, SpecLike, floating, primitive
from chainrule.samples import cases
from chainrule.tensor import Tensor


def square(x: SpecLike, **_: Any) -> SpecLike:
    """The spec of the input: floating square matrices."""
    if len(x.shape) < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError("this needs square matrices", given=x.shape, expected="(..., n, n)")
    return floating(x)


def by_lapack(compute: Any, problem: str, *arrays: Array, **options: Any) -> Any:
    """NumPy's result, in the dtype of the input; where it has none, an error that says why."""
    wide = [a.astype(np.float32) if a.dtype == np.float16 else a for a in arrays]
    if not all(np.isfinite(a).all() for a in wide):  # some of LAPACK's loops would not end
        raise LinAlgError(problem, given="NaN or infinity in a matrix")
    try:
        result = compute(*wide, **options)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(problem, given=f"{error}, of shape {arrays[0].shape}") from None
    if isinstance(result, tuple):
        return tuple(np.asarray(r, arrays[0].dtype) for r in result)
    return np.asarray(result, arrays[0].dtype)


def well(rng: np.random.Generator, *shape: int) -> Array:
    """Matrices far from singular."""
    return rng.normal(size=shape) + 3 * np.eye(shape[-2], shape[-1])


_SQUARES = cases(lambda rng: (well(rng, 3, 3),), lambda rng: (well(rng, 2, 3, 3),))


@primitive
class inv:
    """y = x⁻¹.   ∂L/∂x = −yᵀ·g·yᵀ.   A singular matrix raises LinAlgError."""
    infer, samples = square, _SQUARES
    def forward(x): return by_lapack(np.linalg.inv, "a matrix without an inverse", x)
    def vjp(g, y): return -(y.mT @ g @ y.mT),


@primitive
class det:
    """y = det x.   ∂L/∂x = g·the cofactors of x, also of singular matrices."""
    samples = _SQUARES
    def infer(x): return Spec(square(x).shape[:-2], x.dtype)
    def forward(x): return by_lapack(np.linalg.det, "no determinant", x)
    def vjp(g, x): return g[..., None, None] * cofactors(x),


@primitive
class cofactors:
    """y = det x · x⁻ᵀ = det(U·V)·U·diag(Πⱼ≠ᵢ sⱼ)·Vᵀ of the SVD, which singular matrices have too.

    The derivative needs the inverse.
    """
    infer, samples = square, _SQUARES
    def forward(x):
        u, s, vh = by_lapack(np.linalg.svd, "no singular values", x)
        n = s.shape[-1]
        others = np.where(np.eye(n, dtype=bool), 1, s[..., None, :]).prod(-1)
        sign = np.sign(np.linalg.det(np.matmul(u, vh, dtype=np.float64)))[..., None, None]
        return (sign * ((u * others[..., None, :]) @ vh)).astype(x.dtype)
    def vjp(g, x, y):
        a = inv(x).mT
        return sum(g * a, (-2, -1), True) * y - y @ g.mT @ a,


@primitive
class slogdet:
    """(sign, ln |det x|).   ∂ ln |det x|/∂x = x⁻ᵀ; the sign is constant."""
    samples = _SQUARES
    def infer(x):
        spec = Spec(square(x).shape[:-2], x.dtype)
        return spec, spec
    def forward(x): return tuple(by_lapack(np.linalg.slogdet, "no determinant", x))
    def vjp(gs, x): return gs[1][..., None, None] * inv(x).mT,


@primitive
class matrix_exp:
    """y = Σ xᵏ/k!, by the series of x/2ˢ, squared s times (Moler & Van Loan, 2003).

    ∂L/∂x is the upper right block of the exponential of [[xᵀ, g], [0, xᵀ]].
    """
    infer = square
    samples = cases(
        lambda rng: (rng.normal(size=(3, 3)),), lambda rng: (rng.normal(size=(2, 3, 3)),)
    )
    def forward(x):
        size = np.max(np.sum(np.abs(x), -1), initial=0)
        squares = int(np.ceil(np.log2(size))) if 1 < size < np.inf else 0
        part, one = x / x.dtype.type(2.0**squares), np.eye(x.shape[-1], dtype=x.dtype)
        y = np.broadcast_to(one, x.shape)
        for k in range(18, 0, -1):  # 1/19! is below the precision of float64
            y = one + part @ y / x.dtype.type(k)
        for _ in range(squares):
            y = y @ y
        return y.copy()
    def vjp(g, x):
        n = x.shape[-1]
        above, below = cat([x.mT, g], -1), cat([x.mT * 0, x.mT], -1)
        return matrix_exp(cat([above, below], -2))[..., :n, n:],


@primitive
class solve:
    """y with a·y = b: (..., n, n), (..., n, k) → (..., n, k).

    ∂L/∂b = a⁻ᵀ·g = h, ∂L/∂a = −h·yᵀ.
    """
    samples = cases(
        lambda rng: (well(rng, 3, 3), rng.normal(size=(3, 2))),
        lambda rng: (well(rng, 2, 3, 3), rng.normal(size=(3, 1))),
    )
    def infer(a, b):
        square(a)
        if len(b.shape) < 2 or b.shape[-2] != a.shape[-1] or a.dtype != b.dtype:
            raise ShapeError("right sides belong to a system", given=f"{a} and {b}",
                             expected="(..., n, n) and (..., n, k), of one dtype")
        return Spec((*broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]), a.dtype)
    def forward(a, b): return by_lapack(np.linalg.solve, "a system with a singular matrix", a, b)
    def vjp(g, a, b_spec, y):
        h = solve(a.mT, g)
        return sum_to_size(-(h @ y.mT), a.shape), sum_to_size(h, b_spec.shape)


@primitive
class cholesky:
    """y lower triangular with y·yᵀ = x.   ∂L/∂x = ½·y⁻ᵀ·(P + Pᵀ)·y⁻¹, P = Φ(yᵀ·g).

    Φ takes the lower triangle and half of the diagonal. Of x the symmetric part ½·(x + xᵀ) counts.
    A matrix that is not positive definite raises LinAlgError.
    """
    infer = square
    samples = cases(lambda rng: ((lambda a: a @ a.T + 3 * np.eye(3))(rng.normal(size=(3, 3))),))
    def forward(x):
        problem = "a matrix that is not positive definite has no Cholesky factor"
        return by_lapack(np.linalg.cholesky, problem, symmetrized(x))
    def vjp(g, y):
        p = (y.mT @ g).tril()
        p = p - diagonal_part(p) * 0.5
        half = solve(y.mT, p + p.mT)
        return solve(y.mT, half.mT).mT * 0.5,


def symmetrized(x: Array) -> Array:
    """½·(x + xᵀ)."""
    return x * 0.5 + x.swapaxes(-1, -2) * 0.5


def diagonal_part(x: Tensor) -> Tensor:
    """Zeros beside the diagonal."""
    return where(Tensor(np.eye(x.shape[-1], dtype=bool)), x, 0.0)


@primitive
class qr:
    """(q, r) with q·r = x, q orthonormal, r upper triangular; of (m, n), q has min(m, n) columns.

    ∂L/∂x = (gq + q·C)·r⁻ᵀ, C symmetric with the lower triangle of r·grᵀ − gqᵀ·q; for m ≥ n.
    """
    samples = cases(lambda rng: (well(rng, 4, 3),), lambda rng: (well(rng, 2, 3, 3),))
    def infer(x):
        floating(x)
        if len(x.shape) < 2:
            raise ShapeError("this needs matrices", given=x.shape)
        m, n = x.shape[-2:]
        k = min(m, n)
        return Spec((*x.shape[:-2], m, k), x.dtype), Spec((*x.shape[:-2], k, n), x.dtype)
    def forward(x): return tuple(by_lapack(np.linalg.qr, "no QR factors", x))
    def vjp(gs, ys):
        (gq, gr), (q, r) = gs, ys
        if q.shape[-2] < r.shape[-1]:
            raise NotDifferentiableError("QR of matrices wider than high has no derivative here")
        m = r @ gr.mT - gq.mT @ q
        c = m.tril(-1) + m.tril().mT
        return solve(r, (gq + q @ c).mT).mT,


@primitive
class svd:
    """(u, s, vᵀ) with u·diag(s)·vᵀ = x, reduced: k = min(m, n) columns, s falling.

    Equal singular values, and the signs of u and v, leave no derivative by u and v.
    """
    samples = cases(lambda rng: (well(rng, 4, 3),), lambda rng: (well(rng, 3, 3),))
    def infer(x):
        floating(x)
        if len(x.shape) < 2:
            raise ShapeError("this needs matrices", given=x.shape)
        *batch, m, n = x.shape
        k = min(m, n)
        return tuple(Spec((*batch, *shape), x.dtype) for shape in ((m, k), (k,), (k, n)))
    def forward(x):
        return tuple(by_lapack(np.linalg.svd, "no singular values", x, full_matrices=False))
    def vjp(gs, ys):
        (gu, gs_, gv), (u, s, vh) = gs, ys
        k = s.shape[-1]
        one = Tensor(np.eye(k, dtype=bool))
        gaps = s.unsqueeze(-2) * s.unsqueeze(-2) - s.unsqueeze(-1) * s.unsqueeze(-1)
        f = where(one, 0.0, 1 / where(one, 1.0, gaps))
        row, column = s.unsqueeze(-2), s.unsqueeze(-1)
        by_u, by_v = u.mT @ gu, vh @ gv.mT
        core = f * (by_u - by_u.mT) * row + column * (f * (by_v - by_v.mT))
        y = u @ (core + where(one, gs_.unsqueeze(-1), 0.0)) @ vh
        if u.shape[-2] > k:
            y = y + ((gu - u @ by_u) / row) @ vh
        if vh.shape[-1] > k:
            y = y + (u / row) @ (gv - by_v.mT @ vh)
        return y,


@primitive
class eigh:
    """(w, v) of symmetric matrices: x·v = v·diag(w), w rising. The part ½·(x + xᵀ) of x counts.

    ∂L/∂x = the symmetric part of v·(diag(gw) + (vᵀ·gv)/E)·vᵀ, Eᵢⱼ = wⱼ − wᵢ.
    """
    samples = cases(lambda rng: (np.diag([1.0, 2.0, 4.0]) + 0.1,))
    def infer(x): return Spec(square(x).shape[:-1], x.dtype), Spec(x.shape, x.dtype)
    def forward(x): return tuple(by_lapack(np.linalg.eigh, "no eigenvalues", symmetrized(x)))
    def vjp(gs, ys):
        (gw, gv), (w, v) = gs, ys
        one = Tensor(np.eye(w.shape[-1], dtype=bool))
        gaps = where(one, 1.0, w.unsqueeze(-2) - w.unsqueeze(-1))
        core = where(one, gw.unsqueeze(-1), v.mT @ gv / gaps)
        return v @ ((core + core.mT) * 0.5) @ v.mT,


@primitive
class pinv:
    """y = x⁺, the pseudoinverse, of singular values above the fraction rcond of the largest.

    ∂L/∂x = −yᵀ·g·yᵀ + (1 − x·y)·gᵀ·y·yᵀ + yᵀ·y·gᵀ·(1 − y·x) (Golub & Pereyra, 1973).
    """
    samples = cases(lambda rng: (well(rng, 4, 3), {"rcond": 1e-15}),
                    lambda rng: (well(rng, 2, 2, 3), {"rcond": 1e-15}))
    def infer(x, *, rcond):
        floating(x)
        if len(x.shape) < 2:
            raise ShapeError("this needs matrices", given=x.shape)
        return Spec((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)
    def forward(x, *, rcond): return by_lapack(np.linalg.pinv, "no singular values", x, rcond=rcond)
    def vjp(g, x, y):
        t, h = y.mT, g.mT
        outer, inner = h @ y @ t, t @ y @ h
        return -(t @ g @ t) + outer - x @ (y @ outer) + inner - (inner @ y) @ x,
