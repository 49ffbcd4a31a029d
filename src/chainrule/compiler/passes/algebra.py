"""Algebraic cleanup: equations that change nothing, or that undo each other, are removed.

Only identities that hold bit for bit are used (x·1, but not x + 0, which turns −0 into 0).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chainrule.compiler.passes.rewrite import Replacement, is_elementwise, rewrite
from chainrule.graph import Equation, Graph, Value


def simplify(graph: Graph) -> Graph:
    """x·1 → x, x/1 → x, −(−x) → x; a reshape, permute, expand or cast to what it was already;
    a reshape of a reshape, a permute of a permute; an expand that broadcasting does anyway."""
    made_by: dict[Value, Equation] = {}

    def is_one(value: Value) -> bool:
        array = graph.constants.get(value)
        return array is not None and array.ndim == 0 and bool(array == 1)

    def stands_for(equation: Equation) -> Value | None:
        """The value that the equation's output equals, if there is one already."""
        name, inputs, output = equation.primitive.name, equation.inputs, equation.outputs[0]
        source = made_by.get(inputs[0]) if inputs else None
        if name in ("mul", "div") and is_one(inputs[1]) and inputs[0].spec == output.spec:
            return inputs[0]
        if name == "mul" and is_one(inputs[0]) and inputs[1].spec == output.spec:
            return inputs[1]
        if name in ("reshape", "expand", "astype") and inputs[0].spec == output.spec:
            return inputs[0]
        if name == "permute" and equation.params["dims"] == tuple(range(output.ndim)):
            return inputs[0]
        if name == "neg" and source is not None and source.primitive.name == "neg":
            return source.inputs[0]
        return None

    def merged(equation: Equation) -> Equation:
        """A reshape of a reshape, or permute of a permute, as one."""
        source = made_by.get(equation.inputs[0]) if equation.inputs else None
        if source is None or source.primitive is not equation.primitive:
            return equation
        if equation.primitive.name == "reshape":
            return replace(equation, inputs=source.inputs)
        if equation.primitive.name == "permute":
            dims = tuple(source.params["dims"][d] for d in equation.params["dims"])
            return replace(equation, inputs=source.inputs, params={"dims": dims})
        return equation

    def unexpanded(equation: Equation) -> Equation:
        """An elementwise op reading what an expand repeats, when its shape stays the same."""
        if not is_elementwise(equation) or len(equation.inputs) < 2:
            return equation
        inputs = list(equation.inputs)
        for i, value in enumerate(inputs):
            source = made_by.get(value)
            if source is not None and source.primitive.name == "expand":
                others = [v.shape for j, v in enumerate(inputs) if j != i]
                narrow = source.inputs[0]
                if np.broadcast_shapes(narrow.shape, *others) == equation.outputs[0].shape:
                    inputs[i] = narrow
        return replace(equation, inputs=tuple(inputs))

    def visit(equation: Equation, replaced: Replacement) -> Equation | None:
        equation = unexpanded(merged(equation))
        same = stands_for(equation)
        if same is not None:
            replaced[equation.outputs[0]] = same
            return None
        for output in equation.outputs:
            made_by[output] = equation
        return equation

    return rewrite(graph, visit)
