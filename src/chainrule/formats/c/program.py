"""A graph as a C program: constants, memory, one function, and a `main` that checks it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from chainrule.compiler.passes.fusion import CHAIN
from chainrule.formats.c import moves, positions, products, randoms, recurrences, rows
from chainrule.formats.c.moves import chain, copy, unknown, viewed
from chainrule.formats.c.table import Call, Code, optional_outputs, translation_of
from chainrule.formats.c.writer import Place, Writer, c_type
from chainrule.graph import Equation, Graph, Value, names_of, short
from chainrule.kinds import Elementwise, Random, Update, View
from chainrule.primitive import Array, DType, Shape

TRANSLATIONS = (moves, products, rows, positions, recurrences, randoms)
"""The modules whose translations are in the table."""

RESERVED = frozenset(
    re.findall(
        r"\w+",
        """auto break case char const continue default do double else enum extern float for goto if
        inline int long register restrict return short signed sizeof static struct switch typedef
        union unsigned void volatile while main exp log sin cos tan erf gamma total sum mean
        variance scale share label level best largest top rows row memory result error""",
    )
)
"""Names that C, its library, or the loops of a translation use."""


@dataclass
class State:
    """A variable of the program that keeps its value between calls."""

    value: Value
    start: Array
    new: Value


@dataclass
class Program:
    """What `source` writes as a program.

    arguments: the first inputs of the graph; the others are the values of `states`.
    results: the first outputs of the graph; the others are the new values of `states`.
    scales: for constants that are stored as int8, the scale of each row.
    """

    name: str
    graph: Graph
    arguments: list[Value]
    results: list[Value]
    states: list[State]
    scales: dict[Value, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = _identifiers(self.graph)
        self.uses = _last_uses(self.graph)
        self.places: dict[Value, Place] = {}
        self.memory = _Memory()
        self.numbers: dict[str, Array] = {}
        self.copies: dict[Value, list[Place]] = {}

    # -- parts of the file -----------------------------------------------------------------------

    def function(self) -> list[str]:
        """The function, line by line. Decides where each value is stored."""
        write = Writer()
        for value, array in self.graph.constants.items():
            self.places[value] = Place.new(self.names[value], value.shape, value.dtype)
            if array.ndim == 0:
                self.numbers[self.names[value]] = array
        for value in self.arguments:
            self.places[value] = Place.new(self.names[value], value.shape, value.dtype)
        for state in self.states:
            self.places[state.value] = Place.new(
                self.names[state.value], state.value.shape, state.value.dtype
            )
        with write.block(self.signature()):
            for number, equation in enumerate(self.graph.equations):
                self._equation(write, number, equation)
            self._ending(write)
        return write.lines

    def signature(self) -> str:
        """`void model(const float x[784], float y[10])`"""
        given = [f"const {c_type(v.dtype)} {self.names[v]}[{_size(v)}]" for v in self.arguments]
        results = [
            f"{c_type(v.dtype)} {self.result_name(i)}[{_size(v)}]"
            for i, v in enumerate(self.results)
        ]
        return f"void {self.name}({', '.join([*given, *results])})"

    def result_name(self, number: int) -> str:
        return "result" if len(self.results) == 1 else f"result{number}"

    def constants(self, write: Writer) -> None:
        """The weights, and the state with its first values."""
        for value, array in self.graph.constants.items():
            if array.ndim == 0:
                continue
            name, dtype = self.names[value], value.dtype
            if value in self.scales:
                scales = self.scales[value]
                broad = scales.reshape(-1, *[1] * (array.ndim - 1))
                array, dtype = np.rint(array / broad).astype(np.int8), np.dtype("int8")
                write.array(
                    f"static const float {name}_scales[{len(scales)}]", scales, scales.dtype
                )
            head = f"static const {c_type(dtype)} {name}[{_size(value)}]"
            write.comment(f"{value.label or 'constant'} {value.shape}")
            write.array(head, array, dtype)
        for state in self.states:
            value = state.value
            write.comment(f"{value.label or 'state'} {value.shape}, which {self.name} changes")
            head = f"static {c_type(value.dtype)} {self.names[value]}[{_size(value)}]"
            write.array(head, state.start, value.dtype)

    # -- the body --------------------------------------------------------------------------------

    def _equation(self, write: Writer, number: int, equation: Equation) -> None:
        record = equation.primitive
        if record.view is not None:
            self.places[equation.outputs[0]] = self._view(write, equation, record.view)
            return
        optional = optional_outputs(record)
        for i, value in enumerate(equation.outputs):
            if i in optional and self.uses.last_of(value) == number:
                self.places[value] = Place.new("", value.shape, value.dtype)
            else:
                self.places[value] = self._new_place(write, number, equation, value)
        with write.block(""):
            write.comment(self._described(equation))
            self._translate(write, equation)
        write.line()
        for root in self.uses.ending_at(number):
            for place in (self.places[root], *self.copies.pop(root, ())):
                self.memory.free(place)

    def _translate(self, write: Writer, equation: Equation) -> None:
        inputs = [self.places[v] for v in equation.inputs]
        outputs = [self.places[v] for v in equation.outputs]
        scales = {self.names[v]: f"{self.names[v]}_scales" for v in self.scales}
        call = Call(write, self.numbers, equation, inputs, outputs, scales)
        if equation.primitive is CHAIN:
            chain(call, equation.params["body"])
            return
        translate = translation_of(equation.primitive)
        if translate is not None:
            translate(call, **equation.params)
        else:
            raise unknown(equation)

    def _view(self, write: Writer, equation: Equation, view: View) -> Place:
        """The place of a view: no code, but where a reshaped array must first be copied."""
        (x,), (y,) = [self.places[v] for v in equation.inputs], equation.outputs
        if not view.keeps_order:
            formula = equation.primitive.forward
            return viewed(x, lambda array: formula(array, **equation.params))
        if x.size and x.strides != Place.new("", x.shape, x.dtype).strides:
            place = self.memory.take(f"{self.names[y]}_copy", x.shape, x.dtype, write)
            self.copies.setdefault(self.uses.root[y], []).append(place)
            with write.block(""):
                write.comment(self._described(equation))
                copy(Code(write, self.numbers), x, place)
            write.line()
            x = place
        return Place.new(x.name, y.shape, y.dtype)._replace(offset=x.offset)

    def _new_place(self, write: Writer, number: int, equation: Equation, value: Value) -> Place:
        for i, result in enumerate(self.results):
            if result is value and self.results.count(value) == 1:
                return Place.new(self.result_name(i), value.shape, value.dtype)
        for state in self.states:
            if state.new is value and self._may_overwrite(number, equation, state):
                return self.places[state.value]
        return self.memory.take(self.names[value], value.shape, value.dtype, write)

    def _may_overwrite(self, number: int, equation: Equation, state: State) -> bool:
        """Whether the new value may be written over the old one, position by position."""
        by_position = equation.primitive is CHAIN or isinstance(
            equation.primitive.kind, (Elementwise, Update)
        )
        return (
            by_position
            and state.value.shape == state.new.shape
            and self.uses.last_of(state.value) <= number
            and state.new not in self.results
        )

    def _ending(self, write: Writer) -> None:
        """Copies of what is not yet where it belongs."""
        targets = [
            (v, Place.new(self.result_name(i), v.shape, v.dtype))
            for i, v in enumerate(self.results)
        ]
        targets += [(state.new, self.places[state.value]) for state in self.states]
        for value, target in targets:
            if self.places[value] != target:
                copy(Code(write, self.numbers), self.places[value], target)

    def _described(self, equation: Equation) -> str:
        """The equations and the formula of an op, as a comment."""
        members = [equation]
        if equation.primitive is CHAIN:
            members = equation.params["body"].equations
        texts = []
        for member in members:
            inputs = [self._shown(v, equation.params.get("body")) for v in member.inputs]
            params = [f"{k}={short(v)}" for k, v in member.params.items()]
            outputs = ", ".join(self.names.get(v, "_") for v in member.outputs)
            texts.append(f"{outputs} = {member.primitive.name}({', '.join([*inputs, *params])})")
        if equation.primitive is not CHAIN:
            formula = equation.primitive.formula.splitlines()
            texts += formula[:1]
        return "\n".join(texts)

    def _shown(self, value: Value, body: Graph | None) -> str:
        """The name of an input of an equation; of a known number the number."""
        for graph in (self.graph, body):
            if graph and value in graph.constants and value.shape == ():
                return f"{graph.constants[value].item():g}"
        return self.names[value]


class _Uses:
    """When the memory of each value is read for the last time, through views of it too."""

    def __init__(self, root: dict[Value, Value], last: dict[Value, int]) -> None:
        self.root, self.last = root, last

    def last_of(self, value: Value) -> int:
        return self.last.get(self.root.get(value, value), -1)

    def ending_at(self, number: int) -> list[Value]:
        return [value for value, last in self.last.items() if last == number]


def _last_uses(graph: Graph) -> _Uses:
    root: dict[Value, Value] = {}
    last: dict[Value, int] = {}
    for number, equation in enumerate(graph.equations):
        for value in equation.inputs:
            last[root.get(value, value)] = number
        for value in equation.outputs:
            if isinstance(equation.primitive.kind, View):
                root[value] = root.get(equation.inputs[0], equation.inputs[0])
            last.setdefault(root.get(value, value), number)
    for value in graph.outputs:
        last[root.get(value, value)] = len(graph.equations)
    return _Uses(root, last)


class _Memory:
    """One array for each type, whose parts are given again once they are free."""

    def __init__(self) -> None:
        self.sizes: Counter[str] = Counter()
        self._free: dict[str, list[tuple[int, int]]] = {}
        self._taken: dict[str, tuple[str, int, int]] = {}

    def take(self, name: str, shape: Shape, dtype: DType, write: Writer) -> Place:
        """A part for an array of this name, which is declared."""
        kind, size = c_type(dtype), max(math.prod(shape), 1)
        parts = self._free.setdefault(kind, [])
        fitting = [part for part in parts if part[1] >= size]
        if fitting:
            start, room = min(fitting, key=lambda part: part[1])
            parts.remove((start, room))
            if room > size:
                parts.append((start + size, room - size))
        else:
            start = self.sizes[kind]
            self.sizes[kind] += size
        self._taken[name] = kind, start, size
        write.line(f"{kind} *const {name} = {self.name(kind)} + {start};")
        return Place.new(name, shape, dtype)

    def free(self, place: Place) -> None:
        """The array of this place is not used any more. Others than those taken are left alone."""
        if place.name not in self._taken:
            return
        kind, start, size = self._taken.pop(place.name)
        merged: list[tuple[int, int]] = []
        for begin, room in sorted([*self._free[kind], (start, size)]):
            if merged and sum(merged[-1]) == begin:
                begin, room = merged[-1][0], merged.pop()[1] + room
            merged.append((begin, room))
        self._free[kind] = merged

    @staticmethod
    def name(kind: str) -> str:
        return "memory" if kind == "float" else f"memory_{kind.removesuffix('_t')}"


def _size(value: Value) -> int:
    return max(math.prod(value.shape), 1)


def _identifiers(graph: Graph) -> dict[Value, str]:
    """The names of values as C identifiers."""
    taken: set[str] = set()
    names = {}
    for value, name in names_of(graph).items():
        stem = re.sub(r"\W+", "_", name).strip("_") or "t"
        if stem[0].isdigit():
            stem = f"layer_{stem}"
        if stem in RESERVED or re.fullmatch(r"\w|[abckns]\w|at_\w+", stem):
            stem = f"{stem}_in" if value in graph.inputs else f"{stem}_"
        unique, tries = stem, 2
        while unique in taken:
            unique, tries = f"{stem}_{tries}", tries + 1
        taken.add(unique)
        names[value] = unique
    return names


def source(program: Program, about: Sequence[str], examples: Sequence[str]) -> str:
    """The whole file. `about` is the comment at its top; `examples` the lines of `main`."""
    body = program.function()
    write = Writer()
    write.comment("\n".join(about))
    write.line("#include <math.h>")
    write.line("#include <stdint.h>")
    write.line("#include <stdio.h>")
    write.line()
    program.constants(write)
    write.line()
    for kind, size in program.memory.sizes.items():
        write.comment("Results that are not needed at the same time share memory.")
        write.line(f"static {kind} {program.memory.name(kind)}[{size}];")
    write.line()
    if any(isinstance(e.primitive.kind, Random) for e in program.graph.equations):
        write.lines += [*randoms.PHILOX, ""]
    write.line(f"{program.signature()};")
    write.line()
    write.lines += body
    write.lines += ["", *examples]
    return "\n".join(write.lines) + "\n"
