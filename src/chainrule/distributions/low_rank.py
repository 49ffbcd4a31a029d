"""The multivariate normal distribution whose covariance is a few columns and a diagonal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from chainrule import linalg
from chainrule.distributions import constraints
from chainrule.distributions.distribution import Distribution
from chainrule.errors import ShapeError
from chainrule.ops.contract import matmul
from chainrule.ops.creation import eye
from chainrule.ops.draws import randn
from chainrule.ops.elementwise import log, sqrt
from chainrule.ops.rules import broadcast_shapes
from chainrule.ops.systems import cholesky_solve
from chainrule.tensor import Tensor


class LowRankMultivariateNormal(Distribution):
    """N(loc, W·Wᵀ + D) of vectors of d numbers: W (..., d, k) `cov_factor`, D of `cov_diag`.

    The density needs a factor of K = 1 + Wᵀ·D⁻¹·W alone, (k, k): det Σ = det K·det D, and
    Σ⁻¹ = D⁻¹ − D⁻¹·W·K⁻¹·Wᵀ·D⁻¹ (Woodbury, 1950).

    >>> import chainrule as cr
    >>> d = LowRankMultivariateNormal(cr.zeros(2), cr.tensor([[1.0], [0.0]]), cr.ones(2))
    >>> d.covariance_matrix
    tensor([[2., 0.],
            [0., 1.]])
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True
    loc: Tensor
    cov_factor: Tensor
    cov_diag: Tensor

    def __init__(
        self,
        loc: Tensor,
        cov_factor: Tensor,
        cov_diag: Tensor,
        validate_args: bool | None = None,
    ) -> None:
        n = loc.shape[-1:]
        if cov_factor.shape[-2:-1] != n or cov_diag.shape[-1:] != n:
            raise ShapeError(
                "a row of cov_factor and a number of cov_diag for each number of loc",
                given=(cov_factor.shape, cov_diag.shape),
                expected=f"(..., {n[0]}, k) and (..., {n[0]})",
            )
        self._take(validate_args, n, loc=loc, cov_factor=cov_factor, cov_diag=cov_diag)

    @property
    def _scaled(self) -> Tensor:
        """Wᵀ·D⁻¹."""
        return self.cov_factor.mT / self.cov_diag.unsqueeze(-2)

    @property
    def _capacitance(self) -> Tensor:
        """The lower factor of K."""
        one = eye(self.cov_factor.shape[-1], dtype=self.loc.dtype)
        return linalg.cholesky(one + matmul(self._scaled, self.cov_factor))

    @property
    def _half_log_det(self) -> Tensor:
        """½·ln det Σ."""
        of_capacitance = log(self._capacitance.diagonal(dim1=-2, dim2=-1)).sum(-1)
        return of_capacitance + 0.5 * log(self.cov_diag).sum(-1)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return (self.cov_factor**2).sum(-1) + self.cov_diag

    @property
    def covariance_matrix(self) -> Tensor:
        """Σ."""
        return matmul(self.cov_factor, self.cov_factor.mT) + self.cov_diag.diag_embed()

    @property
    def scale_tril(self) -> Tensor:
        """L lower triangular with L·Lᵀ = Σ."""
        return linalg.cholesky(self.covariance_matrix)

    @property
    def precision_matrix(self) -> Tensor:
        """Σ⁻¹."""
        w = self._scaled
        return (1 / self.cov_diag).diag_embed() - matmul(w.mT, cholesky_solve(w, self._capacitance))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape, dtype = self._extended_shape(sample_shape), self.loc.dtype
        along = randn(*shape[:-1], self.cov_factor.shape[-1], dtype=dtype).unsqueeze(-1)
        apart = randn(shape, dtype=dtype)
        return self.loc + matmul(self.cov_factor, along).squeeze(-1) + sqrt(self.cov_diag) * apart

    def _log_prob(self, value: Tensor) -> Tensor:
        constant = self._event_shape[0] * math.log(2 * math.pi)
        off = value - self.loc
        return -0.5 * (constant + mahalanobis(self, off.unsqueeze(-1))) - self._half_log_det

    def entropy(self) -> Tensor:
        return 0.5 * self._event_shape[0] * (1 + math.log(2 * math.pi)) + self._half_log_det


def mahalanobis(d: LowRankMultivariateNormal, columns: Tensor) -> Tensor:
    """Σ xᵀ·Σ⁻¹·x over the columns x of (..., d, n)."""
    by_diagonal = (columns**2 / d.cov_diag.unsqueeze(-1)).sum((-2, -1))
    along = matmul(d._scaled, columns)
    z = linalg.solve_triangular(d._capacitance, along, upper=False)
    shape = broadcast_shapes(by_diagonal.shape, z.shape[:-2])
    return by_diagonal.expand(shape) - (z**2).sum((-2, -1))


__all__ = ["LowRankMultivariateNormal"]
