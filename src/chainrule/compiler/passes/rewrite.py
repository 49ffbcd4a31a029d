"""What passes share: rebuilding a graph while values are replaced by others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from chainrule.errors import ChainruleError
from chainrule.graph import Equation, Graph, Value, as_tuple
from chainrule.primitive import Spec

Replacement = dict[Value, Value]


def is_opaque(equation: Equation) -> bool:
    """Whether passes leave this equation as it is."""
    view = equation.primitive.view
    return view is not None and view.opaque


def obeys_its_rule(equation: Equation) -> bool:
    """Whether the record's rule takes these inputs and derives these outputs: a pass may put an
    operand in place of another only where that holds."""
    try:
        derived = as_tuple(equation.primitive.infer(*equation.inputs, **equation.params))
    except ChainruleError:
        return False
    return [Spec(s.shape, s.dtype) for s in derived] == [v.spec for v in equation.outputs]


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
