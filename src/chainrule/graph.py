"""The intermediate representation: values, equations and graphs, readable, checked and runnable.

A graph is a list of equations in the order in which they run. Every value is defined once. A graph
is a pure function: the state that it reads is among its inputs, and the state that it writes is
among its outputs. The code that made the graph knows which inputs and outputs are state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.errors import CaptureError, ChainruleError, DTypeError, GraphError, ShapeError
from chainrule.primitive import Array, DType, Primitive, Shape, Spec, SpecLike


class StandIn:
    """Base class of what a tensor holds in place of an array: a shape and a dtype, no numbers."""

    __slots__ = ("__weakref__", "dtype", "shape")

    def __init__(self, like: SpecLike) -> None:
        self.shape: Shape = tuple(like.shape)
        self.dtype: DType = like.dtype

    @property
    def spec(self) -> Spec:
        return Spec(self.shape, self.dtype)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def refusal(self, purpose: str) -> ChainruleError:
        """The error for a `purpose` that needs numbers."""
        raise NotImplementedError

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise self.refusal("NumPy")


class Value(StandIn):
    """The result of an equation, or an input or constant of a graph: a label and a spec.

    layout: the memory layout of an input, if it is not in order.
    """

    __slots__ = ("label", "layout")

    def __init__(self, like: SpecLike, label: str = "", layout: Any = None) -> None:
        super().__init__(like)
        self.label, self.layout = label, layout

    def refusal(self, purpose: str) -> ChainruleError:
        return CaptureError(
            f"{purpose} needs numbers, and during a capture only specs are known "
            f"(here {self.spec})",
            instead="Return the tensor and look at it outside, or choose with cr.where.",
        )

    def __repr__(self) -> str:
        return f"{self.label or 'value'}: {self.spec}"


@dataclass(frozen=True, eq=False, slots=True)
class Equation:
    """outputs = primitive(inputs; params); `place` is the line of the user's program."""

    primitive: Primitive
    inputs: tuple[Value, ...]
    params: dict[str, Any]
    outputs: tuple[Value, ...]
    place: str = ""


@dataclass(eq=False)
class Graph:
    """Inputs, equations and outputs. Constants are arrays that are known when the graph is made.

    `results` labels the outputs: the returned value, the new value of a parameter, a gradient.
    """

    inputs: list[Value] = field(default_factory=list)
    constants: dict[Value, Array] = field(default_factory=dict)
    equations: list[Equation] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    results: list[str] = field(default_factory=list)

    def check(self) -> Graph:
        """Verify the graph, and return it.

        Each value must be defined exactly once, before it is used, and have the spec that the
        primitive's rule derives. Raises GraphError, which names the equation.
        """
        defined: set[Value] = set()
        for value in [*self.inputs, *self.constants]:
            if value in defined:
                raise GraphError(f"{value} is defined twice")
            defined.add(value)
        for value, array in self.constants.items():
            if (array.shape, array.dtype) != (value.shape, value.dtype):
                raise GraphError(
                    f"the constant {value} has another array",
                    given=Spec(array.shape, array.dtype),
                    expected=value.spec,
                )
        for number, equation in enumerate(self.equations):
            where = f"equation {number} ({equation.primitive.name})"
            if missing := [v for v in equation.inputs if v not in defined]:
                raise GraphError(f"{where} uses {missing[0]} before it is defined")
            try:
                derived = as_tuple(equation.primitive.infer(*equation.inputs, **equation.params))
            except Exception as error:
                raise GraphError(f"{where} breaks its rule: {error}") from error
            if [Spec(s.shape, s.dtype) for s in derived] != [v.spec for v in equation.outputs]:
                raise GraphError(
                    f"{where} claims outputs that its rule does not derive",
                    given=list(equation.outputs),
                    expected=list(derived),
                )
            for value in equation.outputs:
                if value in defined:
                    raise GraphError(f"{where} defines {value} a second time")
                defined.add(value)
        if missing := [v for v in self.outputs if v not in defined]:
            raise GraphError(f"the output {missing[0]} is never defined")
        if self.results and len(self.results) != len(self.outputs):
            raise GraphError("every output has a label, or none", given=self.results)
        return self

    def run(self, *arrays: Array) -> list[Array]:
        """Evaluate the graph on NumPy arrays, one op after the other, as eager code does.

        Raises GraphError for a wrong number of arrays, ShapeError or DTypeError for a wrong spec.
        """
        if len(arrays) != len(self.inputs):
            raise GraphError("wrong number of inputs", given=len(arrays), expected=len(self.inputs))
        environment = dict(self.constants)
        for value, array in zip(self.inputs, arrays, strict=True):
            if array.shape != value.shape:
                raise ShapeError(f"input {value}", given=array.shape, expected=value.shape)
            if array.dtype != value.dtype:
                raise DTypeError(f"input {value}", given=array.dtype, expected=value.dtype)
            environment[value] = array
        for equation in self.equations:
            inputs = [environment[v] for v in equation.inputs]
            results = as_tuple(equation.primitive.evaluate(*inputs, **equation.params))
            environment.update(zip(equation.outputs, map(np.asarray, results), strict=True))
        return [environment[v] for v in self.outputs]

    def __str__(self) -> str:
        return "\n".join(_text(self))


def as_tuple(result: Any) -> tuple[Any, ...]:
    """One result or several, as a tuple."""
    return result if isinstance(result, tuple) else (result,)


def short(value: Any) -> str:
    """The text of a parameter, as graphs print it."""
    if isinstance(value, tuple):
        return f"({', '.join(map(short, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, slice):
        parts = ["" if p is None else str(p) for p in (value.start, value.stop)]
        return ":".join(parts) + ("" if value.step is None else f":{value.step}")
    return "…" if value is Ellipsis else str(value)


def _text(graph: Graph) -> Iterator[str]:
    names = names_of(graph)

    def typed(values: Sequence[Value]) -> str:
        return ", ".join(f"{names[v]}: {v.spec}" for v in values)

    def rows(equations: Sequence[Equation], indent: str) -> Iterator[tuple[str, str]]:
        for equation in equations:
            bodies = [p for p in equation.params.values() if isinstance(p, Graph)]
            arguments = [names[v] for v in equation.inputs]
            arguments += [
                f"{key}={short(value)}"
                for key, value in equation.params.items()
                if value not in bodies
            ]
            call = f"{equation.primitive.name}({', '.join(arguments)})"
            place = "" if bodies else equation.place
            yield f"{indent}{typed(equation.outputs)} = {call}{':' if bodies else ''}", place
            for body in bodies:
                yield from rows(body.equations, indent + "  ")

    yield f"graph({typed(graph.inputs)})"
    for value, array in graph.constants.items():
        if array.ndim:
            yield f"  {names[value]}: {value.spec} is constant"
    lines = list(rows(graph.equations, "  "))
    width = min(max((len(row) for row, place in lines if place), default=0), 76)
    for row, place in lines:
        yield f"{row:<{width}}  # {place}" if place else row
    labels = graph.results or [""] * len(graph.outputs)
    results = [
        f"{label} = {names[v]}" if label else names[v]
        for label, v in zip(labels, graph.outputs, strict=True)
    ]
    yield f"  return {', '.join(results)}"


def _inside(equations: Sequence[Equation]) -> Iterator[Equation]:
    """The equations; those of a nested graph come before the equation that contains it."""
    for equation in equations:
        for body in equation.params.values():
            if isinstance(body, Graph):
                yield from _inside(body.equations)
        yield equation


def names_of(graph: Graph) -> dict[Value, str]:
    """Unique readable names: the label if there is one; for a 0-d constant, its number."""
    names: dict[Value, str] = {}
    taken: set[str] = set()

    def give(value: Value, wanted: str) -> None:
        name, tries = wanted, 2
        while name in taken:
            name, tries = f"{wanted}_{tries}", tries + 1
        taken.add(name)
        names[value] = name

    inside = list(_inside(graph.equations))
    bodies = [p for e in inside for p in e.params.values() if isinstance(p, Graph)]
    for constants in [graph.constants, *(body.constants for body in bodies)]:
        for value, array in constants.items():
            if array.ndim == 0:
                number = array.item()
                names[value] = f"{number:g}" if array.dtype.kind == "f" else str(number)
            else:
                give(value, value.label or "c")
    for value in graph.inputs:
        give(value, value.label or "x")
    counter = 0
    for equation in inside:
        for value in equation.outputs:
            if value not in names:
                give(value, value.label or f"t{counter}")
                counter += not value.label
    return names
