"""Algebraic simplification: remove equations that change nothing or that undo each other.

The laws are fields of the records (`neutral`, `involution`, `idempotent`, `unchanged`, `merged`).
They hold bit for bit: x·1 = x is one, but x + 0 = x is not, as −0 + 0 = 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from chainrule.compiler.passes.rewrite import Replacement, is_opaque, obeys_its_rule, rewrite
from chainrule.graph import Equation, Graph, Value
from chainrule.kinds import Elementwise


def simplify(graph: Graph) -> Graph:
    """Apply the laws of the records: x·1 → x, −(−x) → x, a reshape to the same shape → x, two
    permutes → one. An elementwise op also reads the input of an expand instead of its result, where
    broadcasting does the same."""
    made_by: dict[Value, Equation] = {}

    def visit(equation: Equation, replaced: Replacement) -> Equation | None:
        equation = _unexpanded(_merged(equation, made_by), made_by)
        same = next(_equals(equation, graph, made_by), None)
        if same is not None and same.spec == equation.outputs[0].spec and not is_opaque(equation):
            replaced[equation.outputs[0]] = same
            return None
        for output in equation.outputs:
            made_by[output] = equation
        return equation

    return rewrite(graph, visit)


def _equals(equation: Equation, graph: Graph, made_by: dict[Value, Equation]) -> Iterator[Value]:
    """The values that the equation's output equals, by the laws of its record."""
    op, inputs, output = equation.primitive, equation.inputs, equation.outputs[0]
    for position, number in enumerate(op.neutral):
        if number is not None and _is_number(graph, inputs[position], number):
            yield inputs[1 - position]
    if op.unchanged is not None and op.unchanged(inputs[0], output, **equation.params):
        yield inputs[0]
    before = made_by.get(inputs[0]) if inputs else None
    if before is None or before.primitive is not op or before.params != equation.params:
        return
    if op.involution:
        yield before.inputs[0]
    if op.idempotent:
        yield inputs[0]


def _is_number(graph: Graph, value: Value, number: float) -> bool:
    """Whether a value is a constant scalar with this number, including the sign of zero."""
    array = graph.constants.get(value)
    if array is None or array.ndim or array != number:
        return False
    return math.copysign(1, float(array)) == math.copysign(1, number)


def _merged(equation: Equation, made_by: dict[Value, Equation]) -> Equation:
    """Merge two applications of one op, where the record has `merged`."""
    op = equation.primitive
    before = made_by.get(equation.inputs[0]) if equation.inputs else None
    if op.merged is None or before is None or before.primitive is not op:
        return equation
    params = op.merged(before.params, equation.params)
    return replace(equation, inputs=before.inputs, params=params)


def _unexpanded(equation: Equation, made_by: dict[Value, Equation]) -> Equation:
    """Let an elementwise op read the input of an expand, where its rule allows that."""
    if not isinstance(equation.primitive.kind, Elementwise) or len(equation.inputs) < 2:
        return equation
    for i, value in enumerate(equation.inputs):
        source = made_by.get(value)
        if source is not None and _repeats(source):
            narrow = (*equation.inputs[:i], source.inputs[0], *equation.inputs[i + 1 :])
            candidate = replace(equation, inputs=narrow)
            if obeys_its_rule(candidate):
                equation = candidate
    return equation


def _repeats(equation: Equation) -> bool:
    view = equation.primitive.view
    return view is not None and view.repeats
