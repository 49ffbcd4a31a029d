"""The native plan: a graph as one program of the engine, over an arena laid out beforehand.

Views (reshape, permute, slices, expand) become other ways to see the same memory and cost nothing.
What the engine has no kernel for runs its NumPy reference inside the program. Optimizer updates
write the state in place, after all that can fail; other results go into arrays that come with each
call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from chainrule import engine
from chainrule.compiler.inplace import Step, overlay, updates_last
from chainrule.compiler.memory import Arena, last_readers
from chainrule.compiler.passes.fusion import CHAIN
from chainrule.engine import Layout, in_order
from chainrule.graph import Equation, Graph, Value
from chainrule.kinds import View
from chainrule.ops.elementwise import clone
from chainrule.ops.reduce import all as every
from chainrule.primitive import Array, Primitive, Spec

FEW_ROWS = 256
"""With more rows than this, transposing the weights anew is a small part of the product."""

Place = tuple[str, Any]
"""Where an output is: ("slot", its number), or ("constant", the array)."""


class Seen(NamedTuple):
    """A value as a view: of which value's memory, from which byte, in which layout."""

    root: Value
    offset: int
    layout: Layout


class NativePlan:
    """A graph made ready to run again and again, in one call of the engine.

    The last outputs of the graph are new values of state: `updates` gives for each the number of
    the input that holds its old value, or None. The `required` outputs before them must be true.

    slots: inputs, then results, as the program takes them.
    places: of each output but those that are required.
    in_place: the slots of inputs that the program writes.
    packed: for weights among the `frozen` inputs, which this program does not change, the array
        in which whoever runs it keeps their transpose: products read it in place.
    """

    def __init__(
        self,
        graph: Graph,
        updates: Sequence[int | None] = (),
        required: int = 0,
        frozen: Collection[Value] = (),
    ) -> None:
        self.graph = graph
        self.steps: list[Step] = []
        self._frozen, self._packed = frozen, dict[Value, Value]()
        self._seen: dict[Value, Seen] = {}
        for value in [*graph.inputs, *graph.constants]:
            self._own(value)
        for equation in graph.equations:
            self._lower(equation)
        answers = len(graph.outputs) - len(updates) - required
        checked = graph.outputs[answers : answers + required]
        others = graph.outputs[:answers] + graph.outputs[answers + required :]
        homes = [self._home(v) for v in others]
        replaced = self._order(homes, checked, updates)
        self.slots = [*graph.inputs]
        self.slots += dict.fromkeys(v for v in homes if v not in graph.constants)
        self.slots = [v for v in dict.fromkeys(self.slots) if v not in replaced]
        numbers = {v: i for i, v in enumerate(self.slots)}
        numbers |= {new: numbers[old] for new, old in replaced.items()}
        self.in_place = {numbers[old] for old in replaced.values()}
        self.places: list[Place] = [
            ("slot", numbers[v]) if v in numbers else ("constant", graph.constants[v])
            for v in homes
        ]
        self.packed = {numbers[w]: graph.constants[v] for w, v in self._packed.items()}
        self._assemble(numbers)

    # -- from equations to steps -------------------------------------------------------------------

    def _own(self, value: Value) -> None:
        self._seen[value] = Seen(value, 0, in_order(value.shape, value.dtype))

    def _lower(self, equation: Equation) -> None:
        """Turn an equation into a view of memory that is there, or into steps."""
        if equation.primitive.view:
            self._see(equation)
            return
        if equation.primitive is CHAIN and not self._has_kernel(equation):
            self._constants_of(equation.params["body"])
            for part in equation.params["body"].equations:
                self._lower(part)
            return
        if self._multiply_packed(equation):
            return
        inputs = self._readable(equation)
        self._emit(equation.primitive, inputs, equation.outputs, equation.params, equation)

    def _multiply_packed(self, equation: Equation) -> bool:
        """A layer on few rows with frozen weights, as a product with their transpose."""
        activation = engine.LAYERS.get(equation.primitive.name)
        if activation is None:
            return False
        x, w, b = equation.inputs
        plain = len(x.shape) == 2 and self._seen[x].layout.in_order()
        if w not in self._frozen or not plain or x.shape[0] > FEW_ROWS:
            return False
        if w not in self._packed:
            packed = self._packed[w] = Value(Spec(w.shape[::-1], w.dtype))
            self.graph.constants[packed] = np.empty(packed.shape, packed.dtype)
            self._own(packed)
        params = {"bias": True, "residual": False, "activation": activation}
        self._emit("product", (x, self._packed[w], b), equation.outputs, params, equation)
        return True

    def _readable(self, equation: Equation) -> list[Value]:
        """The inputs, copied into C order where there is a kernel for just that."""
        apart = [v for v in equation.inputs if not self._seen[v].layout.in_order()]
        if not apart or self._has_kernel(equation) or not self._has_kernel(equation, True):
            return list(equation.inputs)
        copies = {v: self._copied(v, equation) for v in dict.fromkeys(apart)}
        return [copies.get(v, v) for v in equation.inputs]

    def _copied(self, value: Value, reader: Equation | None = None) -> Value:
        """A copy in C order, for an equation that reads it, or as a result."""
        copied = Value(value)
        equation = reader or Equation(clone, (value,), {}, (copied,))  # type: ignore[arg-type]
        self._emit("copy", (value,), (copied,), {}, equation)
        return copied

    def _has_kernel(self, equation: Equation, copied: bool = False) -> bool:
        plain = [in_order(v.shape, v.dtype) for v in equation.inputs]
        inputs = plain if copied else [self._seen[v].layout for v in equation.inputs]
        outputs = [in_order(v.shape, v.dtype) for v in equation.outputs]
        return engine.lower(equation.primitive, equation.params, inputs, outputs) is not None

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
        if equation.primitive.kind == View(keeps_order=True):
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

    def _home(self, value: Value) -> Value:
        """The value whose whole memory is an output: it, what it is a view of, or a copy."""
        seen = self._seen[value]
        whole = seen.root is not value and seen == self._seen[seen.root]
        home = seen.root if whole else value
        if self._seen[home].root is home:
            return home
        return self._copied(home)  # a part of other memory

    def _order(
        self, homes: Sequence[Value], checked: Sequence[Value], updates: Sequence[int | None]
    ) -> dict[Value, Value]:
        """Put the checks, then the updates in place, at the end; returns which replaces which."""
        given = {*self.graph.inputs, *self.graph.constants}
        count = Counter(homes)
        news = homes[len(homes) - len(updates) :]
        old = {
            new: self.graph.inputs[at]
            for new, at in zip(news, updates, strict=True)
            if at is not None and count[new] == 1 and new not in given
            and not count[self.graph.inputs[at]]
        }  # fmt: skip
        root = {v: seen.root for v, seen in self._seen.items()}
        self.steps, last, replaced = updates_last(self.steps, old, root, self._is_native)
        for i, value in enumerate(checked):
            value = value if self._seen[value].layout.in_order() else self._copied(value)
            required = Equation(every, (value,), {}, ())  # type: ignore[arg-type]
            self.steps.append(Step("require", (value,), (), {"number": i}, required))
        self._committed = len(self.steps)
        self.steps += last
        return replaced

    def _is_native(self, step: Step) -> bool:
        return self._has_kernel(step.equation)

    # -- from steps to a program -------------------------------------------------------------------

    def _assemble(self, slots: dict[Value, int]) -> None:
        """Lay out the memory, number the buffers, and hand the program to the engine."""
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
            instructions, buffers, [value.spec for value in self.slots], size, self._committed
        )

    def _arena_offsets(self, slots: dict[Value, int]) -> tuple[dict[Value, int], int]:
        """Bytes in the arena for every value that is neither input, constant nor result."""
        touched = [
            [self._seen[v].root for v in (*step.inputs, *step.outputs)] for step in self.steps
        ]
        last = last_readers(touched)
        memory, offsets = Arena(), dict[Value, int]()
        for i, (step, roots) in enumerate(zip(self.steps, touched, strict=True)):
            alone = {r for r in roots if last[r] == i and r in offsets and roots.count(r) == 1}
            heirs: dict[Value, Value] = {}
            for value, source in overlay(step, self._is_native):
                root = self._whole(source)
                if root in alone and value not in slots and value not in heirs:
                    heirs[value] = root
                    alone.remove(root)
            for value in step.outputs:
                if value in heirs:
                    memory.hand_over(heirs[value], value)
                    offsets[value] = offsets[heirs[value]]
                elif value not in slots:
                    offsets[value] = memory.take(value, value.spec.nbytes)
            for root in dict.fromkeys(roots):
                if last[root] == i and root in offsets and root not in heirs.values():
                    memory.give_back(root)
        return offsets, memory.size

    def _whole(self, value: Value) -> Value | None:
        """The value whose whole memory this one shows in order, if it does."""
        root, _, layout = self._seen[value]
        return root if layout.in_order() and root.spec.nbytes == value.spec.nbytes else None

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
        """The outputs but those required, for input arrays of exactly its specs in C order."""
        slots = self._filled(arrays)
        self.program.run(slots)
        return [slots[at] if kind == "slot" else at for kind, at in self.places]

    def _filled(self, arrays: Sequence[Array]) -> list[Array]:
        return [*arrays, *[np.empty(v.shape, v.dtype) for v in self.slots[len(arrays) :]]]

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
        """Each step's equation with its median seconds, over several runs on copies."""
        slots = self._filled([np.array(x, order="C") for x in arrays])
        samples = [self.program.times(slots) for _ in range(rounds)]
        medians = np.median(np.array(samples), axis=0).tolist()
        return [
            (step.equation, t)
            for step, t in zip(self.steps, medians, strict=True)
            if step.equation.outputs
        ]
