"""Common subexpressions: one op on the same values with the same parameters runs only once."""

from __future__ import annotations

from typing import Any

from chainrule.compiler.passes.rewrite import Replacement, is_opaque, rewrite
from chainrule.graph import Equation, Graph, Value


def merge_common(graph: Graph) -> Graph:
    """Merge equal equations, and equal 0-d constants. Opaque equations are never merged."""
    first: dict[Any, tuple[Value, ...]] = {}
    replaced_constants: Replacement = {}
    for value, array in graph.constants.items():
        if array.ndim == 0:
            (same,) = first.setdefault((array.dtype, array.tobytes()), (value,))
            if same is not value:
                replaced_constants[value] = same

    def visit(equation: Equation, replaced: Replacement) -> Equation | None:
        if is_opaque(equation):
            return equation
        key = (equation.primitive, tuple(map(id, equation.inputs)), repr(equation.params))
        earlier = first.setdefault(key, equation.outputs)
        if earlier is equation.outputs:
            return equation
        replaced.update(zip(equation.outputs, earlier, strict=True))
        return None

    return rewrite(graph, visit, replaced_constants)
