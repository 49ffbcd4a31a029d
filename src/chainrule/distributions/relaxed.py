"""Discrete choices relaxed to differentiable samples (Maddison et al., 2017; Jang et al., 2017)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from chainrule.distributions import constraints
from chainrule.distributions.categorical import OfClasses
from chainrule.distributions.discrete import OfProbsOrLogits, either
from chainrule.distributions.transformed import TransformedDistribution
from chainrule.distributions.transforms import ExpTransform, SigmoidTransform
from chainrule.distributions.utils import as_tensors, clamp_probs
from chainrule.ops.draws import rand
from chainrule.ops.elementwise import log, log1p
from chainrule.ops.fused import logsumexp
from chainrule.ops.special import softplus
from chainrule.tensor import Tensor


class LogitRelaxedBernoulli(OfProbsOrLogits):
    """The logits of `RelaxedBernoulli`: (logits + logistic noise)/temperature."""

    support = constraints.real
    has_rsample = True

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        (self.temperature,) = as_tensors([temperature])
        self._take(validate_args, **either(probs, logits))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        p, u = clamp_probs(self.probs), clamp_probs(rand(shape, dtype=self._param.dtype))
        return (log(u) - log1p(-u) + log(p) - log1p(-p)) / self.temperature

    def _log_prob(self, value: Tensor) -> Tensor:
        difference = self.logits - value * self.temperature
        return log(self.temperature) + difference - 2 * softplus(difference)


class RelaxedBernoulli(TransformedDistribution):
    """Numbers in (0, 1), near 0 or 1 at a low temperature: Bernoulli with gradients.

    >>> import chainrule as cr
    >>> RelaxedBernoulli(cr.tensor(0.5), probs=cr.tensor([0.1, 0.9])).rsample().shape
    (2,)
    """

    arg_constraints: ClassVar[Any] = OfProbsOrLogits.arg_constraints
    support = constraints.unit_interval

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        base = LogitRelaxedBernoulli(temperature, probs, logits, validate_args)
        super().__init__(base, SigmoidTransform(), validate_args)

    @property
    def temperature(self) -> Tensor:
        """How far from 0 and 1 the samples are."""
        temperature: Tensor = self.base_dist.temperature
        return temperature

    @property
    def probs(self) -> Tensor:
        """The probabilities of 1."""
        probs: Tensor = self.base_dist.probs
        return probs

    @property
    def logits(self) -> Tensor:
        """The logits of the probabilities of 1."""
        logits: Tensor = self.base_dist.logits
        return logits


class ExpRelaxedCategorical(OfClasses):
    """The logarithms of `RelaxedOneHotCategorical`: log softmax of (logits + noise)/temperature."""

    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        (self.temperature,) = as_tensors([temperature])
        self._take_classes(probs, logits, validate_args, vectors=True)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        u = clamp_probs(rand(self._extended_shape(sample_shape), dtype=self._param.dtype))
        scores = (self.logits - log(-log(u))) / self.temperature
        return scores - logsumexp(scores, -1, keepdim=True)

    def _log_prob(self, value: Tensor) -> Tensor:
        k = self._num_events
        score = self.logits - value * self.temperature
        centered = (score - logsumexp(score, -1, keepdim=True)).sum(-1)
        return centered + math.lgamma(k) + (k - 1) * log(self.temperature)


class RelaxedOneHotCategorical(TransformedDistribution):
    """Probabilities near one-hot vectors at a low temperature: classes with gradients.

    >>> import chainrule as cr
    >>> RelaxedOneHotCategorical(cr.tensor(0.5), probs=cr.ones(3)).rsample().shape
    (3,)
    """

    arg_constraints: ClassVar[Any] = OfClasses.arg_constraints
    support = constraints.simplex

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args)
        super().__init__(base, ExpTransform(), validate_args)

    @property
    def temperature(self) -> Tensor:
        """How far from one-hot vectors the samples are."""
        temperature: Tensor = self.base_dist.temperature
        return temperature

    @property
    def probs(self) -> Tensor:
        """The probabilities of the classes."""
        probs: Tensor = self.base_dist.probs
        return probs

    @property
    def logits(self) -> Tensor:
        """The logits of the classes."""
        logits: Tensor = self.base_dist.logits
        return logits


__all__ = ["RelaxedBernoulli", "RelaxedOneHotCategorical"]
