"""Distributions of real numbers with a location and a scale: z = (x − loc)/scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from chainrule.distributions import constraints
from chainrule.distributions.distribution import Distribution, undefined
from chainrule.distributions.positive import Chi2
from chainrule.distributions.utils import limits_of
from chainrule.ops.compare import where
from chainrule.ops.creation import empty, full_like
from chainrule.ops.draws import rand, randn
from chainrule.ops.elementwise import abs, arctan, exp, expm1, log, log1p, rsqrt, sign, tan
from chainrule.ops.gamma import digamma, erfinv, lgamma
from chainrule.ops.logic import isclose
from chainrule.ops.rules import require_all
from chainrule.ops.special import normal_cdf
from chainrule.tensor import Tensor

_EULER = 0.57721566490153286060
_LOCATION_SCALE = {"loc": constraints.real, "scale": constraints.positive}


class LocationScale(Distribution):
    """The base class: x = loc + scale·z, with z of a distribution without parameters."""

    arg_constraints: ClassVar[Any] = _LOCATION_SCALE
    support = constraints.real
    has_rsample = True
    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, loc=loc, scale=scale)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc


class Normal(LocationScale):
    """N(loc, scale²): p(x) = e^(−z²/2)/(√2π·scale).

    >>> import chainrule as cr
    >>> Normal(0.0, 1.0).log_prob(cr.tensor([0.0, 1.0]))
    tensor([-0.9189, -1.4189])
    """

    @property
    def stddev(self) -> Tensor:
        return self.scale

    @property
    def variance(self) -> Tensor:
        return self.scale**2

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        z = randn(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + z * self.scale

    def _log_prob(self, value: Tensor) -> Tensor:
        square = (value - self.loc) ** 2 / (2 * self.variance)
        return -square - log(self.scale) - math.log(math.sqrt(2 * math.pi))

    def _cdf(self, value: Tensor) -> Tensor:
        return normal_cdf((value - self.loc) / self.scale)

    def _icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * erfinv(2 * value - 1) * math.sqrt(2)

    def entropy(self) -> Tensor:
        return log(self.scale) + (0.5 + 0.5 * math.log(2 * math.pi))


class Laplace(LocationScale):
    """p(x) = e^−|z|/(2·scale).

    >>> import chainrule as cr
    >>> Laplace(0.0, 1.0).log_prob(cr.tensor([0.0, 1.0]))
    tensor([-0.6931, -1.6931])
    """

    @property
    def variance(self) -> Tensor:
        return 2 * self.scale**2

    @property
    def stddev(self) -> Tensor:
        return math.sqrt(2) * self.scale

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape, eps = self._extended_shape(sample_shape), limits_of(self.loc)[0]
        u = empty(shape, dtype=self.loc.dtype).uniform_(eps - 1, 1)
        return self.loc - self.scale * sign(u) * log1p(-abs(u))

    def _log_prob(self, value: Tensor) -> Tensor:
        return -log(2 * self.scale) - abs(value - self.loc) / self.scale

    def _cdf(self, value: Tensor) -> Tensor:
        z = (value - self.loc) / self.scale
        return 0.5 - 0.5 * sign(z) * expm1(-abs(z))

    def _icdf(self, value: Tensor) -> Tensor:
        term = value - 0.5
        return self.loc - self.scale * sign(term) * log1p(-2 * abs(term))

    def entropy(self) -> Tensor:
        return 1 + log(2 * self.scale)


class Cauchy(LocationScale):
    """p(x) = 1/(π·scale·(1 + z²)), which has no mean.

    >>> import chainrule as cr
    >>> Cauchy(0.0, 1.0).log_prob(cr.tensor(0.0))
    tensor(-1.1447)
    """

    @property
    def mean(self) -> Tensor:
        return undefined(self.loc)

    @property
    def variance(self) -> Tensor:
        return full_like(self.loc, math.inf)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        z = empty(self._extended_shape(sample_shape), dtype=self.loc.dtype).cauchy_()
        return self.loc + z * self.scale

    def _log_prob(self, value: Tensor) -> Tensor:
        z = (value - self.loc) / self.scale
        return -math.log(math.pi) - log(self.scale) - log1p(z**2)

    def _cdf(self, value: Tensor) -> Tensor:
        return arctan((value - self.loc) / self.scale) / math.pi + 0.5

    def _icdf(self, value: Tensor) -> Tensor:
        return tan(math.pi * (value - 0.5)) * self.scale + self.loc

    def entropy(self) -> Tensor:
        return math.log(4 * math.pi) + log(self.scale)


class StudentT(LocationScale):
    """p(x) ∝ (1 + z²/df)^−(df + 1)/2, with df degrees of freedom.

    >>> import chainrule as cr
    >>> StudentT(2.0).log_prob(cr.tensor(0.0))
    tensor(-1.0397)
    """

    arg_constraints: ClassVar[Any] = {"df": constraints.positive, **_LOCATION_SCALE}
    df: Tensor

    def __init__(
        self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        self._take(validate_args, df=df, loc=loc, scale=scale)

    @property
    def mean(self) -> Tensor:
        return where(self.df > 1, self.loc, math.nan)

    @property
    def variance(self) -> Tensor:
        safe = where(self.df > 2, self.df, 3.0)
        variance = self.scale**2 * safe / (safe - 2)
        infinite = where(self.df > 1, full_like(self.df, math.inf), math.nan)
        return where(self.df > 2, variance, infinite)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        x = randn(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        z = Chi2(self.df, validate_args=False).rsample(sample_shape)
        return self.loc + self.scale * (x * rsqrt(z / self.df))

    def _log_prob(self, value: Tensor) -> Tensor:
        return -0.5 * (self.df + 1) * log1p(((value - self.loc) / self.scale) ** 2 / self.df) - (
            log(self.scale)
            + 0.5 * log(self.df)
            + 0.5 * math.log(math.pi)
            + lgamma(0.5 * self.df)
            - lgamma(0.5 * (self.df + 1))
        )

    def entropy(self) -> Tensor:
        half = 0.5 * self.df
        log_beta = lgamma(half) + math.lgamma(0.5) - lgamma(half + 0.5)
        slope = (half + 0.5) * (digamma(half + 0.5) - digamma(half))
        return log(self.scale) + slope + 0.5 * log(self.df) + log_beta


class Gumbel(LocationScale):
    """p(x) = e^(−z − e^−z)/scale: of the largest of many numbers.

    >>> import chainrule as cr
    >>> Gumbel(0.0, 1.0).log_prob(cr.tensor(0.0))
    tensor(-1.)
    """

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * _EULER

    @property
    def stddev(self) -> Tensor:
        return math.pi / math.sqrt(6) * self.scale

    @property
    def variance(self) -> Tensor:
        return self.stddev**2

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        eps, tiny = limits_of(self.loc)
        u = rand(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self._icdf(tiny + u * (1 - eps - tiny))

    def _log_prob(self, value: Tensor) -> Tensor:
        z = (self.loc - value) / self.scale
        return z - exp(z) - log(self.scale)

    def _cdf(self, value: Tensor) -> Tensor:
        return exp(-exp((self.loc - value) / self.scale))

    def _icdf(self, value: Tensor) -> Tensor:
        return self.loc - self.scale * log(-log(value))

    def entropy(self) -> Tensor:
        return log(self.scale) + (1 + _EULER)


class Uniform(Distribution):
    """U[low, high): p(x) = 1/(high − low).

    >>> import chainrule as cr
    >>> Uniform(0.0, 2.0).log_prob(cr.tensor([0.0, 1.0]))
    tensor([-0.6931, -0.6931])
    """

    arg_constraints: ClassVar[Any] = {
        "low": constraints.dependent,
        "high": constraints.dependent,
    }
    has_rsample = True
    low: Tensor
    high: Tensor

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, low=low, high=high)
        if self._validate_args:
            require_all(self.low < self.high, self.low, "Uniform needs low < high")

    @property
    def support(self) -> Any:
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Tensor:
        return (self.high + self.low) / 2

    @property
    def mode(self) -> Tensor:
        return undefined(self.high)

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low) ** 2 / 12

    @property
    def stddev(self) -> Tensor:
        return (self.high - self.low) / math.sqrt(12)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        u = rand(self._extended_shape(sample_shape), dtype=self.low.dtype)
        return self.low + u * (self.high - self.low)

    def _log_prob(self, value: Tensor) -> Tensor:
        within = (self.low <= value) & (self.high > value)
        return where(within, -log(self.high - self.low), -math.inf)

    def _cdf(self, value: Tensor) -> Tensor:
        return ((value - self.low) / (self.high - self.low)).clamp(0, 1)

    def _icdf(self, value: Tensor) -> Tensor:
        return value * (self.high - self.low) + self.low

    def entropy(self) -> Tensor:
        return log(self.high - self.low)


class GeneralizedPareto(Distribution):
    """p(x) = (1 + ξ·z)^(−1 − 1/ξ)/scale, z = (x − loc)/scale ≥ 0; e⁻ᶻ/scale for ξ = 0.

    ξ is the concentration. What exceeds a high threshold has this distribution (Pickands, 1975).

    >>> import chainrule as cr
    >>> GeneralizedPareto(0.0, 1.0, 0.5).cdf(cr.tensor(2.0))
    tensor(0.75)
    """

    arg_constraints: ClassVar[Any] = {**_LOCATION_SCALE, "concentration": constraints.real}
    has_rsample = True
    loc: Tensor
    scale: Tensor
    concentration: Tensor

    def __init__(
        self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None
    ) -> None:
        self._take(validate_args, loc=loc, scale=scale, concentration=concentration)

    @property
    def support(self) -> Any:
        xi = self.concentration
        end = where(xi < 0, self.loc - self.scale / where(xi < 0, xi, -1.0), math.inf)
        return constraints.interval(self.loc, end)

    @property
    def _shape(self) -> tuple[Tensor, Tensor]:
        """(whether ξ is 0, ξ where it is not)."""
        zero = isclose(self.concentration, full_like(self.concentration, 0.0))
        return zero, where(zero, 1.0, self.concentration)

    @property
    def mean(self) -> Tensor:
        xi = self.concentration
        return where(xi < 1, self.loc + self.scale / (1 - where(xi < 1, xi, 0.5)), math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        low = self.concentration < 0.5
        xi = where(low, self.concentration, 0.25)
        return where(low, self.scale**2 / ((1 - xi) ** 2 * (1 - 2 * xi)), math.nan)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.icdf(rand(self._extended_shape(sample_shape), dtype=self.loc.dtype))

    def _log_prob(self, value: Tensor) -> Tensor:
        z, (zero, xi) = (value - self.loc) / self.scale, self._shape
        power = 1 / xi + 1
        curved = where(power == 0, power, power * log1p(xi * z))
        return -log(self.scale) - where(zero, z, curved)

    def log_survival_function(self, value: Tensor) -> Tensor:
        """ln of the probability of samples above a value."""
        self._validate_sample(value)
        z, (zero, xi) = (value - self.loc) / self.scale, self._shape
        return where(zero, -z, -log1p(xi * z) / xi)

    def log_cdf(self, value: Tensor) -> Tensor:
        """ln of the probability of samples up to a value."""
        return log1p(-exp(self.log_survival_function(value)))

    def _cdf(self, value: Tensor) -> Tensor:
        return exp(self.log_cdf(value))

    def _icdf(self, value: Tensor) -> Tensor:
        rest, (zero, xi) = log1p(-value), self._shape
        return self.loc + self.scale * where(zero, -rest, expm1(-xi * rest) / xi)

    def entropy(self) -> Tensor:
        return log(self.scale) + self.concentration + 1


__all__ = ["Cauchy", "GeneralizedPareto", "Gumbel", "Laplace", "Normal", "StudentT", "Uniform"]
