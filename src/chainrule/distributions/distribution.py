"""The base class of distributions: shapes, checks of parameters and values, samples."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from chainrule.distributions.constraints import Constraint, is_dependent
from chainrule.distributions.utils import as_tensors
from chainrule.errors import ArgumentError, NotDefinedError, ShapeError
from chainrule.grad_mode import no_grad
from chainrule.ops.creation import full_like
from chainrule.ops.elementwise import exp, sqrt
from chainrule.ops.rules import broadcast_shapes, require_all
from chainrule.primitive import Shape
from chainrule.tensor import Tensor


class Distribution:
    """A distribution of tensors, or as many independent ones as `batch_shape` has places.

    A sample has the shape `sample_shape + batch_shape + event_shape`. Its probability is one number
    for each place of `sample_shape + batch_shape`.

    A family defines `support`, `_log_prob` and `rsample` (or `_draw`, where samples have no
    gradient), and of `mean`, `mode`, `variance`, `entropy`, `_cdf` and `_icdf` what there is.

    arg_constraints: the set in which each parameter is. has_rsample: whether samples have gradients
    by the parameters (`rsample`). has_enumerate_support: whether `enumerate_support` lists all
    values.

    Errors: ArgumentError for parameters outside of their sets, and for values outside of the
    support, unless `validate_args` is False; NotDefinedError for what a family does not have.
    """

    arg_constraints: ClassVar[Mapping[str, Constraint]] = {}
    support: Any = None
    has_rsample: Any = False
    has_enumerate_support = False
    _validate_args = __debug__

    def __init__(
        self,
        batch_shape: Sequence[int] = (),
        event_shape: Sequence[int] = (),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape: Shape = tuple(batch_shape)
        self._event_shape: Shape = tuple(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()

    def _take(self, validate_args: bool | None, event_shape: Shape = (), **given: Any) -> None:
        """Keep parameters, given as tensors or numbers, broadcast to one batch shape."""
        tensors = dict(zip(given, as_tensors([*given.values()]), strict=True))
        own = {name: self._event_of(name, x) for name, x in tensors.items()}
        batch = broadcast_shapes(*[x.shape[: x.ndim - len(own[n])] for n, x in tensors.items()])
        for name, x in tensors.items():
            shape = (*batch, *own[name])
            self.__dict__[name] = x if x.shape == shape else x.expand(shape)
        Distribution.__init__(self, batch, event_shape, validate_args)

    def _event_of(self, name: str, x: Tensor) -> Shape:
        """The last dimensions of a parameter, those of one element."""
        n = self.arg_constraints[name].event_dim
        if x.ndim < n:
            raise ShapeError(f"{name} has at least {n} dimensions", given=x.shape)
        return x.shape[x.ndim - n :]

    def _check_parameters(self) -> None:
        for name, constraint in self.arg_constraints.items():
            self._check(name, constraint)

    def _check(self, name: str, constraint: Constraint) -> None:
        """Raise ArgumentError if a parameter that was given is not in a set."""
        x = self.__dict__.get(name)
        if x is not None and not is_dependent(constraint):
            problem = f"the parameter {name} of {type(self).__name__} is not valid"
            require_all(constraint.check(x), x, problem, expected=str(constraint))

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Set whether distributions check their arguments where `validate_args` is not given."""
        if value not in (True, False):
            raise ArgumentError("validate_args is True or False", given=value)
        Distribution._validate_args = value

    # -- shapes ------------------------------------------------------------------------------------

    @property
    def batch_shape(self) -> Shape:
        """The shape of the parameters, of one independent distribution each."""
        return self._batch_shape

    @property
    def event_shape(self) -> Shape:
        """The shape of one sample of one of them."""
        return self._event_shape

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The distribution with its parameters expanded to another batch shape."""
        new = copy.copy(self) if _instance is None else _instance
        new._batch_shape, new._event_shape = tuple(batch_shape), self._event_shape
        for name in self.arg_constraints:
            x = self.__dict__.get(name)
            if x is not None:
                new.__dict__[name] = x.expand(*batch_shape, *self._event_of(name, x))
        return new

    def _extended_shape(self, sample_shape: Sequence[int] = ()) -> Shape:
        """The shape of samples."""
        return (*sample_shape, *self._batch_shape, *self._event_shape)

    # -- samples -----------------------------------------------------------------------------------

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Samples, without gradients."""
        with no_grad():
            return self._draw(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Samples as differentiable functions of the parameters (Kingma & Welling, 2014)."""
        raise NotDefinedError(
            f"samples of {type(self).__name__} are no differentiable functions of its parameters",
            instead="Use sample() and the gradient of log_prob (Williams, 1992).",
        )

    def _draw(self, sample_shape: Sequence[int]) -> Tensor:
        return self.rsample(sample_shape)

    def sample_n(self, n: int) -> Tensor:
        """n samples."""
        return self.sample((n,))

    # -- probabilities -----------------------------------------------------------------------------

    def log_prob(self, value: Tensor) -> Tensor:
        """ln p(value): of the density, or of the probability of a discrete value."""
        self._validate_sample(value)
        return self._log_prob(value)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of samples up to a value."""
        self._validate_sample(value)
        return self._cdf(value)

    def icdf(self, value: Tensor) -> Tensor:
        """The value up to which samples have a probability: the inverse of `cdf`."""
        return self._icdf(value)

    def _log_prob(self, value: Tensor) -> Tensor:
        raise self._without("log_prob")

    def _cdf(self, value: Tensor) -> Tensor:
        raise self._without("cdf")

    def _icdf(self, value: Tensor) -> Tensor:
        raise self._without("icdf")

    def entropy(self) -> Tensor:
        """−E ln p, of each of the batch."""
        raise self._without("entropy")

    def perplexity(self) -> Tensor:
        """e to the power of the entropy."""
        return exp(self.entropy())

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values, along a new first dimension; with `expand`, for each place of the batch."""
        raise self._without("enumerate_support")

    def _values(self, values: Tensor, expand: bool) -> Tensor:
        """Values along the first dimension, for each place of the batch."""
        n = len(self._batch_shape)
        y = values.reshape(-1, *[1] * n, *values.shape[1:])
        return y.expand(-1, *self._batch_shape, *values.shape[1:]) if expand else y

    # -- moments -----------------------------------------------------------------------------------

    @property
    def mean(self) -> Tensor:
        """E x."""
        raise self._without("mean")

    @property
    def mode(self) -> Tensor:
        """The value of the largest probability."""
        raise self._without("mode")

    @property
    def variance(self) -> Tensor:
        """E (x − E x)²."""
        raise self._without("variance")

    @property
    def stddev(self) -> Tensor:
        """√variance."""
        return sqrt(self.variance)

    # -- checks ------------------------------------------------------------------------------------

    def _validate_sample(self, value: Tensor) -> None:
        """Raise an error for a value that is no sample, unless `validate_args` is False."""
        if not self._validate_args:
            return
        kind, n = type(self).__name__, len(self._event_shape)
        if not isinstance(value, Tensor):
            raise ArgumentError("a value is a tensor", given=type(value).__name__)
        if value.ndim < n or value.shape[value.ndim - n :] != self._event_shape:
            raise ShapeError(
                f"the last sizes of a value of {kind} are those of an event",
                given=value.shape,
                expected=f"(..., {', '.join(map(str, self._event_shape))})",
            )
        broadcast_shapes(value.shape[: value.ndim - n], self._batch_shape)
        if self.support is not None:
            problem = f"a value is outside of the support of {kind}"
            require_all(self.support.check(value), value, problem, expected=str(self.support))

    def _without(self, what: str) -> NotDefinedError:
        return NotDefinedError(f"{type(self).__name__} has no {what}")

    def __repr__(self) -> str:
        given = {name: self.__dict__.get(name) for name in self.arg_constraints}
        shown = [
            f"{name}: {x if x.numel() == 1 else x.size()}"
            for name, x in given.items()
            if isinstance(x, Tensor)
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


def undefined(like: Tensor) -> Tensor:
    """NaN in the shape of a parameter: a moment that does not exist."""
    return full_like(like, math.nan)
