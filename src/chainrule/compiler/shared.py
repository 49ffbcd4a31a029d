"""Tensors that a captured function returns or keeps, and that share numbers with others.

An argument or a piece of state that a function returns is that tensor itself, and what it returns
as a view of one is a view of it, as in eager code: a later write reaches both. The same holds for
results that share numbers with each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from chainrule import aliases, tape
from chainrule.errors import CaptureError
from chainrule.graph import Value
from chainrule.primitive import Primitive
from chainrule.settings import use
from chainrule.tensor import Tensor

Views = tuple[tuple[Primitive, dict[str, Any]], ...]
History = Literal["none", "alive", "freed"]
"""Whether a tensor was computed from tensors that require gradients, and whether `backward` has
freed a part of that computation's graph."""


@dataclass(frozen=True)
class Result:
    """The number of a computed tensor among the results of a program."""

    number: int


@dataclass(frozen=True, eq=False, repr=False)
class Shared:
    """How a tensor follows from an argument, from state or from a result.

    root: the tensor of state, or the number of the argument, or the result.
    views: the ops, with their parameters, that make it from the root. None: it is the root itself.
    history: that of the tensor.
    """

    root: Tensor | int | Result
    views: Views | None
    history: History = "none"

    def tensor(self, leaves: Sequence[Tensor], results: Sequence[Tensor]) -> Tensor:
        """The tensor, for these arguments and results."""
        root = self.root
        if isinstance(root, Result):
            x = results[root.number]
        else:
            x = leaves[root] if isinstance(root, int) else root
        if self.views is None:
            return x
        records = self.history != "none"
        with use(gradients=records):
            x = x if records else x.detach()
            for primitive, params in self.views:
                x = primitive.gateway(primitive, x, **params)
        if self.history == "freed" and x._node is not None:
            x._node.saved = None
        return x

    def __repr__(self) -> str:
        root = f"a tensor at {id(self.root)}" if isinstance(self.root, Tensor) else self.root
        return f"Shared({root}, {self.views}, {self.history})"


def shared(y: Tensor, numbers: Mapping[int, int]) -> Shared | None:
    """How a tensor follows from an argument or from state, or None if it does not.

    numbers: the numbers of the arguments, by the ids of the tensors that stand for them.
    """
    base, views = _origin(y)
    for root in aliases.group(base):
        if id(root) in numbers or not isinstance(root._data, Value):
            if carries(root) or (y._node is not None and root is not base):
                return None
            place = numbers.get(id(root), root)
            return Shared(place, None if root is y else views, history(y))
    return None


def refuse_new_leaf(tensor: Tensor, known: Container[int] = ()) -> None:
    """Refuse a leaf that requires gradients, was made inside, and outlives the call: a gradient
    would have to reach it. `known` are the ids of what stands for arguments."""
    made_inside = isinstance(tensor._data, Value) and id(tensor) not in known
    if made_inside and tensor._requires_grad and tensor._node is None:
        raise CaptureError(
            f"a captured function returns or keeps a leaf {tensor.spec} that it made, and that "
            "requires gradients",
            instead="Make it outside and pass it as an argument, or return x.detach() and x.grad.",
        )


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
        refuse_new_leaf(base, numbers)
        members = aliases.group(base)
        root = max(members, key=lambda x: ("none", "freed", "alive").index(history(x)))
        is_alone = times[id(aliases.storage(y))] == 1 and aliases.is_in_order(y)
        if (place := shared(y, numbers)) is not None:
            places.append(place)
        elif y is root or is_alone or (y._node is not None and not views):
            places.append(output(y))
        else:
            places.append(Shared(output(root), views, history(y)))
    return places, outputs


def history(x: Tensor) -> History:
    """The history of a tensor."""
    if x._node is None:
        return "none"
    return "freed" if any(n.saved is None for n in tape.reachable([x._node])) else "alive"


def carries(x: Tensor) -> bool:
    """Whether gradients flow back from a tensor."""
    return history(x) == "alive"


def _origin(y: Tensor) -> tuple[Tensor, Views]:
    """The tensor at the root of a view, and the ops that make the view from it."""
    views: list[tuple[Primitive, dict[str, Any]]] = []
    while y._alias is not None and y._alias.base is not None:
        views.insert(0, (y._alias.primitive, y._alias.params))
        y = y._alias.base
    return y, tuple(views)
