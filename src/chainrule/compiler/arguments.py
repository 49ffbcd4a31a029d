"""The arguments of a captured function: tensors without numbers stand for its tensors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence, Set
from typing import Any

import numpy as np

from chainrule import aliases, tree
from chainrule.engine import Layout, layout_of
from chainrule.errors import CaptureError
from chainrule.graph import Value
from chainrule.primitive import Spec
from chainrule.tensor import Tensor, wrap


def contents(value: Any) -> Any:
    """The structure of nested tuples, lists and dicts, with the ids of their leaves."""
    if isinstance(value, dict):
        return [(key, contents(item)) for key, item in value.items()]
    return [*map(contents, value)] if isinstance(value, (tuple, list)) else id(value)


def refuse_changes(before: Any, arguments: Any) -> None:
    """Raise CaptureError if the structure of the arguments has changed."""
    if contents(arguments) != before:
        raise CaptureError(
            "a compiled function changes a list or a dict that is an argument",
            instead="Return what it computes, or write into the tensors of the argument.",
        )


def layout_if_other(data: Any) -> Layout | None:
    """The memory layout of an array, or None if its elements are in order."""
    is_array = isinstance(data, np.ndarray) and not data.flags.c_contiguous
    return layout_of(data) if is_array else None


class Symbols:
    """Tensors without numbers, in the place of the arguments of a captured function.

    A tensor that is given twice has one symbol, and an input that nothing reads.

    inputs: the values of the arguments in the graph.
    given: their numbers among all tensors that are given.
    tensors: the symbols, by number.
    """

    def __init__(self, names: Sequence[str], state: Set[int]) -> None:
        self.inputs: list[Value] = []
        self.given: list[int] = []
        self.tensors: dict[int, Tensor] = {}
        self._names, self._state, self._count = iter(names), state, 0
        self._known: dict[int, Tensor] = {}

    def of(self, leaf: Any) -> Any:
        """What the function gets in the place of a leaf of its arguments."""
        name = next(self._names)
        if not isinstance(leaf, (Spec, Tensor)):
            return leaf
        number, self._count = self._count, self._count + 1
        if id(leaf) in self._state:
            return leaf
        self.given.append(number)
        data = leaf if isinstance(leaf, Spec) else leaf._data
        self.inputs.append(Value(data, name, layout_if_other(data)))
        if isinstance(leaf, Tensor) and id(leaf) in self._known:
            return self._known[id(leaf)]
        tensor = self.tensors[number] = wrap(self.inputs[-1])
        if self.inputs[-1].layout is not None and self.inputs[-1].layout.repeats:
            aliases.mark_repeating(tensor)
        if isinstance(leaf, Tensor):
            tensor._requires_grad = leaf._requires_grad
            self._known[id(leaf)] = tensor
        return tensor

    def numbers(self) -> dict[int, int]:
        """The number of each symbol, by id."""
        return {id(x): number for number, x in self.tensors.items()}

    def changed(self) -> list[int]:
        """The numbers of the arguments that the function has written."""
        before = dict(zip(self.given, self.inputs, strict=True))
        return [number for number, x in self.tensors.items() if x._data is not before[number]]


def labels_of(
    function: Callable[..., Any], specs: tuple[Any, ...], named: dict[str, Any]
) -> list[str]:
    """The names of the function's parameters, one for each leaf of the arguments."""
    target = getattr(function, "forward", function)
    try:
        names = list(inspect.signature(target).parameters)
    except (TypeError, ValueError):
        names = []
    names += [f"x{i}" for i in range(len(names), len(specs))]
    given = [*zip(names, specs, strict=False), *named.items()]
    return [name for name, spec in given for _ in tree.flatten(spec)]
