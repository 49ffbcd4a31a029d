"""Transforms from real numbers to constrained ones, such as the parameters of a distribution.

`biject_to(constraint)` is a bijection, for changes of variables; `transform_to(constraint)` need
not be one, which optimization prefers.

>>> import chainrule as cr
>>> from chainrule.distributions import constraints
>>> transform_to(constraints.greater_than(2.0))(cr.tensor(0.0))
tensor(3.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from chainrule.distributions import constraints
from chainrule.distributions.constraints import Constraint
from chainrule.distributions.transforms import (
    AffineTransform,
    CatTransform,
    ComposeTransform,
    CorrCholeskyTransform,
    ExpTransform,
    IndependentTransform,
    LowerCholeskyTransform,
    PositiveDefiniteTransform,
    SigmoidTransform,
    SoftmaxTransform,
    StackTransform,
    StickBreakingTransform,
    Transform,
    identity_transform,
)
from chainrule.errors import NotDefinedError

Factory = Callable[[Any], Transform]


class ConstraintRegistry:
    """A table of constraints and the functions that make transforms for them."""

    def __init__(self) -> None:
        self._factories: dict[type, Factory] = {}

    def register(self, constraint: Any, factory: Factory | None = None) -> Any:
        """Register a function for a constraint or a class of them; without one, a decorator."""
        if factory is None:
            return lambda function: self.register(constraint, function)
        kind = constraint if isinstance(constraint, type) else type(constraint)
        self._factories[kind] = factory
        return factory

    def __call__(self, constraint: Constraint) -> Transform:
        """The transform for a constraint. Raises NotDefinedError if none is registered."""
        for kind in type(constraint).__mro__:
            if kind in self._factories:
                return self._factories[kind](constraint)
        raise NotDefinedError(f"no transform to {constraint} is registered")


biject_to, transform_to = ConstraintRegistry(), ConstraintRegistry()


def _from_bound(constraint: Any) -> Transform:
    """x > bound, or x < bound: the bound ± eˣ."""
    below = constraint.upper_bound is not math.inf
    bound = constraint.upper_bound if below else constraint.lower_bound
    return ComposeTransform([ExpTransform(), AffineTransform(bound, -1 if below else 1)])


def _between(constraint: Any) -> Transform:
    """Between two bounds: a part of the way that sigmoid gives."""
    low, high = constraint.lower_bound, constraint.upper_bound
    return ComposeTransform([SigmoidTransform(), AffineTransform(low, high - low)])


def _fill(registry: ConstraintRegistry, simplex: type[Transform]) -> None:
    """Register what both tables have."""
    registry.register(constraints.Real, lambda constraint: identity_transform)
    registry.register(constraints.GreaterThan, _from_bound)
    registry.register(constraints.GreaterThanEq, _from_bound)
    registry.register(constraints.LessThan, _from_bound)
    registry.register(constraints.Interval, _between)
    registry.register(constraints.HalfOpenInterval, _between)
    registry.register(constraints.Simplex, lambda constraint: simplex())
    registry.register(constraints.CorrCholesky, lambda constraint: CorrCholeskyTransform())
    registry.register(
        constraints.Cat,
        lambda c: CatTransform([registry(part) for part in c.cseq], c.dim, c.lengths),
    )
    registry.register(
        constraints.Stack, lambda c: StackTransform([registry(part) for part in c.cseq], c.dim)
    )
    registry.register(
        constraints.IndependentConstraint,
        lambda constraint: IndependentTransform(
            registry(constraint.base_constraint), constraint.reinterpreted_batch_ndims
        ),
    )


_fill(biject_to, StickBreakingTransform)
_fill(transform_to, SoftmaxTransform)
transform_to.register(constraints.LowerCholesky, lambda constraint: LowerCholeskyTransform())
for positive in (constraints.PositiveDefinite, constraints.PositiveSemidefinite):
    transform_to.register(positive, lambda constraint: PositiveDefiniteTransform())

__all__ = ["biject_to", "transform_to"]
