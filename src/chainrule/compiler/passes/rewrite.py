"""Helpers of passes: rebuilding a graph while values are replaced by others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from chainrule.errors import ChainruleError
from chainrule.graph import Equation, Graph, Value, as_tuple
from chainrule.primitive import Spec

Replacement = dict[Value, Value]


def is_opaque(equation: Equation) -> bool:
    """Whether passes must not change this equation."""
    view = equation.primitive.view
    return view is not None and view.opaque


def obeys_its_rule(equation: Equation) -> bool:
    """Whether the record's rule accepts these inputs and derives these outputs. A pass may replace
    an operand only if it does."""
    try:
        derived = as_tuple(equation.primitive.infer(*equation.inputs, **equation.params))
    except ChainruleError:
        return False
    return [Spec(s.shape, s.dtype) for s in derived] == [v.spec for v in equation.outputs]


def with_inputs(equation: Equation, replaced: Replacement) -> Equation:
    """The equation with its inputs replaced where there are replacements."""
    if not any(v in replaced for v in equation.inputs):
        return equation
    return replace(equation, inputs=tuple([replaced.get(v, v) for v in equation.inputs]))


def rewrite(
    graph: Graph,
    visit: Callable[[Equation, Replacement], Equation | None],
    replaced: Replacement | None = None,
) -> Graph:
    """Visit the equations in order. `visit` returns an equation to keep. Or it returns None, after
    it has added to the replacements the values that replace the equation's outputs."""
    replaced = {} if replaced is None else replaced
    equations = []
    for equation in graph.equations:
        kept = visit(with_inputs(equation, replaced), replaced)
        if kept is not None:
            equations.append(kept)
    outputs = [replaced.get(v, v) for v in graph.outputs]
    return replace(graph, equations=equations, outputs=outputs)
