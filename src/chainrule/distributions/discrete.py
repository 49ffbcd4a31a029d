"""Distributions of whole numbers: successes, trials and counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from chainrule.distributions import constraints
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.positive import Gamma
from chainrule.distributions.utils import limits_of, logits_to_probs, probs_to_logits
from chainrule.errors import ArgumentError, NotDefinedError
from chainrule.ops.compare import where
from chainrule.ops.creation import arange
from chainrule.ops.draws import bernoulli, binomial, poisson, rand
from chainrule.ops.elementwise import exp, log, log1p
from chainrule.ops.gamma import lgamma
from chainrule.ops.special import sigmoid, softplus
from chainrule.ops.transcendental import xlog1py, xlogy
from chainrule.tensor import Tensor


def cross_entropy(logits: Tensor, p: Tensor) -> Tensor:
    """−p·ln σ(l) − (1 − p)·ln(1 − σ(l)), of logits l."""
    return (1 - p) * logits + softplus(-logits)


class OfProbsOrLogits(Distribution):
    """The base class of families that are given by probabilities or by their logits.

    is_binary: whether logits are ln(p/(1 − p)), else ln p.
    """

    arg_constraints: ClassVar[Any] = {
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    is_binary = True

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        given: Tensor | None = self.__dict__.get("probs")
        return logits_to_probs(self.logits, self.is_binary) if given is None else given

    @property
    def logits(self) -> Tensor:
        """The logits of the probabilities."""
        given: Tensor | None = self.__dict__.get("logits")
        return probs_to_logits(self.probs, self.is_binary) if given is None else given

    @property
    def _param(self) -> Tensor:
        """The parameter that was given, probs or logits."""
        own = self.__dict__
        given: Tensor = own["probs"] if "probs" in own else own["logits"]
        return given

    @property
    def param_shape(self) -> tuple[int, ...]:
        """The shape of the parameter."""
        return self._param.shape


def either(probs: Any, logits: Any) -> dict[str, Any]:
    """The one of two parameters that was given, by its name."""
    if (probs is None) == (logits is None):
        raise ArgumentError("either probs or logits is given, not both", instead="probs=0.5")
    return {"probs": probs} if logits is None else {"logits": logits}


class Bernoulli(OfProbsOrLogits):
    """1 with probability probs, else 0.

    >>> import chainrule as cr
    >>> Bernoulli(probs=0.25).log_prob(cr.tensor([0.0, 1.0]))
    tensor([-0.2877, -1.3863])
    """

    support = constraints.boolean
    has_enumerate_support = True

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._take(validate_args, **either(probs, logits))

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        p = self.probs.detach()
        return where(p == 0.5, math.nan, (p > 0.5).to(p.dtype))

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def _draw(self, sample_shape: Sequence[int]) -> Tensor:
        return bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def _log_prob(self, value: Tensor) -> Tensor:
        logits = self.logits
        return -cross_entropy(logits, value.to(logits.dtype))

    def entropy(self) -> Tensor:
        return cross_entropy(self.logits, self.probs)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._values(arange(2, dtype=self._param.dtype), expand)


class Geometric(OfProbsOrLogits):
    """The number k of failures before the first success: p(k) = (1 − probs)ᵏ·probs.

    >>> import chainrule as cr
    >>> Geometric(0.5).log_prob(cr.tensor([0.0, 1.0]))
    tensor([-0.6931, -1.3863])
    """

    support = constraints.nonnegative_integer

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._take(validate_args, **either(probs, logits))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._check("probs", constraints.greater_than(0.0))

    @property
    def mean(self) -> Tensor:
        return 1 / self.probs - 1

    @property
    def mode(self) -> Tensor:
        return self.probs.detach() * 0

    @property
    def variance(self) -> Tensor:
        return (1 / self.probs - 1) / self.probs

    def _draw(self, sample_shape: Sequence[int]) -> Tensor:
        p = self.probs
        u = rand(self._extended_shape(sample_shape), dtype=p.dtype).clamp(min=limits_of(p)[1])
        return (log(u) / log1p(-p)).floor()

    def _log_prob(self, value: Tensor) -> Tensor:
        p = self.probs
        return xlog1py(value.to(p.dtype), -p) + log(p)

    def entropy(self) -> Tensor:
        return cross_entropy(self.logits, self.probs) / self.probs


class Poisson(Distribution):
    """p(k) = rateᵏ·e^−rate/k!.

    >>> import chainrule as cr
    >>> Poisson(2.0).log_prob(cr.tensor([0.0, 1.0]))
    tensor([-2.    , -1.3069])
    """

    arg_constraints: ClassVar[Any] = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer
    rate: Tensor

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        self._take(validate_args, rate=rate)

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def mode(self) -> Tensor:
        return self.rate.floor()

    @property
    def variance(self) -> Tensor:
        return self.rate

    def _draw(self, sample_shape: Sequence[int]) -> Tensor:
        return poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def _log_prob(self, value: Tensor) -> Tensor:
        k = value.to(self.rate.dtype)
        return xlogy(k, self.rate) - self.rate - lgamma(k + 1)


class Binomial(OfProbsOrLogits):
    """The number k of successes in n = total_count trials: p(k) = (n over k)·pᵏ·(1 − p)ⁿ⁻ᵏ.

    >>> import chainrule as cr
    >>> Binomial(2, probs=0.5).log_prob(cr.tensor([0.0, 1.0])).exp()
    tensor([0.25, 0.5 ])
    """

    arg_constraints: ClassVar[Any] = {
        "total_count": constraints.nonnegative_integer,
        **OfProbsOrLogits.arg_constraints,
    }
    has_enumerate_support = True
    total_count: Tensor

    def __init__(
        self,
        total_count: Any = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self._take(validate_args, **either(probs, logits), total_count=total_count)

    @property
    def support(self) -> Any:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def _draw(self, sample_shape: Sequence[int]) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def _log_prob(self, value: Tensor) -> Tensor:
        n, logits = self.total_count, self.logits
        k = value.to(logits.dtype)
        ways = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
        return k * logits - n * softplus(logits) + ways

    def entropy(self) -> Tensor:
        log_p = self._log_prob(self.enumerate_support(False))
        return -(exp(log_p) * log_p).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        n = int(self.total_count.max())
        if int(self.total_count.min()) != n:
            raise NotDefinedError("the values of Binomial are not listed for unequal total_count")
        return self._values(arange(n + 1, dtype=self._param.dtype), expand)


class NegativeBinomial(OfProbsOrLogits):
    """The number k of successes before n = total_count failures; n need not be whole.

    >>> import chainrule as cr
    >>> NegativeBinomial(1.0, probs=0.5).log_prob(cr.tensor([0.0, 1.0]))
    tensor([-0.6931, -1.3863])
    """

    arg_constraints: ClassVar[Any] = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer
    total_count: Tensor

    def __init__(
        self,
        total_count: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self._take(validate_args, **either(probs, logits), total_count=total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * exp(self.logits)

    @property
    def mode(self) -> Tensor:
        return ((self.total_count - 1) * exp(self.logits)).floor().clamp(min=0)

    @property
    def variance(self) -> Tensor:
        return self.mean / sigmoid(-self.logits)

    def _draw(self, sample_shape: Sequence[int]) -> Tensor:
        rates = Gamma(self.total_count, exp(-self.logits), validate_args=False)
        return poisson(rates.sample(sample_shape))

    def _log_prob(self, value: Tensor) -> Tensor:
        n, logits = self.total_count, self.logits
        k = value.to(logits.dtype)
        ways = where(n + k == 0, 0.0, lgamma(n + k) - lgamma(1 + k) - lgamma(n))
        return ways - n * softplus(logits) - k * softplus(-logits)


__all__ = ["Bernoulli", "Binomial", "Geometric", "NegativeBinomial", "Poisson"]
