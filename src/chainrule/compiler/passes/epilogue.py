"""Epilogues: an activation after a product or convolution, and an addition after a linear layer,
run while the result is in registers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule import engine
from chainrule.graph import Equation, Graph, Value
from chainrule.kinds import Contraction
from chainrule.ops import contract, elementwise
from chainrule.ops import convolution as windows
from chainrule.ops.special import gate, relu
from chainrule.primitive import Primitive

linear: Any = contract.linear
matmul: Any = contract.matrix_product
convolution: Any = windows.convolution
add: Any = elementwise.add
rule_of_add: Callable[..., Any] = elementwise.add.infer
rule_of_gate: Callable[..., Any] = gate.infer
open_gate: Callable[..., Any] = gate.forward


class _LinearRelu:
    """y = max(x·wᵀ + b, 0), or without b."""

    name = "linear_relu"
    infer, kind, flops = linear.infer, linear.kind, linear.counted

    def forward(x: Any, w: Any, *b: Any) -> Any:
        return np.maximum(linear.forward(x, w, *b), 0)


class _LinearAdd:
    """y = x·wᵀ + b + z, or without b. z has the shape of y."""

    name = "linear_add"
    kind, flops = linear.kind, linear.counted  # z costs as much as a bias

    def infer(x: Any, w: Any, *bz: Any) -> Any:
        return rule_of_add(linear.infer(x, w, *bz[:-1]), bz[-1])

    def forward(x: Any, w: Any, *bz: Any) -> Any:
        return linear.forward(x, w, *bz[:-1]) + bz[-1]


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


LINEAR_RELU, LINEAR_ADD = Primitive(_LinearRelu), Primitive(_LinearAdd)
MATMUL_GATE = Primitive(_MatmulGate)
CONVOLUTION_RELU = Primitive(_ConvolutionRelu)
"""Ops that only this pass creates. They are not in the registry."""

JOINED: dict[tuple[Any, Any, int], Primitive] = {
    (linear, relu, 0): LINEAR_RELU,
    (linear, add, 0): LINEAR_ADD,
    (linear, add, 1): LINEAR_ADD,
    (convolution, relu, 0): CONVOLUTION_RELU,
    (matmul, gate, 0): MATMUL_GATE,
}
"""(product, op that reads its result, as which input) → the op that does both."""


def fuse_epilogues(graph: Graph) -> Graph:
    """Fuse an activation or an addition into the product whose result only it reads, if there is a
    kernel."""
    reads = Counter([*graph.outputs, *(v for e in graph.equations for v in e.inputs)])
    made_by: dict[Value, Equation] = {v: e for e in graph.equations for v in e.outputs}
    absorbed: set[Value] = set()
    equations = []
    for equation in graph.equations:
        for place, value in enumerate(equation.inputs):
            source = made_by.get(value) if reads[value] == 1 else None
            joined = source and _joined(source, equation, place)
            if joined:
                absorbed.add(value)
                equation = joined
                break
        equations.append(equation)
    kept = [e for e in equations if not absorbed.intersection(e.outputs)]
    return replace(graph, equations=kept)


def _joined(source: Equation, reader: Equation, place: int) -> Equation | None:
    """Two equations as one; None if there is no op or no kernel for both."""
    both = JOINED.get((source.primitive, reader.primitive, place))
    if both is None:
        return None
    inputs = (*source.inputs, *reader.inputs[:place], *reader.inputs[place + 1 :])
    layouts = [engine.in_order(v.shape, v.dtype) for v in (*inputs, *reader.outputs)]
    if engine.lower(both, source.params, layouts[: len(inputs)], layouts[len(inputs) :]) is None:
        return None
    places = ", ".join(dict.fromkeys([source.place, reader.place]))
    return Equation(both, inputs, source.params, reader.outputs, places)
