"""The plan: a graph as a flat list of steps over slots, each value freed after its last use."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.graph import Equation, Graph, Value
from chainrule.primitive import Array


class Plan:
    """A graph made ready to run again and again.

    Every value has a slot in a list. A step is (function, slots read, parameters, slots written,
    slots free afterwards); running the plan is one loop over the steps.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        slots: dict[Value, int] = {}
        for value in [*graph.inputs, *graph.constants]:
            slots[value] = len(slots)
        for equation in graph.equations:
            for value in equation.outputs:
                slots[value] = len(slots)
        self._template: list[Array | None] = [None] * len(slots)
        for value, array in graph.constants.items():
            self._template[slots[value]] = array
        self._outputs = [slots[v] for v in graph.outputs]
        last = last_uses(graph)
        self._steps = [
            (
                equation.primitive.forward,
                [slots[v] for v in equation.inputs],
                equation.params,
                [slots[v] for v in equation.outputs],
                [slots[v] for v in last[i]],
            )
            for i, equation in enumerate(graph.equations)
        ]

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """The outputs of the graph for input arrays of exactly its specs."""
        values: list[Any] = self._template.copy()
        values[: len(arrays)] = arrays
        for forward, sources, params, targets, free in self._steps:
            self._step(values, forward, sources, params, targets)
            for slot in free:
                values[slot] = None
        return [values[slot] for slot in self._outputs]

    def _step(
        self, values: list[Any], forward: Any, sources: list[int], params: Any, targets: list[int]
    ) -> None:
        result = forward(*[values[slot] for slot in sources], **params)
        if result.__class__ is tuple:
            for slot, part in zip(targets, result, strict=True):
                values[slot] = np.asarray(part)
        else:
            values[targets[0]] = result if result.__class__ is np.ndarray else np.asarray(result)

    def describe(self) -> str:
        """Where it runs."""
        return f"{len(self._steps)} steps on the NumPy references"

    def times(self, arrays: Sequence[Array], rounds: int = 20) -> list[tuple[Equation, float]]:
        """Each equation with its median seconds, over several runs."""
        samples = np.zeros((rounds, len(self._steps)))
        for row in samples:
            values: list[Any] = self._template.copy()
            values[: len(arrays)] = arrays
            for i, (forward, sources, params, targets, _) in enumerate(self._steps):
                start = time.perf_counter()
                self._step(values, forward, sources, params, targets)
                row[i] = time.perf_counter() - start
        medians = np.median(samples, axis=0)
        return list(zip(self.graph.equations, medians.tolist(), strict=True))


def last_uses(graph: Graph) -> list[list[Value]]:
    """For each equation, the values that nobody reads after it."""
    kept = {*graph.outputs, *graph.constants}
    seen: set[Value] = set()
    result: list[list[Value]] = []
    for equation in reversed(graph.equations):
        ended = [
            v
            for v in dict.fromkeys([*equation.inputs, *equation.outputs])
            if v not in seen and v not in kept
        ]
        seen.update(ended)
        result.append(ended)
    return result[::-1]
