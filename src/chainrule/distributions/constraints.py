"""Constraints: the sets in which the parameters and the values of distributions are.

`check` says of each number (of each vector or matrix, for a set of these) whether it is in the set.
The names are PyTorch's: `positive` is a set, `greater_than(2.0)` makes one.

>>> import chainrule as cr
>>> positive, positive.check(cr.tensor([-1.0, 2.0]))
(GreaterThan(lower_bound=0.0), tensor([False,  True]))
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chainrule import linalg
from chainrule.errors import ShapeError
from chainrule.ops.creation import full
from chainrule.ops.rearrange import narrow, select
from chainrule.ops.shape import cat as joined
from chainrule.ops.shape import stack as stacked
from chainrule.tensor import Tensor

Bound = Any
"""A number, or a tensor of numbers."""


class Constraint:
    """A set of numbers, or of vectors or matrices.

    is_discrete: whether the numbers are isolated. event_dim: how many dimensions an element has.
    lower_bound, upper_bound: the limits of a set of numbers.
    """

    is_discrete = False
    event_dim = 0
    lower_bound: Bound = -math.inf
    upper_bound: Bound = math.inf

    def check(self, value: Tensor) -> Tensor:
        """Whether each element is in the set."""
        raise NotImplementedError


class Dependent(Constraint):
    """A set that depends on other parameters, which is not checked by itself."""

    def __init__(self, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def check(self, value: Tensor) -> Tensor:
        return value == value

    def __repr__(self) -> str:
        return "Dependent()"


# -- numbers ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Real(Constraint):
    """All real numbers."""

    def check(self, value: Tensor) -> Tensor:
        return value == value


@dataclass(frozen=True)
class Boolean(Constraint):
    """0 and 1."""

    is_discrete = True
    lower_bound, upper_bound = 0, 1

    def check(self, value: Tensor) -> Tensor:
        return (value == 0) | (value == 1)


@dataclass(frozen=True, eq=False)
class GreaterThan(Constraint):
    """Numbers above a bound."""

    lower_bound: Bound

    def check(self, value: Tensor) -> Tensor:
        return value > self.lower_bound


@dataclass(frozen=True, eq=False)
class GreaterThanEq(Constraint):
    """Numbers from a bound on."""

    lower_bound: Bound

    def check(self, value: Tensor) -> Tensor:
        return value >= self.lower_bound


@dataclass(frozen=True, eq=False)
class LessThan(Constraint):
    """Numbers below a bound."""

    upper_bound: Bound

    def check(self, value: Tensor) -> Tensor:
        return value < self.upper_bound


@dataclass(frozen=True, eq=False)
class Interval(Constraint):
    """Numbers between two bounds, both included."""

    lower_bound: Bound
    upper_bound: Bound

    def check(self, value: Tensor) -> Tensor:
        return (value >= self.lower_bound) & (value <= self.upper_bound)


@dataclass(frozen=True, eq=False)
class HalfOpenInterval(Constraint):
    """Numbers between two bounds, without the upper one."""

    lower_bound: Bound
    upper_bound: Bound

    def check(self, value: Tensor) -> Tensor:
        return (value >= self.lower_bound) & (value < self.upper_bound)


@dataclass(frozen=True, eq=False)
class IntegerInterval(Constraint):
    """Whole numbers between two bounds, both included."""

    lower_bound: Bound
    upper_bound: Bound
    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        return (value % 1 == 0) & (value >= self.lower_bound) & (value <= self.upper_bound)


@dataclass(frozen=True, eq=False)
class IntegerGreaterThan(Constraint):
    """Whole numbers from a bound on."""

    lower_bound: Bound
    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        return (value % 1 == 0) & (value >= self.lower_bound)


# -- vectors and matrices --------------------------------------------------------------------------


@dataclass(frozen=True)
class IndependentConstraint(Constraint):
    """Arrays of elements of another set: its last `reinterpreted_batch_ndims` dimensions as one."""

    base_constraint: Constraint
    reinterpreted_batch_ndims: int

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        return self.base_constraint.event_dim + self.reinterpreted_batch_ndims

    def check(self, value: Tensor) -> Tensor:
        if value.ndim < self.event_dim:
            raise ShapeError(f"this needs {self.event_dim} dimensions", given=value.shape)
        valid, n = self.base_constraint.check(value), self.reinterpreted_batch_ndims
        return valid.all(tuple(range(-n, 0))) if n else valid


@dataclass(frozen=True)
class Simplex(Constraint):
    """Vectors of numbers ≥ 0 whose sum is 1."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6)


@dataclass(frozen=True)
class OneHot(Constraint):
    """Vectors of one 1, and 0 elsewhere."""

    is_discrete, event_dim = True, 1

    def check(self, value: Tensor) -> Tensor:
        return ((value == 0) | (value == 1)).all(-1) & (value.sum(-1) == 1)


@dataclass(frozen=True, eq=False)
class Multinomial(Constraint):
    """Vectors of counts whose sum is at most a bound."""

    upper_bound: Bound
    is_discrete, event_dim = True, 1

    def check(self, value: Tensor) -> Tensor:
        return (value >= 0).all(-1) & (value.sum(-1) <= self.upper_bound)


@dataclass(frozen=True)
class LowerTriangular(Constraint):
    """Matrices that are 0 above the diagonal."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        return (value.tril() == value).all((-2, -1))


@dataclass(frozen=True)
class LowerCholesky(Constraint):
    """Lower triangular matrices with a positive diagonal."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        return lower_triangular.check(value) & (value.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


@dataclass(frozen=True)
class CorrCholesky(Constraint):
    """Lower triangular matrices with a positive diagonal, and rows of length 1."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        unit = ((value * value).sum(-1) - 1).abs() < 1e-4
        return lower_cholesky.check(value) & unit.all(-1)


@dataclass(frozen=True)
class Square(Constraint):
    """Square matrices."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        return full(value.shape[:-2], value.shape[-2] == value.shape[-1])


@dataclass(frozen=True)
class Symmetric(Constraint):
    """Symmetric matrices, but for rounding."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        if value.shape[-2] != value.shape[-1]:
            raise ShapeError("a symmetric matrix is square", given=value.shape)
        return value.isclose(value.mT, atol=1e-6).all((-2, -1))


@dataclass(frozen=True)
class PositiveSemidefinite(Constraint):
    """Symmetric matrices with eigenvalues ≥ 0."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        return symmetric.check(value) & (linalg.eigvalsh(value) >= 0).all(-1)


@dataclass(frozen=True)
class PositiveDefinite(Constraint):
    """Symmetric matrices with eigenvalues > 0."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        return symmetric.check(value) & (linalg.eigvalsh(value) > 0).all(-1)


# -- parts -----------------------------------------------------------------------------------------


def parts_of(x: Tensor, dim: int, lengths: Sequence[int]) -> list[Tensor]:
    """The parts of a tensor along a dimension. Raises ShapeError for other lengths."""
    if x.shape[dim] != sum(lengths):
        raise ShapeError(f"parts of {[*lengths]} elements", given=x.shape[dim])
    starts = itertools.accumulate(lengths, initial=0)
    return [narrow(x, dim, start, n) for start, n in zip(starts, lengths, strict=False)]


class Cat(Constraint):
    """Arrays whose parts along a dimension, of `lengths` elements, are in sets of their own."""

    def __init__(
        self, cseq: Sequence[Constraint], dim: int = 0, lengths: Sequence[int] | None = None
    ) -> None:
        self.cseq, self.dim = list(cseq), dim
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)
        self.is_discrete = any(c.is_discrete for c in self.cseq)
        self.event_dim = max(c.event_dim for c in self.cseq)

    def check(self, value: Tensor) -> Tensor:
        pairs = zip(self.cseq, parts_of(value, self.dim, self.lengths), strict=True)
        return joined([c.check(part) for c, part in pairs], self.dim)

    def __repr__(self) -> str:
        return "Cat()"


class Stack(Constraint):
    """Arrays whose places along a dimension are in sets of their own."""

    def __init__(self, cseq: Sequence[Constraint], dim: int = 0) -> None:
        self.cseq, self.dim = list(cseq), dim
        self.is_discrete = any(c.is_discrete for c in self.cseq)
        most = max(c.event_dim for c in self.cseq)
        self.event_dim = most + (dim + most < 0)

    def check(self, value: Tensor) -> Tensor:
        places = [select(value, self.dim, i) for i in range(value.shape[self.dim])]
        checked = [c.check(part) for c, part in zip(self.cseq, places, strict=True)]
        return stacked(checked, self.dim)

    def __repr__(self) -> str:
        return "Stack()"


# -- by PyTorch's names ----------------------------------------------------------------------------

dependent = dependent_property = Dependent()
real, boolean, simplex, one_hot = Real(), Boolean(), Simplex(), OneHot()
greater_than, greater_than_eq, less_than = GreaterThan, GreaterThanEq, LessThan
interval, half_open_interval, integer_interval = Interval, HalfOpenInterval, IntegerInterval
independent, multinomial = IndependentConstraint, Multinomial
positive, nonnegative = GreaterThan(0.0), GreaterThanEq(0.0)
positive_integer, nonnegative_integer = IntegerGreaterThan(1), IntegerGreaterThan(0)
unit_interval = Interval(0.0, 1.0)
real_vector = IndependentConstraint(real, 1)
lower_triangular, lower_cholesky, corr_cholesky = LowerTriangular(), LowerCholesky(), CorrCholesky()
square, symmetric = Square(), Symmetric()
cat, stack = Cat, Stack
positive_semidefinite, positive_definite = PositiveSemidefinite(), PositiveDefinite()


def is_dependent(constraint: Any) -> bool:
    """Whether a constraint is one that depends on other parameters."""
    return isinstance(constraint, Dependent)
