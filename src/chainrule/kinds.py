"""The kinds of ops, and the facts that follow from a kind.

Generic code reads the kind of a record and never its name: lowering, fusion, views, in-place
planning, batching, forward mode, cost, summaries and export. An op that fits no kind is an
:class:`Other`: it runs and it can be differentiated, and generic code assumes nothing about it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Fold = Literal["sum", "max", "min"]
Linearity = Literal["jointly", "each"]


class _JointlyLinear:
    """Mixin of the kinds that only move, repeat or add up elements."""

    @property
    def linear(self) -> Linearity | None:
        return "jointly"


@dataclass(frozen=True)
class Kind:
    """Base of all kinds.

    linear: "jointly" if the output is linear in all floating inputs together, "each" if it is
        linear in each of them alone, None otherwise. The forward-mode derivative of a linear op
        follows from the op itself.
    trailing: whether the op works on the last dimensions of its inputs only. Inputs and outputs may
        then have the same further dimensions in front, and each position of these is independent.
    total: whether the op has a result for all numbers of its inputs. If not, it raises an error for
        some, and compiled functions run it even if nothing uses its result. An elementwise op need
        not say so: it is total where the engine's machine computes it.
    """

    trailing: bool = field(default=False, kw_only=True)
    total: bool = field(default=True, kw_only=True)

    @property
    def linear(self) -> Linearity | None:
        return None


@dataclass(frozen=True)
class Elementwise(Kind):
    """Each element of the output depends on one element of each input; inputs broadcast.

    alike: whether the inputs must have the same shape instead.
    """

    alike: bool = False


@dataclass(frozen=True)
class View(_JointlyLinear, Kind):
    """The output shares the memory of its one input, with another shape or other strides.

    keeps_order: the elements stay in the same order; only the shape differs.
    repeats: an element may appear several times; writing through such a view is refused.
    opaque: the passes of the compiler do not replace the view by its input.
    """

    keeps_order: bool = False
    repeats: bool = False
    opaque: bool = False


class Moving(_JointlyLinear, Kind):
    """Elements are copied or converted; there is no arithmetic."""


@dataclass(frozen=True)
class Reduction(Kind):
    """One number for each position of the dimensions that are kept.

    fold: how two partial results are combined ("sum", "max", "min"); None if the reduction cannot
        be computed from partial results.
    mean: whether the folded result is divided by the number of elements.
    """

    fold: Fold | None = None
    mean: bool = False

    @property
    def linear(self) -> Linearity | None:
        return "jointly" if self.fold == "sum" else None


@dataclass(frozen=True)
class Along(Kind):
    """Each row of the output depends on one row of the input, along given dimensions.

    adds_up: whether the rows are only summed (as in `cumsum`), which makes the op linear.
    """

    adds_up: bool = False

    @property
    def linear(self) -> Linearity | None:
        return "jointly" if self.adds_up else None


class Contraction(Kind):
    """Sums of products over shared dimensions."""

    @property
    def linear(self) -> Linearity | None:
        return "each"


class Window(Kind):
    """A kernel or a pooling window slides over the spatial dimensions of (N, C, ...)."""


@dataclass(frozen=True)
class Indexing(_JointlyLinear, Kind):
    """Elements are read or written at positions that are given by another input. A position may be
    out of range."""

    total: bool = field(default=False, kw_only=True)


class Update(Kind):
    """A step of an optimizer: new weights and state from old weights, old state and a gradient."""


class Random(Kind):
    """Numbers drawn from a state [key, counter]."""


class Collective(_JointlyLinear, Kind):
    """Elements are added over the ranks of a job. All ranks run the op, in the same order; so it is
    never computed in advance."""


@dataclass(frozen=True)
class Other(Kind):
    """No facts are known beyond the record itself."""

    total: bool = field(default=False, kw_only=True)


elementwise, other = Elementwise(), Other()
