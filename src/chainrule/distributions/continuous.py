"""The continuous Bernoulli distribution, of numbers between 0 and 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.distributions import constraints
from chainrule.distributions.discrete import OfProbsOrLogits, cross_entropy, either
from chainrule.distributions.utils import clamp_probs
from chainrule.ops.compare import where
from chainrule.ops.draws import rand
from chainrule.ops.elementwise import abs, log, log1p
from chainrule.tensor import Tensor


class ContinuousBernoulli(OfProbsOrLogits):
    """p(x) = C(λ)·λˣ·(1 − λ)¹⁻ˣ of x in [0, 1], λ = probs (Loaiza-Ganem & Cunningham, 2019).

    C(λ) = 2·artanh(1 − 2λ)/(1 − 2λ). Between the `lims` around ½, where that is 0/0, a Taylor
    series stands for it.

    >>> import chainrule as cr
    >>> ContinuousBernoulli(probs=0.25).log_prob(cr.tensor([0.0, 1.0]))
    tensor([ 0.4995, -0.5991])
    """

    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        self._lims = lims
        self._take(validate_args, **either(probs, logits))
        if probs is not None:
            self.__dict__["probs"] = clamp_probs(self.probs)

    @property
    def probs(self) -> Tensor:
        """λ, inside (0, 1)."""
        given: Tensor | None = self.__dict__.get("probs")
        return clamp_probs(super().probs) if given is None else given

    @property
    def _parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(whether λ is away from ½, a λ that is, ln λ − ln(1 − λ) of that, λ − ½)."""
        p = self.probs
        away = (p <= self._lims[0]) | (p > self._lims[1])
        safe = where(away, p, self._lims[0])
        return away, safe, log(safe) - log1p(-safe), p - 0.5

    @property
    def _log_constant(self) -> Tensor:
        """ln C(λ)."""
        away, p, logit, x = self._parts
        series = math.log(2) + (4 / 3 + 104 / 45 * x**2) * x**2
        return where(away, log(abs(logit)) - log(abs(1 - 2 * p)), series)

    @property
    def mean(self) -> Tensor:
        away, p, logit, x = self._parts
        series = 0.5 + (1 / 3 + 16 / 45 * x**2) * x
        return where(away, p / (2 * p - 1) - 1 / logit, series)

    @property
    def variance(self) -> Tensor:
        away, p, logit, x = self._parts
        series = 1 / 12 - (1 / 15 - 128 / 945 * x**2) * x**2
        return where(away, p * (p - 1) / (1 - 2 * p) ** 2 + 1 / logit**2, series)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.icdf(rand(self._extended_shape(sample_shape), dtype=self._param.dtype))

    def _log_prob(self, value: Tensor) -> Tensor:
        return self._log_constant - cross_entropy(self.logits, value)

    def _cdf(self, value: Tensor) -> Tensor:
        away, p, _, _ = self._parts
        inside = value.clamp(0, 1)
        part = (p**inside * (1 - p) ** (1 - inside) + p - 1) / (2 * p - 1)
        return where(away, part, inside)

    def _icdf(self, value: Tensor) -> Tensor:
        away, p, logit, _ = self._parts
        return where(away, (log1p(-p + value * (2 * p - 1)) - log1p(-p)) / logit, value)

    def entropy(self) -> Tensor:
        p = self.probs
        return self.mean * (log1p(-p) - log(p)) - self._log_constant - log1p(-p)


__all__ = ["ContinuousBernoulli"]
