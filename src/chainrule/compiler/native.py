"""The native plan: a graph as one program of the engine, over an arena laid out beforehand.

Views (reshape, permute, slices, expand) become other ways to see the same memory and cost nothing.
What the engine has no kernel for runs its NumPy reference inside the program. Results and new
state are written into arrays of their own, which are used again once nobody else holds them, so
that a step allocates nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from chainrule import engine
from chainrule.compiler.memory import Arena, last_readers
from chainrule.compiler.passes.fusion import CHAIN
from chainrule.engine import Layout, in_order
from chainrule.errors import ShapeError
from chainrule.graph import Equation, Graph, Value
from chainrule.primitive import Array, Primitive, lookup

VIEWS = ("reshape", "permute", "expand", "slice")


class Seen(NamedTuple):
    """A value as a view: of which value's memory, from which byte, in which layout."""

    root: Value
    offset: int
    layout: Layout


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """An instruction before memory is laid out: it names values, not buffers."""

    op: Primitive | str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    params: dict[str, Any]
    equation: Equation


class NativePlan:
    """A graph made ready to run again and again, in one call of the engine."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.steps: list[Step] = []
        self._seen: dict[Value, Seen] = {}
        for value in [*graph.inputs, *graph.constants]:
            self._own(value)
        for equation in graph.equations:
            self._lower(equation)
        self._place_results()
        self._assemble()
        self._spares = [engine.Spares(v.shape, v.dtype) for v in self._results]

    # -- from equations to steps -------------------------------------------------------------------

    def _own(self, value: Value) -> None:
        self._seen[value] = Seen(value, 0, in_order(value.shape, value.dtype))

    def _lower(self, equation: Equation) -> None:
        """Turn an equation into a view of memory that is there, or into steps."""
        if equation.primitive.name in VIEWS:
            self._see(equation)
            return
        if equation.primitive is CHAIN and not self._has_kernel(equation):
            self._constants_of(equation.params["body"])
            for part in equation.params["body"].equations:
                self._lower(part)
            return
        inputs = self._readable(equation)
        self._emit(equation.primitive, inputs, equation.outputs, equation.params, equation)

    def _readable(self, equation: Equation) -> list[Value]:
        """The inputs, copied into C order where there is a kernel for just that."""
        apart = [v for v in equation.inputs if not self._seen[v].layout.in_order()]
        if not apart or self._has_kernel(equation) or not self._has_kernel(equation, True):
            return list(equation.inputs)
        copies = {v: self._copied(v, equation) for v in dict.fromkeys(apart)}
        return [copies.get(v, v) for v in equation.inputs]

    def _copied(self, value: Value, equation: Equation) -> Value:
        copied = Value(value)
        self._emit("copy", (value,), (copied,), {}, equation)
        return copied

    def _has_kernel(self, equation: Equation, copied: bool = False) -> bool:
        plain = [in_order(v.shape, v.dtype) for v in equation.inputs]
        inputs = plain if copied else [self._seen[v].layout for v in equation.inputs]
        outputs = [in_order(v.shape, v.dtype) for v in equation.outputs]
        return engine.lower(equation.primitive.name, equation.params, inputs, outputs) is not None

    def _constants_of(self, body: Graph) -> None:
        for value, array in body.constants.items():
            self.graph.constants.setdefault(value, array)
            if value not in self._seen:
                self._own(value)

    def _emit(
        self, op: Primitive | str, inputs: Any, outputs: Any, params: Any, equation: Equation
    ) -> None:
        for value in outputs:
            self._own(value)
        self.steps.append(Step(op, tuple(inputs), tuple(outputs), params, equation))

    def _see(self, equation: Equation) -> None:
        """A view equation: the same memory in another layout; copied first if it must be."""
        source, (output,) = self._seen[equation.inputs[0]], equation.outputs
        if equation.primitive.name == "reshape":
            layout = source.layout.reshaped(output.shape)
            if layout is None:
                source = self._seen[self._copied(equation.inputs[0], equation)]
                layout = in_order(output.shape, output.dtype)
            self._seen[output] = Seen(source.root, source.offset, layout)
            return
        layout = source.layout
        phantom = as_strided(np.zeros((), layout.dtype), layout.shape, layout.strides)
        result = equation.primitive.forward(phantom, **equation.params)
        offset = result.ctypes.data - phantom.ctypes.data
        self._seen[output] = Seen(
            source.root, source.offset + offset, Layout(result.shape, result.dtype, result.strides)
        )

    def _place_results(self) -> None:
        """Give every result whole memory of its own; what is an input or constant is passed on."""
        given = {*self.graph.inputs, *self.graph.constants}
        self._results: list[Value] = []
        self._outputs: list[tuple[str, Any]] = []
        for value in self.graph.outputs:
            seen = self._seen[value]
            whole = seen.root is not value and seen == self._seen[seen.root]
            root = seen.root if whole else value
            if root in given:
                is_input = root in self.graph.inputs
                self._outputs.append(
                    ("input", self.graph.inputs.index(root))
                    if is_input else ("constant", self.graph.constants[root])
                )  # fmt: skip
                continue
            if self._seen[root].root is not root:  # a part of other memory
                copied = Value(root)
                copying = Equation(lookup("clone"), (root,), {}, (copied,))
                self._emit("copy", (root,), (copied,), {}, copying)
                root = copied
            if root not in self._results:
                self._results.append(root)
            self._outputs.append(("result", self._results.index(root)))

    # -- from steps to a program -------------------------------------------------------------------

    def _assemble(self) -> None:
        """Lay out the memory, number the buffers, and hand the program to the engine."""
        slots = {v: i for i, v in enumerate([*self.graph.inputs, *self._results])}
        offsets, size = self._arena_offsets(slots)
        buffers: list[engine.Buffer] = []
        numbers: dict[Value, int] = {}

        def number(value: Value) -> int:
            if value not in numbers:
                numbers[value] = len(buffers)
                buffers.append(self._buffer(self._seen[value], slots, offsets))
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
        self.program = engine.Program(
            instructions, buffers, [value.spec for value in slots], size
        )

    def _arena_offsets(self, slots: dict[Value, int]) -> tuple[dict[Value, int], int]:
        """Bytes in the arena for every value that is neither input, constant nor result."""
        touched = [
            [self._seen[v].root for v in (*step.inputs, *step.outputs)] for step in self.steps
        ]
        last = last_readers(touched)
        memory, offsets = Arena(), dict[Value, int]()
        for i, (step, roots) in enumerate(zip(self.steps, touched, strict=True)):
            for value in step.outputs:
                if value not in slots:
                    offsets[value] = memory.take(value, value.spec.nbytes)
            for root in dict.fromkeys(roots):
                if last[root] == i and root in offsets:
                    memory.give_back(root)
        return offsets, memory.size

    def _buffer(
        self, seen: Seen, slots: dict[Value, int], offsets: dict[Value, int]
    ) -> engine.Buffer:
        root, offset, (shape, dtype, strides) = seen
        if root in slots:
            return engine.external(slots[root], shape, dtype, strides, offset)
        if root in offsets:
            return engine.arena(offsets[root] + offset, shape, dtype, strides)
        array = np.ascontiguousarray(self.graph.constants[root]).reshape(root.shape)
        if offset == 0 and strides == array.strides:
            return engine.constant(array)
        memory = array.reshape(-1).view(np.uint8).data
        return engine.constant(np.ndarray(shape, dtype, memory, offset, strides))

    # -- running -----------------------------------------------------------------------------------

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """The outputs of the graph for input arrays of exactly its specs."""
        results = [spare.take() for spare in self._spares]
        try:
            self.program.run([*arrays, *results])
        except ShapeError:
            # Somebody gave an array that does not lie in C order: a copy does.
            arrays = [np.require(x, requirements=["C", "ALIGNED"]) for x in arrays]
            self.program.run([*arrays, *results])
        return [
            results[at] if kind == "result" else arrays[at] if kind == "input" else at
            for kind, at in self._outputs
        ]

    def describe(self) -> str:
        """How many buffers, how much memory, and what has no kernel."""
        program = self.program
        names = sorted({self.steps[i].equation.primitive.name for i in program.references})
        rest = f"; NumPy references: {', '.join(names)}" if names else ""
        return (
            f"{len(self.steps)} instructions, {len(program.buffers)} buffers, "
            f"arena {program.arena_bytes / 1024:.0f} KiB{rest}"
        )

    def times(self, arrays: Sequence[Array], rounds: int = 20) -> list[tuple[Equation, float]]:
        """Each step's equation with its median seconds, over several runs."""
        results = [spare.take() for spare in self._spares]
        arrays = [np.require(x, requirements=["C", "ALIGNED"]) for x in arrays]
        samples = [self.program.times([*arrays, *results]) for _ in range(rounds)]
        medians = np.median(np.array(samples), axis=0).tolist()
        return [(step.equation, t) for step, t in zip(self.steps, medians, strict=True)]
