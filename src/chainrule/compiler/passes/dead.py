"""Dead code: equations on which no output depends are removed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from chainrule import engine
from chainrule.graph import Equation, Graph
from chainrule.kinds import Elementwise


def may_raise(equation: Equation) -> bool:
    """Whether an op may refuse the numbers of its inputs: positions out of range, a singular
    matrix, an integer divisor of 0. An elementwise op that the engine's machine computes does not:
    the machine has no checks."""
    primitive = equation.primitive
    if isinstance(primitive.kind, Elementwise):
        dtypes = [v.dtype for v in equation.inputs]
        return engine.steps_of(primitive, equation.params, dtypes) is None
    return not primitive.kind.total


def remove_dead(graph: Graph, is_kept: Callable[[Equation], bool] = may_raise) -> Graph:
    """Keep the equations and constants on which an output depends, those that may raise an error,
    and all inputs."""
    needed = set(graph.outputs)
    kept = []
    for equation in reversed(graph.equations):
        if any(v in needed for v in equation.outputs) or is_kept(equation):
            needed.update(equation.inputs)
            kept.append(equation)
    constants = {v: array for v, array in graph.constants.items() if v in needed}
    return replace(graph, equations=kept[::-1], constants=constants)


def remove_unused(graph: Graph) -> Graph:
    """Keep the equations and constants on which an output depends, and all inputs."""
    return remove_dead(graph, lambda equation: False)
