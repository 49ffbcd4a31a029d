"""Plans: the steps of a graph with their memory, which run any number of times.

A `NativePlan` is one program of the engine over one arena. A `ReferencePlan` is a loop over the
NumPy references, for an installation without the engine.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule import engine
from chainrule.compiler.lowering import Lowering, Seen
from chainrule.compiler.memory import arena_offsets, updates_last
from chainrule.graph import Equation, Graph, Value
from chainrule.primitive import Array

Place = tuple[str, Any]
"""The place of an output: ("slot", number) or ("constant", array)."""


class Plan(ABC):
    """Runs a graph. Its subclasses are final."""

    graph: Graph

    @abstractmethod
    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """The outputs of the graph, for input arrays of its specs in C order."""

    @abstractmethod
    def times(self, arrays: Sequence[Array], rounds: int = 20) -> list[tuple[Equation, float]]:
        """The equation of each step with its median seconds over several runs. No state changes."""

    @abstractmethod
    def describe(self) -> str:
        """The number of steps, the memory, and the ops that run on NumPy references, as text."""


class ReferencePlan(Plan):
    """A loop over the NumPy references; each value is freed after its last use.

    Every value has an index in a list. A step is (function, indices read, parameters, indices
    written, indices free afterwards).
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        places: dict[Value, int] = {}
        for value in [*graph.inputs, *graph.constants]:
            places[value] = len(places)
        for equation in graph.equations:
            for value in equation.outputs:
                places[value] = len(places)
        self._template: list[Array | None] = [None] * len(places)
        for value, array in graph.constants.items():
            self._template[places[value]] = array
        self._outputs = [places[v] for v in graph.outputs]
        last = last_uses(graph)
        self._steps = [
            (
                equation.primitive.reference,
                [places[v] for v in equation.inputs],
                equation.params,
                [places[v] for v in equation.outputs],
                [places[v] for v in last[i]],
            )
            for i, equation in enumerate(graph.equations)
        ]

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        values: list[Any] = self._template.copy()
        values[: len(arrays)] = arrays
        for forward, sources, params, targets, free in self._steps:
            self._step(values, forward, sources, params, targets)
            for place in free:
                values[place] = None
        return [values[place] for place in self._outputs]

    def _step(
        self, values: list[Any], forward: Any, sources: list[int], params: Any, targets: list[int]
    ) -> None:
        result = forward(*[values[place] for place in sources], **params)
        if result.__class__ is tuple:
            for place, part in zip(targets, result, strict=True):
                values[place] = np.asarray(part)
        else:
            values[targets[0]] = result if result.__class__ is np.ndarray else np.asarray(result)

    def times(self, arrays: Sequence[Array], rounds: int = 20) -> list[tuple[Equation, float]]:
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

    def describe(self) -> str:
        return f"{len(self._steps)} steps on the NumPy references"


def last_uses(graph: Graph) -> list[list[Value]]:
    """For each equation, the values that are not read after it."""
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


class NativePlan(Plan):
    """One program of the engine over one arena.

    The last outputs of the graph are new values of state. For each of them, `updates` has the
    number of the input with its old value, or None. The `required` outputs before these must be
    true. `frozen` are weights among the inputs that the graph does not change.

    slots: the inputs, then the results: the arrays that the program takes.
    places: the place of each output, without those that are required.
    in_place: the slots of inputs that the program writes.
    packed: for slots of frozen weights, an array for their transpose, which the program reads. The
        caller must keep it up to date.
    """

    def __init__(
        self,
        graph: Graph,
        updates: Sequence[int | None] = (),
        required: int = 0,
        frozen: Collection[Value] = (),
    ) -> None:
        self.graph = graph
        lowering = Lowering(graph, frozen)
        state = len(graph.outputs) - len(updates)
        self._required = slice(state - required, state)
        checked = graph.outputs[self._required]
        others = [*graph.outputs[: state - required], *graph.outputs[state:]]
        homes = [lowering.home(v) for v in others]
        checks = lowering.require(checked)
        old = self._old_state(homes, updates)
        first, last, replaced = updates_last(lowering.steps, lowering.seen, old)
        self.steps = [*first, *checks, *last]
        constants = lowering.constants
        slots = dict.fromkeys([*graph.inputs, *(v for v in homes if v not in constants)])
        self.slots = [v for v in slots if v not in replaced]
        numbers = {v: i for i, v in enumerate(self.slots)}
        numbers |= {new: numbers[before] for new, before in replaced.items()}
        self.in_place = {numbers[before] for before in replaced.values()}
        self.places: list[Place] = [
            ("slot", numbers[v]) if v in numbers else ("constant", constants[v]) for v in homes
        ]
        self.packed = {numbers[w]: constants[v] for w, v in lowering.packed.items()}
        self.program = self._assemble(lowering, numbers, committed=len(first) + len(checks))

    def _old_state(
        self, homes: Sequence[Value], updates: Sequence[int | None]
    ) -> dict[Value, Value]:
        """For new values of state, the inputs that they may overwrite: where neither the new nor
        the old value is another output of the graph."""
        graph, count = self.graph, Counter(homes)
        given = {*graph.inputs, *graph.constants}
        pairs = zip(homes[len(homes) - len(updates) :], updates, strict=True)
        old = {new: graph.inputs[at] for new, at in pairs if at is not None}
        return {
            new: before
            for new, before in old.items()
            if count[new] == 1 and new not in given and not count[before]
        }

    def _assemble(
        self, lowering: Lowering, slots: Mapping[Value, int], committed: int
    ) -> engine.Program:
        """Assign memory, number the buffers, and make the program of the engine."""
        offsets, size = arena_offsets(self.steps, lowering.seen, slots)
        buffers: list[engine.Buffer] = []
        numbers: dict[Value, int] = {}

        def number(value: Value) -> int:
            if value not in numbers:
                numbers[value] = len(buffers)
                buffers.append(_buffer(lowering.seen[value], slots, offsets, lowering.constants))
            return numbers[value]

        instructions = [
            engine.Instruction(
                step.op,
                tuple([number(v) for v in step.inputs]),
                tuple([number(v) for v in step.outputs]),
                step.params,
            )
            for step in self.steps
        ]
        specs = [value.spec for value in self.slots]
        return engine.Program(instructions, buffers, specs, size, committed)

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        slots = self._filled(arrays)
        self.program.run(slots)
        outputs = [slots[at] if kind == "slot" else at for kind, at in self.places]
        required = range(len(self.graph.outputs))[self._required]
        outputs[required.start : required.start] = [np.array(True)] * len(required)
        return outputs

    def _filled(self, arrays: Sequence[Array]) -> list[Array]:
        return [*arrays, *[np.empty(v.shape, v.dtype) for v in self.slots[len(arrays) :]]]

    def times(self, arrays: Sequence[Array], rounds: int = 20) -> list[tuple[Equation, float]]:
        slots = self._filled([np.array(x, order="C") for x in arrays])
        samples = [self.program.times(slots) for _ in range(rounds)]
        medians = np.median(np.array(samples), axis=0).tolist()
        return [
            (step.equation, t)
            for step, t in zip(self.steps, medians, strict=True)
            if step.equation.outputs
        ]

    def describe(self) -> str:
        program = self.program
        names = sorted({self.steps[i].equation.primitive.name for i in program.references})
        rest = f"; NumPy references: {', '.join(names)}" if names else ""
        return (
            f"{len(self.steps)} instructions, {len(program.buffers)} buffers, "
            f"arena {program.arena_bytes / 1024:.0f} KiB{rest}"
        )


def _buffer(
    seen: Seen,
    slots: Mapping[Value, int],
    offsets: Mapping[Value, int],
    constants: Mapping[Value, Array],
) -> engine.Buffer:
    """A view of a slot, of the arena or of a constant."""
    root, offset, (shape, dtype, strides) = seen
    if root in slots:
        return engine.external(slots[root], shape, dtype, strides, offset)
    if root in offsets:
        return engine.arena(offsets[root] + offset, shape, dtype, strides)
    array = np.ascontiguousarray(constants[root]).reshape(root.shape)
    if offset == 0 and strides == array.strides:
        return engine.constant(array)
    memory = array.reshape(-1).view(np.uint8).data
    return engine.constant(np.ndarray(shape, dtype, memory, offset, strides))
