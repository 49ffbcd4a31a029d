"""Epilogues: what follows a matrix product happens while its result is still in registers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.graph import Equation, Graph, Value
from chainrule.kinds import Contraction
from chainrule.ops import contract
from chainrule.ops.special import gate, relu
from chainrule.primitive import Primitive

linear: Any = contract.linear
matmul: Any = contract.matrix_product
reference: Callable[..., Any] = linear.forward
rule_of_gate: Callable[..., Any] = gate.infer
open_gate: Callable[..., Any] = gate.forward


class _LinearRelu:
    """y = max(x·wᵀ + b, 0)."""

    name = "linear_relu"
    infer, kind, flops = linear.infer, linear.kind, linear.counted

    def forward(x: Any, w: Any, b: Any) -> Any:
        y = reference(x, w, b)
        return np.maximum(y, 0, out=y)


class _MatmulGate:
    """y = (a·b)·[x > 0]: the gradient that passes a product, then a relu."""

    name = "matmul_gate"
    kind = Contraction()

    def flops(a: Any, b: Any, x: Any) -> int:
        return matmul.flops([a, b], [], {})

    def infer(a: Any, b: Any, x: Any) -> Any:
        return rule_of_gate(matmul.infer(a, b), x)

    def forward(a: Any, b: Any, x: Any) -> Any:
        return open_gate(matmul.forward(a, b), x)


LINEAR_RELU, MATMUL_GATE = Primitive(_LinearRelu), Primitive(_MatmulGate)
"""Made by this pass alone, so they are no entries of the registry."""

JOINED: dict[tuple[Any, Any], Primitive] = {
    (linear, relu): LINEAR_RELU,
    (matmul, gate): MATMUL_GATE,
}
"""(product, what reads it first) → both in one."""


def fuse_epilogues(graph: Graph) -> Graph:
    """An activation that is the only reader of a product becomes part of it."""
    reads = Counter([*graph.outputs, *(v for e in graph.equations for v in e.inputs)])
    made_by: dict[Value, Equation] = {v: e for e in graph.equations for v in e.outputs}
    absorbed: set[Value] = set()
    equations = []
    for equation in graph.equations:
        source = made_by.get(equation.inputs[0]) if equation.inputs else None
        joined = JOINED.get((source.primitive, equation.primitive)) if source else None
        if source is not None and joined is not None and reads[equation.inputs[0]] == 1:
            absorbed.add(source.outputs[0])
            places = ", ".join(dict.fromkeys([source.place, equation.place]))
            inputs = (*source.inputs, *equation.inputs[1:])
            equation = replace(equation, primitive=joined, inputs=inputs, params={}, place=places)
        equations.append(equation)
    kept = [e for e in equations if not absorbed.intersection(e.outputs)]
    return replace(graph, equations=kept)
