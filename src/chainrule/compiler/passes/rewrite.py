"""What passes share: rebuilding a graph while values are replaced by others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from chainrule.graph import Equation, Graph, Value

Replacement = dict[Value, Value]


ELEMENTWISE_FILES = ("chainrule.ops.compare", "chainrule.ops.elementwise", "chainrule.ops.special")
"""The files of ops in which each element of the output depends on one element of each input."""


def is_elementwise(equation: Equation) -> bool:
    """Whether each element of the output depends on one element of each input."""
    return equation.primitive.__module__ in ELEMENTWISE_FILES


def with_inputs(equation: Equation, replaced: Replacement) -> Equation:
    """The equation reading replacements where there are any."""
    if not any(v in replaced for v in equation.inputs):
        return equation
    return replace(equation, inputs=tuple([replaced.get(v, v) for v in equation.inputs]))


def rewrite(
    graph: Graph,
    visit: Callable[[Equation, Replacement], Equation | None],
    replaced: Replacement | None = None,
) -> Graph:
    """Visit the equations in order. `visit` returns what to keep, or None after it has noted in
    the replacements which values stand for the equation's outputs."""
    replaced = {} if replaced is None else replaced
    equations = []
    for equation in graph.equations:
        kept = visit(with_inputs(equation, replaced), replaced)
        if kept is not None:
            equations.append(kept)
    outputs = [replaced.get(v, v) for v in graph.outputs]
    return replace(graph, equations=equations, outputs=outputs)
