"""What kind of op a record describes, with the facts that follow from its kind.

Whatever is generic asks a record for its kind and never for its name: lowering, fusion, views,
in-place planning, batching, forward mode, cost, summaries and export. An op of a new kind is an
:class:`Other`: it runs, it differentiates, and what is generic treats it with caution.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Fold = Literal["sum", "max", "min"]
Linearity = Literal["jointly", "each"]


class _JointlyLinear:
    """Elements are moved, repeated or added up, and nothing else."""

    @property
    def linear(self) -> Linearity | None:
        return "jointly"


@dataclass(frozen=True)
class Kind:
    """Base of all kinds.

    linear: the output is linear in all floating inputs together, or in each of them alone
    ("jointly", "each"), so that forward mode needs no derivative.
    trailing: it works on the last dimensions of its inputs. Any others may stand in front, the same
    for all inputs and outputs, and each position of them is on its own.
    """

    trailing: bool = field(default=False, kw_only=True)

    @property
    def linear(self) -> Linearity | None:
        return None


@dataclass(frozen=True)
class Elementwise(Kind):
    """Each element of the output depends on one element of each input; inputs broadcast.

    alike: they do not broadcast, but have one shape.
    """

    alike: bool = False


@dataclass(frozen=True)
class View(_JointlyLinear, Kind):
    """The output shows the memory of its one input in another way; nothing is computed.

    keeps_order: the elements stay in the same order, only the shape differs.
    repeats: an element is shown several times, so a write through the view is refused.
    opaque: no pass of the compiler looks through it.
    """

    keeps_order: bool = False
    repeats: bool = False
    opaque: bool = False


@dataclass(frozen=True)
class Moving(_JointlyLinear, Kind):
    """Elements are copied or converted, and nothing is computed with them."""


@dataclass(frozen=True)
class Reduction(Kind):
    """A number for each position of the dimensions that are kept.

    fold: how two partial results become one, where a sweep over the elements can do that.
    mean: the folded result is divided by the number of elements.
    """

    fold: Fold | None = None
    mean: bool = False

    @property
    def linear(self) -> Linearity | None:
        return "jointly" if self.fold == "sum" else None


@dataclass(frozen=True)
class Along(Kind):
    """Each row of the output depends on one row of the input, along dimensions that are named."""

    adds_up: bool = False

    @property
    def linear(self) -> Linearity | None:
        return "jointly" if self.adds_up else None


@dataclass(frozen=True)
class Contraction(Kind):
    """Sums of products over shared dimensions."""

    @property
    def linear(self) -> Linearity | None:
        return "each"


@dataclass(frozen=True)
class Window(Kind):
    """A kernel or a pool moves over the last dimensions of (N, C, ...)."""


@dataclass(frozen=True)
class Indexing(_JointlyLinear, Kind):
    """Elements are read or written at positions that another input gives."""


@dataclass(frozen=True)
class Update(Kind):
    """A step of an optimizer: new weights and state from the old ones and a gradient."""


@dataclass(frozen=True)
class Random(Kind):
    """Numbers drawn from a state [key, counter]."""


@dataclass(frozen=True)
class Other(Kind):
    """Nothing is known beyond the record itself."""


elementwise, other = Elementwise(), Other()
