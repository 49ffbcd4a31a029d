"""A pass that replaces ops which a format does not know by the ops they are composed of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from chainrule.compiler.trace import capture
from chainrule.graph import Equation, Graph, Value
from chainrule.primitive import Primitive


def decomposed(graph: Graph, is_known: Callable[[Primitive], bool]) -> Graph:
    """The graph with `composed` of its record in place of each op that is not known.

    An op that is neither known nor composed of others stays: the format refuses it.
    """
    constants, equations = dict(graph.constants), []
    new: dict[Value, Value] = {}
    for equation in graph.equations:
        inputs = tuple(new.get(v, v) for v in equation.inputs)
        record, params = equation.primitive, equation.params
        if is_known(record) or record.composed is None:
            equations.append(Equation(record, inputs, params, equation.outputs, equation.place))
            continue
        body = capture(partial(record.composed, **params), tuple(v.spec for v in inputs)).graph
        own = dict(zip(body.inputs, inputs, strict=True))
        constants.update(body.constants)
        for e in body.equations:
            given = tuple(own.get(v, v) for v in e.inputs)
            equations.append(Equation(e.primitive, given, e.params, e.outputs, equation.place))
        results = [own.get(v, v) for v in body.outputs]
        new.update(zip(equation.outputs, results, strict=True))
    outputs = [new.get(v, v) for v in graph.outputs]
    return Graph(graph.inputs, constants, equations, outputs, graph.results)
