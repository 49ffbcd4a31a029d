"""Distributions of positive numbers, and of probabilities: exponential, gamma, beta, Dirichlet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from chainrule.distributions import constraints
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.utils import as_tensors, limits_of
from chainrule.ops.compare import where
from chainrule.ops.creation import arange, empty
from chainrule.ops.elementwise import exp, log, log1p
from chainrule.ops.gamma import digamma, lgamma
from chainrule.ops.incomplete_gamma import igamma, reparameterized_gamma
from chainrule.ops.random import default_generator
from chainrule.ops.rearrange import broadcast_tensors
from chainrule.ops.shape import stack
from chainrule.ops.transcendental import xlogy
from chainrule.primitive import Shape
from chainrule.tensor import Tensor


class Exponential(Distribution):
    """p(x) = rate·e^(−rate·x).

    >>> import chainrule as cr
    >>> Exponential(2.0).log_prob(cr.tensor([0.0, 1.0]))
    tensor([ 0.6931, -1.3069])
    """

    arg_constraints: ClassVar[Any] = {"rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    rate: Tensor

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, rate=rate)

    @property
    def mean(self) -> Tensor:
        return 1 / self.rate

    @property
    def mode(self) -> Tensor:
        return self.rate.detach() * 0

    @property
    def stddev(self) -> Tensor:
        return 1 / self.rate

    @property
    def variance(self) -> Tensor:
        return self.rate**-2

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        z = empty(self._extended_shape(sample_shape), dtype=self.rate.dtype).exponential_()
        return z / self.rate

    def _log_prob(self, value: Tensor) -> Tensor:
        return log(self.rate) - self.rate * value

    def _cdf(self, value: Tensor) -> Tensor:
        return 1 - exp(-self.rate * value)

    def _icdf(self, value: Tensor) -> Tensor:
        return -log1p(-value) / self.rate

    def entropy(self) -> Tensor:
        return 1 - log(self.rate)


def standard_gamma(concentration: Tensor, shape: Shape, dtype: Any = None) -> Tensor:
    """Samples of Gamma(α, 1) with gradients by α: implicit ones (Figurnov et al., 2018)."""
    alpha = concentration.expand(shape).to(dtype or concentration.dtype)
    drawn = default_generator.gamma(alpha.detach())
    return reparameterized_gamma(alpha, drawn.clamp(min=limits_of(drawn)[1]))


class Gamma(Distribution):
    """p(x) = rateᵅ·xᵅ⁻¹·e^(−rate·x)/Γ(α), α the concentration.

    >>> import chainrule as cr
    >>> Gamma(1.0, 2.0).log_prob(cr.tensor(1.0))
    tensor(-1.3069)
    """

    arg_constraints: ClassVar[Any] = {
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }
    support: Any = constraints.nonnegative
    has_rsample = True
    concentration: Tensor
    rate: Tensor

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, concentration=concentration, rate=rate)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate**2

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        z = standard_gamma(self.concentration, self._extended_shape(sample_shape))
        return z / self.rate

    def _log_prob(self, value: Tensor) -> Tensor:
        a, rate = self.concentration, self.rate
        return xlogy(a, rate) + xlogy(a - 1, value) - rate * value - lgamma(a)

    def _cdf(self, value: Tensor) -> Tensor:
        return igamma(self.concentration, self.rate * value)

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - log(self.rate) + lgamma(a) + (1 - a) * digamma(a)


class Chi2(Gamma):
    """The sum of the squares of df normal numbers: Gamma(df/2, 1/2).

    >>> Chi2(3.0).mean
    tensor(3.)
    """

    arg_constraints: ClassVar[Any] = {"df": constraints.positive}
    df: Tensor

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, df=df)

    @property
    def concentration(self) -> Tensor:  # type: ignore[override]
        """df/2."""
        return self.df * 0.5

    @property
    def rate(self) -> Tensor:  # type: ignore[override]
        """1/2."""
        return self.df.detach() * 0 + 0.5


class FisherSnedecor(Distribution):
    """F of df1 and df2 degrees of freedom: (a/df1)/(b/df2) of a, b of Chi2(df1), Chi2(df2).

    >>> FisherSnedecor(3.0, 4.0).mean
    tensor(2.)
    """

    arg_constraints: ClassVar[Any] = {"df1": constraints.positive, "df2": constraints.positive}
    support = constraints.positive
    has_rsample = True
    df1: Tensor
    df2: Tensor

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, df1=df1, df2=df2)

    @property
    def mean(self) -> Tensor:
        return where(self.df2 > 2, self.df2 / (self.df2 - 2), math.nan)

    @property
    def mode(self) -> Tensor:
        mode = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return where(self.df1 > 2, mode, math.nan)

    @property
    def variance(self) -> Tensor:
        a, b = self.df1, self.df2
        variance = 2 * b**2 * (a + b - 2) / (a * (b - 2) ** 2 * (b - 4))
        return where(b > 4, variance, math.nan)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        a, b = (Gamma(n * 0.5, n * 0.5).rsample(sample_shape) for n in (self.df1, self.df2))
        return (a / b).clamp(min=limits_of(a)[1])

    def _log_prob(self, value: Tensor) -> Tensor:
        a, b, ratio = self.df1 * 0.5, self.df2 * 0.5, self.df1 / self.df2
        constant = lgamma(a + b) - lgamma(a) - lgamma(b)
        return constant + a * log(ratio) + (a - 1) * log(value) - (a + b) * log1p(ratio * value)


class Dirichlet(Distribution):
    """Probabilities of k events: p(x) ∝ Π xᵢ^(αᵢ − 1), α the concentration, (..., k).

    >>> import chainrule as cr
    >>> Dirichlet(cr.ones(3)).log_prob(cr.tensor([0.2, 0.3, 0.5]))
    tensor(0.6931)
    """

    arg_constraints: ClassVar[Any] = {
        "concentration": constraints.independent(constraints.positive, 1)
    }
    support = constraints.simplex
    has_rsample = True
    concentration: Tensor

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        self._take(validate_args, concentration.shape[-1:], concentration=concentration)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Tensor:
        """(α − 1)/Σ(α − 1). Where all α are below 1: one of the modes, the first event alone."""
        above = (self.concentration - 1).clamp(min=0)
        first = arange(above.shape[-1]) == 0
        above = where((self.concentration < 1).all(-1, keepdim=True) & first, 1.0, above)
        return above / above.sum(-1, True)

    @property
    def variance(self) -> Tensor:
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total**2 * (total + 1))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Gamma numbers over their sum, in float64: small ones leave the range of float32."""
        z = standard_gamma(self.concentration, self._extended_shape(sample_shape), np.float64)
        eps, tiny = limits_of(self.concentration)
        return (z / z.sum(-1, True)).clamp(tiny, 1 - eps).to(self.concentration.dtype)

    def _log_prob(self, value: Tensor) -> Tensor:
        a = self.concentration
        return xlogy(a - 1, value).sum(-1) + lgamma(a.sum(-1)) - lgamma(a).sum(-1)

    def entropy(self) -> Tensor:
        a, k = self.concentration, self.concentration.shape[-1]
        total = a.sum(-1)
        spread = lgamma(a).sum(-1) - lgamma(total) - (k - total) * digamma(total)
        return spread - ((a - 1) * digamma(a)).sum(-1)


class Beta(Distribution):
    """p(x) ∝ x^(α − 1)·(1 − x)^(β − 1), α = concentration1 and β = concentration0.

    >>> import chainrule as cr
    >>> Beta(1.0, 1.0).log_prob(cr.tensor(0.3))
    tensor(0.)
    """

    arg_constraints: ClassVar[Any] = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval
    has_rsample = True
    concentration1: Tensor
    concentration0: Tensor

    def __init__(
        self, concentration1: Any, concentration0: Any, validate_args: bool | None = None
    ) -> None:
        both = broadcast_tensors(*as_tensors([concentration1, concentration0]))
        self._take(validate_args, concentration1=both[0], concentration0=both[1])

    @property
    def _dirichlet(self) -> Dirichlet:
        both = stack([self.concentration1, self.concentration0], -1)
        return Dirichlet(both, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Tensor:
        return self._dirichlet.mode[..., 0]

    @property
    def variance(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        return a * b / ((a + b) ** 2 * (a + b + 1))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self._dirichlet.rsample(sample_shape)[..., 0]

    def _log_prob(self, value: Tensor) -> Tensor:
        return self._dirichlet._log_prob(stack([value, 1 - value], -1))

    def entropy(self) -> Tensor:
        return self._dirichlet.entropy()


__all__ = ["Beta", "Chi2", "Dirichlet", "Exponential", "FisherSnedecor", "Gamma"]
