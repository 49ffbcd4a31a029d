"""Distributions over classes: positions, one-hot vectors, counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from chainrule.distributions import constraints
from chainrule.distributions.discrete import Binomial, OfProbsOrLogits, either
from chainrule.distributions.utils import as_tensors, normalized_logits
from chainrule.errors import ArgumentError, ShapeError
from chainrule.ops.compare import where
from chainrule.ops.creation import arange, eye, full, zeros_like
from chainrule.ops.draws import multinomial
from chainrule.ops.elementwise import exp
from chainrule.ops.gamma import lgamma
from chainrule.ops.index import gather
from chainrule.ops.rules import broadcast_shapes
from chainrule.ops.select import scatter
from chainrule.tensor import Tensor

_CLASSES = {"probs": constraints.simplex, "logits": constraints.real_vector}


class OfClasses(OfProbsOrLogits):
    """The base class: k classes with probabilities that are normalized to the sum 1, (..., k)."""

    arg_constraints: ClassVar[Any] = _CLASSES
    is_binary = False

    def _take_classes(
        self, probs: Any, logits: Any, validate_args: bool | None, vectors: bool
    ) -> None:
        """Keep normalized parameters; samples are positions, or vectors."""
        ((name, value),) = either(probs, logits).items()
        (x,) = as_tensors([value])
        if not x.ndim:
            raise ShapeError(f"{name} has a dimension for the classes", given=x.shape)
        x = normalized_logits(x) if name == "logits" else x / x.sum(-1, True)
        self._take(validate_args, x.shape[-1:] if vectors else (), **{name: x})

    @property
    def _num_events(self) -> int:
        return self._param.shape[-1]

    def _positions(self, sample_shape: Sequence[int]) -> Tensor:
        """Positions of classes: sample_shape + batch_shape."""
        rows = self.probs.reshape(-1, self._num_events)
        drawn = multinomial(rows, math.prod(sample_shape), replacement=True)
        return drawn.T.reshape(*sample_shape, *self._batch_shape)

    def _log_prob_of(self, positions: Tensor) -> Tensor:
        shape = broadcast_shapes(positions.shape, self._batch_shape)
        logits = self.logits.expand(*shape, self._num_events)
        return gather(logits, -1, positions.expand(shape).unsqueeze(-1)).squeeze(-1)

    def _one_hot(self, positions: Tensor) -> Tensor:
        zeros = zeros_like(self._param).expand(*positions.shape, self._num_events)
        return scatter(zeros, -1, positions.unsqueeze(-1), 1.0)

    def entropy(self) -> Tensor:
        logits = self.logits
        finite = where(logits == -math.inf, 0.0, logits)
        return -(self.probs * finite).sum(-1)


class Categorical(OfClasses):
    """The position of a class: p(i) = probsᵢ, or eˡ/Σeˡ of logits l.

    >>> import chainrule as cr
    >>> Categorical(logits=cr.zeros(4)).log_prob(cr.tensor(2))
    tensor(-1.3863)
    """

    has_enumerate_support = True

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._take_classes(probs, logits, validate_args, vectors=False)

    @property
    def support(self) -> Any:
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def mean(self) -> Tensor:
        return full(self._batch_shape, math.nan, dtype=self._param.dtype)

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(-1)

    @property
    def variance(self) -> Tensor:
        return self.mean

    def _draw(self, sample_shape: Sequence[int]) -> Tensor:
        return self._positions(sample_shape)

    def _log_prob(self, value: Tensor) -> Tensor:
        return self._log_prob_of(value.long())

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._values(arange(self._num_events), expand)


class OneHotCategorical(OfClasses):
    """A class as a vector of 0 with a 1 at its position.

    >>> import chainrule as cr
    >>> OneHotCategorical(probs=cr.tensor([0.25, 0.75])).log_prob(cr.tensor([0.0, 1.0])).exp()
    tensor(0.75)
    """

    support = constraints.one_hot
    has_enumerate_support = True

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._take_classes(probs, logits, validate_args, vectors=True)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        return self._one_hot(self.probs.argmax(-1))

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def _draw(self, sample_shape: Sequence[int]) -> Tensor:
        return self._one_hot(self._positions(sample_shape))

    def _log_prob(self, value: Tensor) -> Tensor:
        return self._log_prob_of(value.argmax(-1))

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._values(eye(self._num_events, dtype=self._param.dtype), expand)


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """One-hot vectors whose gradient is that of the probabilities (Bengio et al., 2013)."""

    has_rsample = True

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        probs = self.probs
        return self.sample(sample_shape) + (probs - probs.detach())


class Multinomial(OfClasses):
    """How often each class comes in total_count draws.

    >>> import chainrule as cr
    >>> Multinomial(2, probs=cr.tensor([0.5, 0.5])).log_prob(cr.tensor([1.0, 1.0])).exp()
    tensor(0.5)
    """

    total_count: int

    def __init__(
        self,
        total_count: int = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(total_count, int):
            raise ArgumentError("Multinomial has one total_count, an integer", given=total_count)
        self.total_count = total_count
        self._take_classes(probs, logits, validate_args, vectors=True)

    @property
    def support(self) -> Any:
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def _draw(self, sample_shape: Sequence[int]) -> Tensor:
        return self._one_hot(self._positions((self.total_count, *sample_shape))).sum(0)

    def _log_prob(self, value: Tensor) -> Tensor:
        counts = value.to(self._param.dtype)
        ways = lgamma(counts.sum(-1) + 1) - lgamma(counts + 1).sum(-1)
        logits = where((counts == 0) & (self.logits == -math.inf), 0.0, self.logits)
        return ways + (logits * counts).sum(-1)

    def entropy(self) -> Tensor:
        """n·H − ln n! + Σᵢ E ln kᵢ!, with H the entropy of one draw and kᵢ binomial."""
        n = self.total_count
        binomial = Binomial(n, probs=self.probs, validate_args=False)
        counts = binomial.enumerate_support(False)
        expected = (exp(binomial._log_prob(counts)) * lgamma(counts + 1)).sum((0, -1))
        return n * super().entropy() - math.lgamma(n + 1) + expected


__all__ = ["Categorical", "Multinomial", "OneHotCategorical", "OneHotCategoricalStraightThrough"]
