"""Epilogues: an activation after a product or convolution runs while the result is in registers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule import engine
from chainrule.graph import Equation, Graph, Value
from chainrule.kinds import Contraction
from chainrule.ops import contract
from chainrule.ops import convolution as windows
from chainrule.ops.special import gate, relu
from chainrule.primitive import Primitive

linear: Any = contract.linear
matmul: Any = contract.matrix_product
convolution: Any = windows.convolution
rule_of_gate: Callable[..., Any] = gate.infer
open_gate: Callable[..., Any] = gate.forward


class _LinearRelu:
    """y = max(x·wᵀ + b, 0), or without b."""

    name = "linear_relu"
    infer, kind, flops = linear.infer, linear.kind, linear.counted

    def forward(x: Any, w: Any, *b: Any) -> Any:
        return np.maximum(linear.forward(x, w, *b), 0)


class _ConvolutionRelu:
    """y = max(x ⋆ w + b, 0)."""

    name = "convolution_relu"
    infer, kind, flops = convolution.infer, convolution.kind, convolution.counted

    def forward(x: Any, w: Any, *b: Any, geometry: Any) -> Any:
        return np.maximum(convolution.forward(x, w, *b, geometry=geometry), 0)


class _MatmulGate:
    """y = (a·b)·[x > 0]: the gradient of a product, followed by that of a relu."""

    name = "matmul_gate"
    kind = Contraction()

    def flops(a: Any, b: Any, x: Any) -> int:
        return matmul.flops([a, b], [], {})

    def infer(a: Any, b: Any, x: Any) -> Any:
        return rule_of_gate(matmul.infer(a, b), x)

    def forward(a: Any, b: Any, x: Any) -> Any:
        return open_gate(matmul.forward(a, b), x)


LINEAR_RELU, MATMUL_GATE = Primitive(_LinearRelu), Primitive(_MatmulGate)
CONVOLUTION_RELU = Primitive(_ConvolutionRelu)
"""Ops that only this pass creates. They are not in the registry."""

JOINED: dict[tuple[Any, Any], Primitive] = {
    (linear, relu): LINEAR_RELU,
    (convolution, relu): CONVOLUTION_RELU,
    (matmul, gate): MATMUL_GATE,
}
"""(product, op that reads its result) → the op that does both."""


def fuse_epilogues(graph: Graph) -> Graph:
    """Fuse an activation into the product whose result only it reads, if there is a kernel."""
    reads = Counter([*graph.outputs, *(v for e in graph.equations for v in e.inputs)])
    made_by: dict[Value, Equation] = {v: e for e in graph.equations for v in e.outputs}
    absorbed: set[Value] = set()
    equations = []
    for equation in graph.equations:
        source = made_by.get(equation.inputs[0]) if equation.inputs else None
        if source is not None and reads[equation.inputs[0]] == 1:
            joined = _joined(source, equation)
            if joined is not None:
                absorbed.add(equation.inputs[0])
                equation = joined
        equations.append(equation)
    kept = [e for e in equations if not absorbed.intersection(e.outputs)]
    return replace(graph, equations=kept)


def _joined(source: Equation, reader: Equation) -> Equation | None:
    """Two equations as one; None if there is no op or no kernel for both."""
    both = JOINED.get((source.primitive, reader.primitive))
    if both is None:
        return None
    inputs = (*source.inputs, *reader.inputs[1:])
    layouts = [engine.in_order(v.shape, v.dtype) for v in (*inputs, *reader.outputs)]
    if engine.lower(both, source.params, layouts[: len(inputs)], layouts[len(inputs) :]) is None:
        return None
    place = ", ".join(dict.fromkeys([source.place, reader.place]))
    return Equation(both, inputs, source.params, reader.outputs, place)
