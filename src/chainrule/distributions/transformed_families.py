"""Families made by transforms: log-normal, half-normal, Weibull, Pareto and others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from chainrule.distributions import constraints
from chainrule.distributions.location_scale import Cauchy, LocationScale, Normal, Uniform
from chainrule.distributions.positive import Exponential, Gamma
from chainrule.distributions.transformed import TransformedDistribution
from chainrule.distributions.transforms import (
    AbsTransform,
    AffineTransform,
    ExpTransform,
    PowerTransform,
    StickBreakingTransform,
)
from chainrule.distributions.utils import broadcast_all
from chainrule.ops.compare import where
from chainrule.ops.creation import full_like
from chainrule.ops.elementwise import exp, expm1, log
from chainrule.ops.gamma import digamma, lgamma
from chainrule.tensor import Tensor

_EULER = 0.57721566490153286060


class LogNormal(TransformedDistribution):
    """eˣ of x of N(loc, scale²).

    >>> import chainrule as cr
    >>> LogNormal(0.0, 1.0).log_prob(cr.tensor(1.0))
    tensor(-0.9189)
    """

    arg_constraints: ClassVar[Any] = LocationScale.arg_constraints
    support = constraints.positive
    base_dist: Normal

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Normal(loc, scale, validate_args), ExpTransform(), validate_args)

    @property
    def loc(self) -> Tensor:
        """The mean of ln x."""
        return self.base_dist.loc

    @property
    def scale(self) -> Tensor:
        """The standard deviation of ln x."""
        return self.base_dist.scale

    @property
    def mean(self) -> Tensor:
        return exp(self.loc + self.scale**2 / 2)

    @property
    def mode(self) -> Tensor:
        return exp(self.loc - self.scale**2)

    @property
    def variance(self) -> Tensor:
        square = self.scale**2
        return expm1(square) * exp(2 * self.loc + square)

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() + self.loc


class Folded(TransformedDistribution):
    """The base class: |x| of a distribution that is symmetric about 0."""

    arg_constraints: ClassVar[Any] = {"scale": constraints.positive}
    support = constraints.nonnegative

    def _fold(self, base: LocationScale, validate_args: bool | None) -> None:
        TransformedDistribution.__init__(self, base, AbsTransform(), validate_args)

    @property
    def scale(self) -> Tensor:
        """The scale of x."""
        scale: Tensor = self.base_dist.scale
        return scale

    @property
    def mode(self) -> Tensor:
        return self.scale.detach() * 0

    def _log_prob(self, value: Tensor) -> Tensor:
        inside = value >= 0
        log_p = self.base_dist._log_prob(where(inside, value, 0.0)) + math.log(2)
        return where(inside, log_p, -math.inf)

    def _cdf(self, value: Tensor) -> Tensor:
        return 2 * self.base_dist._cdf(value) - 1

    def _icdf(self, value: Tensor) -> Tensor:
        return self.base_dist._icdf((value + 1) / 2)

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() - math.log(2)


class HalfNormal(Folded):
    """|x| of x of N(0, scale²).

    >>> import chainrule as cr
    >>> HalfNormal(1.0).log_prob(cr.tensor(0.0))
    tensor(-0.2258)
    """

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        self._fold(Normal(0.0, scale, validate_args), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Tensor:
        return self.scale**2 * (1 - 2 / math.pi)


class HalfCauchy(Folded):
    """|x| of x of Cauchy(0, scale).

    >>> import chainrule as cr
    >>> HalfCauchy(1.0).cdf(cr.tensor(1.0))
    tensor(0.5)
    """

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        self._fold(Cauchy(0.0, scale, validate_args), validate_args)

    @property
    def mean(self) -> Tensor:
        return full_like(self.scale, math.inf)

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance


class InverseGamma(TransformedDistribution):
    """1/x of x of Gamma(concentration, rate).

    >>> InverseGamma(3.0, 1.0).mean
    tensor(0.5)
    """

    arg_constraints: ClassVar[Any] = {
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }
    support = constraints.positive

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        base = Gamma(concentration, rate, validate_args)
        super().__init__(base, PowerTransform(-1.0), validate_args)

    @property
    def concentration(self) -> Tensor:
        """α of 1/x."""
        alpha: Tensor = self.base_dist.concentration
        return alpha

    @property
    def rate(self) -> Tensor:
        """The rate of 1/x."""
        rate: Tensor = self.base_dist.rate
        return rate

    @property
    def mean(self) -> Tensor:
        return where(self.concentration > 1, self.rate / (self.concentration - 1), math.inf)

    @property
    def mode(self) -> Tensor:
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Tensor:
        a = self.concentration
        return where(a > 2, self.rate**2 / ((a - 1) ** 2 * (a - 2)), math.inf)

    def entropy(self) -> Tensor:
        a = self.concentration
        return a + log(self.rate) + lgamma(a) - (1 + a) * digamma(a)


class Weibull(TransformedDistribution):
    """scale·E^(1/k) of an exponential number E, k the concentration.

    >>> import chainrule as cr
    >>> Weibull(1.0, 1.0).log_prob(cr.tensor(2.0))
    tensor(-2.)
    """

    arg_constraints: ClassVar[Any] = {
        "scale": constraints.positive,
        "concentration": constraints.positive,
    }
    support = constraints.positive
    scale: Tensor
    concentration: Tensor

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = broadcast_all(scale, concentration)
        base = Exponential(full_like(self.scale, 1.0), validate_args)
        power = PowerTransform(1 / self.concentration)
        super().__init__(base, [power, AffineTransform(0, self.scale)], validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        scale, k = (x.expand(batch_shape) for x in (self.scale, self.concentration))
        return Weibull(scale, k, self._validate_args)

    @property
    def mean(self) -> Tensor:
        return self.scale * exp(lgamma(1 + 1 / self.concentration))

    @property
    def mode(self) -> Tensor:
        k = self.concentration
        return self.scale * ((k - 1) / k) ** (1 / k)

    @property
    def variance(self) -> Tensor:
        first, second = (lgamma(1 + n / self.concentration) for n in (1, 2))
        return self.scale**2 * (exp(second) - exp(2 * first))

    def entropy(self) -> Tensor:
        k = self.concentration
        return _EULER * (1 - 1 / k) + log(self.scale / k) + 1


class Kumaraswamy(TransformedDistribution):
    """p(x) = a·b·x^(a − 1)·(1 − xᵃ)^(b − 1) on (0, 1), a = concentration1, b = concentration0.

    Close to Beta(a, b), and with an inverse of its distribution function: (1 − U^(1/b))^(1/a).

    >>> import chainrule as cr
    >>> Kumaraswamy(2.0, 3.0).cdf(cr.tensor(0.5))
    tensor(0.5781)
    """

    arg_constraints: ClassVar[Any] = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval
    concentration1: Tensor
    concentration0: Tensor

    def __init__(
        self, concentration1: Any, concentration0: Any, validate_args: bool | None = None
    ) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        one = full_like(self.concentration0, 1.0)
        parts = [
            PowerTransform(1 / self.concentration0),
            AffineTransform(1.0, -1.0),
            PowerTransform(1 / self.concentration1),
        ]
        super().__init__(Uniform(one * 0, one, validate_args), parts, validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        a, b = (x.expand(batch_shape) for x in (self.concentration1, self.concentration0))
        return Kumaraswamy(a, b, self._validate_args)

    def _moment(self, n: int) -> Tensor:
        """E xⁿ = b·B(1 + n/a, b)."""
        power, b = 1 + n / self.concentration1, self.concentration0
        return exp(log(b) + lgamma(power) + lgamma(b) - lgamma(power + b))

    @property
    def mean(self) -> Tensor:
        return self._moment(1)

    @property
    def mode(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        inside = (a >= 1) & (b >= 1) & (a * b > 1)
        return where(inside, ((a - 1) / where(inside, a * b - 1, 1.0)) ** (1 / a), math.nan)

    @property
    def variance(self) -> Tensor:
        return self._moment(2) - self.mean**2

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        return 1 - 1 / b + (1 - 1 / a) * (digamma(b + 1) + _EULER) - log(a) - log(b)


class Pareto(TransformedDistribution):
    """p(x) ∝ x^−(alpha + 1) from scale on.

    >>> import chainrule as cr
    >>> Pareto(1.0, 2.0).log_prob(cr.tensor(1.0)).exp()
    tensor(2.)
    """

    arg_constraints: ClassVar[Any] = {"alpha": constraints.positive, "scale": constraints.positive}
    scale: Tensor
    alpha: Tensor

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = broadcast_all(scale, alpha)
        base = Exponential(self.alpha, validate_args)
        super().__init__(base, [ExpTransform(), AffineTransform(0, self.scale)], validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        scale, alpha = (x.expand(batch_shape) for x in (self.scale, self.alpha))
        return Pareto(scale, alpha, self._validate_args)

    @property
    def support(self) -> Any:
        return constraints.greater_than_eq(self.scale)

    @property
    def mean(self) -> Tensor:
        a = self.alpha.clamp(min=1)
        return a * self.scale / (a - 1)

    @property
    def mode(self) -> Tensor:
        return self.scale

    @property
    def variance(self) -> Tensor:
        a = self.alpha.clamp(min=2)
        return self.scale**2 * a / ((a - 1) ** 2 * (a - 2))

    def entropy(self) -> Tensor:
        return log(self.scale / self.alpha) + 1 + 1 / self.alpha


class LogisticNormal(TransformedDistribution):
    """Probabilities of k + 1 events, by breaking sticks, of k normal numbers.

    >>> import chainrule as cr
    >>> LogisticNormal(cr.zeros(2), cr.ones(2)).sample().shape
    (3,)
    """

    arg_constraints: ClassVar[Any] = LocationScale.arg_constraints
    support = constraints.simplex

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args)
        base = base if base.batch_shape else base.expand((1,))
        super().__init__(base, StickBreakingTransform(), validate_args)

    @property
    def loc(self) -> Tensor:
        """The means of the normal numbers."""
        loc: Tensor = self.base_dist.base_dist.loc
        return loc

    @property
    def scale(self) -> Tensor:
        """The standard deviations of the normal numbers."""
        scale: Tensor = self.base_dist.base_dist.scale
        return scale


__all__ = [
    "HalfCauchy",
    "HalfNormal",
    "InverseGamma",
    "LogNormal",
    "LogisticNormal",
    "Pareto",
    "Weibull",
]
