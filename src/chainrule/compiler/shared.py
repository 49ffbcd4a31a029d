"""Tensors that a captured function returns or keeps, and that share numbers with others.

An argument or a piece of state that a function returns is that tensor itself, and what it returns
as a view of one is a view of it, as in eager code: a later write reaches both. The same holds for
results that share numbers with each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule import aliases, tape
from chainrule.graph import Value
from chainrule.primitive import Primitive
from chainrule.settings import use
from chainrule.tensor import Tensor

Views = tuple[tuple[Primitive, dict[str, Any]], ...]


@dataclass(frozen=True)
class Result:
    """The number of a computed tensor among the results of a program."""

    number: int


@dataclass(frozen=True, eq=False, repr=False)
class Shared:
    """How a tensor follows from an argument, from state or from a result.

    root: the tensor of state, or the number of the argument, or the result.
    views: the ops, with their parameters, that make it from the root. None: it is the root itself.
    carries: whether gradients flow from it to the root.
    """

    root: Tensor | int | Result
    views: Views | None
    carries: bool = False

    def tensor(self, leaves: Sequence[Tensor], results: Sequence[Tensor]) -> Tensor:
        """The tensor, for these arguments and results."""
        root = self.root
        if isinstance(root, Result):
            x = results[root.number]
        else:
            x = leaves[root] if isinstance(root, int) else root
        if self.views is None:
            return x
        with use(gradients=self.carries):
            x = x if self.carries else x.detach()
            for primitive, params in self.views:
                x = primitive.gateway(primitive, x, **params)
        return x

    def __repr__(self) -> str:
        root = f"a tensor at {id(self.root)}" if isinstance(self.root, Tensor) else self.root
        return f"Shared({root}, {self.views}, {self.carries})"


def shared(y: Tensor, numbers: Mapping[int, int]) -> Shared | None:
    """How a tensor follows from an argument or from state, or None if it does not.

    numbers: the numbers of the arguments, by the ids of the tensors that stand for them.
    """
    base, views = _origin(y)
    for root in aliases.group(base):
        if id(root) in numbers or not isinstance(root._data, Value):
            if carries(root) or (carries(y) and root is not base):
                return None
            place = numbers.get(id(root), root)
            return Shared(place, None if root is y else views, carries(y))
    return None


def placed(
    found: Sequence[Tensor], numbers: Mapping[int, int]
) -> tuple[list[Result | Shared], list[Tensor]]:
    """What stands for each tensor that a function returns, and the outputs of its program.

    Several results of one base are views of it, and so is one whose elements are not in order in
    memory: then the base is an output.
    """
    outputs: list[Tensor] = []

    def output(x: Tensor) -> Result:
        number = next((i for i, y in enumerate(outputs) if y is x), len(outputs))
        if number == len(outputs):
            outputs.append(x)
        return Result(number)

    times = Counter(id(aliases.storage(y)) for y in found)
    places: list[Result | Shared] = []
    for y in found:
        base, views = _origin(y)
        members = aliases.group(base)
        root = next(filter(carries, members), members[0])
        is_alone = times[id(aliases.storage(y))] == 1 and aliases.is_in_order(y)
        if (place := shared(y, numbers)) is not None:
            places.append(place)
        elif y is root or is_alone or (carries(y) and not views):
            places.append(output(y))
        else:
            places.append(Shared(output(root), views, carries(y)))
    return places, outputs


def carries(x: Tensor) -> bool:
    """Whether a computed tensor carries gradients: no part of its graph has been freed."""
    nodes = [] if x._node is None else tape.reachable([x._node])
    return x._node is not None and all(node.saved is not None for node in nodes)


def _origin(y: Tensor) -> tuple[Tensor, Views]:
    """The tensor at the root of a view, and the ops that make the view from it."""
    views: list[tuple[Primitive, dict[str, Any]]] = []
    while y._alias is not None and y._alias.base is not None:
        views.insert(0, (y._alias.primitive, y._alias.params))
        y = y._alias.base
    return y, tuple(views)
