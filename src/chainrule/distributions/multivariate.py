"""Distributions of vectors, several independent ones as one, and mixtures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from chainrule import linalg
from chainrule.distributions import constraints
from chainrule.distributions.categorical import Categorical
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.utils import as_tensors, sum_rightmost
from chainrule.errors import ArgumentError, NotDefinedError, ShapeError
from chainrule.ops.contract import matmul
from chainrule.ops.draws import randn
from chainrule.ops.elementwise import log
from chainrule.ops.fused import log_softmax, logsumexp
from chainrule.ops.index import gather
from chainrule.tensor import Tensor


class MultivariateNormal(Distribution):
    """N(loc, Σ) of vectors of d numbers, with Σ = L·Lᵀ the covariance; (..., d), (..., d, d).

    Given is one of `covariance_matrix` Σ, `precision_matrix` Σ⁻¹, and `scale_tril` L.

    >>> import chainrule as cr
    >>> MultivariateNormal(cr.zeros(2), cr.eye(2)).log_prob(cr.zeros(2))
    tensor(-1.8379)
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True
    loc: Tensor

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        name, matrix = one_matrix(
            "MultivariateNormal",
            covariance_matrix=covariance_matrix,
            precision_matrix=precision_matrix,
            scale_tril=scale_tril,
        )
        (loc,) = as_tensors([loc])
        self._take(validate_args, loc.shape[-1:], loc=loc, **{name: matrix})
        self._factor = factor_of(name, matrix)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._factor = self._factor
        return new

    @property
    def scale_tril(self) -> Tensor:
        """L."""
        n = self._event_shape[0]
        return self._factor.expand(*self._batch_shape, n, n)

    @property
    def covariance_matrix(self) -> Tensor:
        """Σ."""
        n = self._event_shape[0]
        return matmul(self._factor, self._factor.mT).expand(*self._batch_shape, n, n)

    @property
    def precision_matrix(self) -> Tensor:
        """Σ⁻¹."""
        n = self._event_shape[0]
        inverse = self._inverse_factor
        return matmul(inverse.mT, inverse).expand(*self._batch_shape, n, n)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return (self._factor**2).sum(-1).expand(self._extended_shape())

    @property
    def _inverse_factor(self) -> Tensor:
        """L⁻¹."""
        return linalg.inv(self._factor.tril())

    @property
    def _half_log_det(self) -> Tensor:
        return log(self._factor.diagonal(dim1=-2, dim2=-1)).sum(-1)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        z = randn(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + matmul(self._factor, z.unsqueeze(-1)).squeeze(-1)

    def _log_prob(self, value: Tensor) -> Tensor:
        difference = (value - self.loc).unsqueeze(-1)
        z = matmul(self._inverse_factor, difference).squeeze(-1)
        constant = self._event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (constant + (z * z).sum(-1)) - self._half_log_det

    def entropy(self) -> Tensor:
        constant = 0.5 * self._event_shape[0] * (1 + math.log(2 * math.pi))
        return (constant + self._half_log_det).expand(self._batch_shape)


def one_matrix(kind: str, **matrices: Tensor | None) -> tuple[str, Tensor]:
    """The one matrix that was given, with its name."""
    given = {name: matrix for name, matrix in matrices.items() if matrix is not None}
    if len(given) != 1:
        raise ArgumentError(
            f"{kind} takes one matrix",
            given=", ".join(given) or "none",
            expected=" or ".join(matrices),
        )
    ((name, matrix),) = given.items()
    return name, matrix


def factor_of(name: str, matrix: Tensor) -> Tensor:
    """L of a covariance, of a precision, or as it is.

    For a precision: with its rows and columns in reverse order it is R·Rᵀ, and R reversed is L⁻ᵀ.
    """
    if name == "scale_tril":
        return matrix
    if name == "covariance_matrix":
        return linalg.cholesky(matrix)
    return linalg.inv(linalg.cholesky(matrix.flip((-2, -1))).flip((-2, -1)).mT)


class Independent(Distribution):
    """Independent distributions as one: the last dimensions of the batch belong to the event.

    >>> import chainrule as cr
    >>> from chainrule.distributions import Normal
    >>> Independent(Normal(cr.zeros(3), cr.ones(3)), 1).log_prob(cr.zeros(3))
    tensor(-2.7568)
    """

    def __init__(
        self,
        base_distribution: Any,
        reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ) -> None:
        n, batch = reinterpreted_batch_ndims, base_distribution.batch_shape
        if n > len(batch):
            raise ArgumentError(f"{n} dimensions of a batch are taken", given=f"shape {batch}")
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, n
        kept = len(batch) - n
        event = (*batch[kept:], *base_distribution.event_shape)
        super().__init__(batch[:kept], event, validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        n = self.reinterpreted_batch_ndims
        base = self.base_dist.expand((*batch_shape, *self._event_shape[:n]))
        return Independent(base, n, validate_args=self._validate_args)

    @property
    def has_rsample(self) -> bool:
        return bool(self.base_dist.has_rsample)

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        return not self.reinterpreted_batch_ndims and bool(self.base_dist.has_enumerate_support)

    @property
    def support(self) -> Any:
        return constraints.independent(self.base_dist.support, self.reinterpreted_batch_ndims)

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def _draw(self, sample_shape: Sequence[int]) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        return sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        if self.reinterpreted_batch_ndims:
            raise NotDefinedError("the values of several independent distributions are not listed")
        return self.base_dist.enumerate_support(expand)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamily(Distribution):
    """One of k distributions of a family, chosen by probabilities: p(x) = Σᵢ wᵢ·pᵢ(x).

    The last dimension of the batch of `component_distribution` counts the k components.

    >>> import chainrule as cr
    >>> from chainrule.distributions import Normal
    >>> mixture = Categorical(cr.tensor([0.25, 0.75]))
    >>> MixtureSameFamily(mixture, Normal(cr.tensor([0.0, 4.0]), 1.0)).mean
    tensor(3.)
    """

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Any,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ArgumentError("the mixture is a Categorical", given=mixture_distribution)
        batch = component_distribution.batch_shape
        if not batch or batch[-1] != mixture_distribution._num_events:
            raise ShapeError(
                "the last dimension of the batch counts the components",
                given=batch,
                expected=f"(..., {mixture_distribution._num_events})",
            )
        self.mixture_distribution = mixture_distribution.expand(batch[:-1])
        self.component_distribution = component_distribution
        super().__init__(batch[:-1], component_distribution.event_shape, validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        k = self.mixture_distribution._num_events
        components = self.component_distribution.expand((*batch_shape, k))
        mixture = self.mixture_distribution.expand(batch_shape)
        return MixtureSameFamily(mixture, components, validate_args=self._validate_args)

    @property
    def support(self) -> Any:
        return self.component_distribution.support

    @property
    def _weights(self) -> Tensor:
        """The probabilities, with the dimensions of an event behind them."""
        p = self.mixture_distribution.probs
        return p.reshape(*p.shape, *[1] * len(self._event_shape))

    @property
    def mean(self) -> Tensor:
        return (self._weights * self.component_distribution.mean).sum(self._component)

    @property
    def variance(self) -> Tensor:
        within = (self._weights * self.component_distribution.variance).sum(self._component)
        off = self.component_distribution.mean - self.mean.unsqueeze(self._component)
        return within + (self._weights * off**2).sum(self._component)

    @property
    def _component(self) -> int:
        """The dimension that counts the components."""
        return -1 - len(self._event_shape)

    def _draw(self, sample_shape: Sequence[int]) -> Tensor:
        chosen = self.mixture_distribution.sample(sample_shape)
        values = self.component_distribution.sample(sample_shape)
        places = chosen.reshape(*chosen.shape, *[1] * (1 + len(self._event_shape)))
        places = places.expand(*chosen.shape, 1, *self._event_shape)
        return gather(values, self._component, places).squeeze(self._component)

    def _log_prob(self, value: Tensor) -> Tensor:
        of_each = self.component_distribution.log_prob(value.unsqueeze(self._component))
        return logsumexp(of_each + log_softmax(self.mixture_distribution.logits, -1), -1)

    def _cdf(self, value: Tensor) -> Tensor:
        of_each = self.component_distribution.cdf(value.unsqueeze(self._component))
        return (of_each * self.mixture_distribution.probs).sum(-1)

    def __repr__(self) -> str:
        return f"MixtureSameFamily({self.mixture_distribution}, {self.component_distribution})"


__all__ = ["Independent", "MixtureSameFamily", "MultivariateNormal"]
