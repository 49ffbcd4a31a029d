"""Epilogues: what follows a matrix product happens while its result is still in registers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.graph import Equation, Graph, Value
from chainrule.ops.contract import linear
from chainrule.primitive import Primitive

reference: Callable[..., Any] = linear.forward


class _LinearRelu:
    """y = max(x·wᵀ + b, 0)."""

    name = "linear_relu"
    infer = linear.infer

    def forward(x: Any, w: Any, b: Any) -> Any:
        y = reference(x, w, b)
        return np.maximum(y, 0, out=y)


LINEAR_RELU = Primitive(_LinearRelu)
"""Made by this pass alone, so it is no entry of the registry."""


def fuse_epilogues(graph: Graph) -> Graph:
    """A relu that is the only reader of a linear layer becomes part of it."""
    reads = Counter([*graph.outputs, *(v for e in graph.equations for v in e.inputs)])
    made_by: dict[Value, Equation] = {v: e for e in graph.equations for v in e.outputs}
    absorbed: set[Value] = set()
    equations = []
    for equation in graph.equations:
        source = made_by.get(equation.inputs[0]) if equation.inputs else None
        if (
            equation.primitive.name == "relu"
            and source is not None
            and source.primitive is linear
            and reads[equation.inputs[0]] == 1
        ):
            absorbed.add(source.outputs[0])
            places = ", ".join(dict.fromkeys([source.place, equation.place]))
            equation = replace(
                equation, primitive=LINEAR_RELU, inputs=source.inputs, params={}, place=places
            )
        equations.append(equation)
    kept = [e for e in equations if not absorbed.intersection(e.outputs)]
    return replace(graph, equations=kept)
