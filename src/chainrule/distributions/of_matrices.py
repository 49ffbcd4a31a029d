"""Distributions of matrices: covariances, and factors of correlations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from chainrule import linalg
from chainrule.distributions import constraints
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.multivariate import factor_of, one_matrix
from chainrule.distributions.positive import Beta, Chi2
from chainrule.distributions.utils import limits_of
from chainrule.errors import ArgumentError
from chainrule.ops.compare import where
from chainrule.ops.contract import matmul
from chainrule.ops.creation import arange
from chainrule.ops.diagonals import tril_indices
from chainrule.ops.draws import randn
from chainrule.ops.elementwise import log, sqrt
from chainrule.ops.gamma import digamma, mvlgamma
from chainrule.ops.norms import norm
from chainrule.ops.shape import cat
from chainrule.ops.systems import cholesky_inverse, cholesky_solve
from chainrule.tensor import Tensor


class Wishart(Distribution):
    """W(df, V) of p×p matrices: Σ xᵢ·xᵢᵀ of df vectors of N(0, V), also for a df that is not whole.

    Given is one of `covariance_matrix` V, `precision_matrix` V⁻¹, and `scale_tril` L, V = L·Lᵀ.
    p(x) = det x^((df − p − 1)/2)·e^(−tr(V⁻¹·x)/2) / (2^(df·p/2)·det V^(df/2)·Γₚ(df/2)).

    >>> import chainrule as cr
    >>> Wishart(3.0, cr.eye(2)).mean
    tensor([[3., 0.],
            [0., 3.]])
    """

    support = constraints.positive_definite
    has_rsample = True
    df: Tensor

    def __init__(
        self,
        df: Any,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        name, matrix = one_matrix(
            "Wishart",
            covariance_matrix=covariance_matrix,
            precision_matrix=precision_matrix,
            scale_tril=scale_tril,
        )
        self._size = matrix.shape[-1]
        self._take(validate_args, matrix.shape[-2:], df=df, **{name: matrix})
        self._factor = factor_of(name, matrix)

    @property
    def arg_constraints(self) -> Any:  # type: ignore[override]
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self._size - 1),
        }

    def _given(self, name: str, computed: Tensor) -> Tensor:
        """The matrix that was given under a name, or the one computed."""
        given: Tensor | None = self.__dict__.get(name)
        return computed.expand(*self._batch_shape, *self._event_shape) if given is None else given

    @property
    def scale_tril(self) -> Tensor:
        """L."""
        return self._given("scale_tril", self._factor)

    @property
    def covariance_matrix(self) -> Tensor:
        """V."""
        return self._given("covariance_matrix", matmul(self._factor, self._factor.mT))

    @property
    def precision_matrix(self) -> Tensor:
        """V⁻¹."""
        return self._given("precision_matrix", cholesky_inverse(self._factor))

    @property
    def _half_log_det(self) -> Tensor:
        return log(self._factor.diagonal(dim1=-2, dim2=-1)).sum(-1)

    @property
    def mean(self) -> Tensor:
        return self.df[..., None, None] * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        factor = self.df - self._size - 1
        return where(factor > 0, factor, math.nan)[..., None, None] * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        v = self.covariance_matrix
        d = v.diagonal(dim1=-2, dim2=-1)
        return self.df[..., None, None] * (v**2 + d.unsqueeze(-1) * d.unsqueeze(-2))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """L·A·Aᵀ·Lᵀ: A lower triangular, of chi and normal numbers (Bartlett, 1933)."""
        p, dtype = self._size, self._factor.dtype
        freedom = self.df.unsqueeze(-1) - arange(p, dtype=dtype)
        a = sqrt(Chi2(freedom).rsample(sample_shape)).diag_embed()
        rows, columns = tril_indices(p, p, -1)
        below = randn(*sample_shape, *self._batch_shape, len(rows), dtype=dtype)
        a[..., rows, columns] = below
        factor = matmul(self._factor, a)
        return matmul(factor, factor.mT)

    def _log_prob(self, value: Tensor) -> Tensor:
        n, p = self.df, self._size
        trace = cholesky_solve(value, self._factor).diagonal(dim1=-2, dim2=-1).sum(-1)
        volume = (n - p - 1) / 2 * linalg.slogdet(value).logabsdet
        constant = n * (p * math.log(2) / 2 + self._half_log_det) + mvlgamma(n / 2, p)
        return volume - constant - trace / 2

    def entropy(self) -> Tensor:
        n, p = self.df, self._size
        volume = (p + 1) * (p * math.log(2) / 2 + self._half_log_det)
        return volume + mvlgamma(n / 2, p) - (n - p - 1) / 2 * self._slope + n * p / 2

    @property
    def _slope(self) -> Tensor:
        """d/dx ln Γₚ(x) at df/2."""
        half = (self.df / 2).unsqueeze(-1)
        return digamma(half - arange(self._size, dtype=half.dtype) / 2).sum(-1)


class LKJCholesky(Distribution):
    """Factors L of correlation matrices C = L·Lᵀ, with p(C) ∝ det C^(concentration − 1).

    (Lewandowski, Kurowicka & Joe, 2009.) dim: the size of the matrices, at least 2. With the
    concentration 1 all correlation matrices are equally likely.

    >>> import chainrule as cr
    >>> LKJCholesky(2, 1.0).log_prob(cr.eye(2))
    tensor(-0.6931)
    """

    arg_constraints: ClassVar[Any] = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    concentration: Tensor

    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ArgumentError("correlations are of two numbers or more", given=f"dim = {dim}")
        self.dim = dim
        self._take(validate_args, (dim, dim), concentration=concentration)

    def _draw(self, sample_shape: Sequence[int]) -> Tensor:
        """Row i: a direction in i dimensions, its squared length of Beta(i/2, ...) (the onion)."""
        eta, dtype = self.concentration, self.concentration.dtype
        before = arange(self.dim - 1, dtype=dtype)
        offset = cat([before[:1], before])
        ends = (eta + (self.dim - 2) / 2).unsqueeze(-1) - offset / 2
        length = sqrt(Beta(offset + 0.5, ends).sample(sample_shape))
        z = randn(self._extended_shape(sample_shape), dtype=dtype).tril(-1)
        far = norm(z, 2, -1, True)
        w = length.unsqueeze(-1) * z / where(far == 0, 1.0, far)
        rest = (1 - (w**2).sum(-1)).clamp(min=limits_of(w)[1])
        return w + sqrt(rest).diag_embed()

    def _log_prob(self, value: Tensor) -> Tensor:
        n = self.dim
        diagonal = value.diagonal(dim1=-2, dim2=-1)[..., 1:]
        eta = self.concentration
        order = 2 * (eta - 1).unsqueeze(-1) + n - arange(2, n + 1, dtype=eta.dtype)
        alpha = eta + (n - 1) / 2
        constant = mvlgamma(alpha - 0.5, n - 1) - mvlgamma(alpha, 1) * (n - 1)
        return (order * log(diagonal)).sum(-1) - constant - (n - 1) / 2 * math.log(math.pi)


__all__ = ["LKJCholesky", "Wishart"]
