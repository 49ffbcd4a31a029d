"""A pass: a factor and a shift for each channel, after a convolution or a linear layer, become part
of its weights and bias. Batch norm in evaluation is such a factor and shift."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from chainrule.graph import Equation, Graph, Value
from chainrule.primitive import Array

CHANNELS = {"convolution": 1, "linear": -1}
"""The dimension of the output's channels, whose weights are the rows of input 1."""


def fold_affine(graph: Graph) -> Graph:
    """Fold until nothing more can be folded."""
    while (folded := _fold_one(graph)) is not None:
        graph = folded
    return graph


def _fold_one(graph: Graph) -> Graph | None:
    made = {v: e for e in graph.equations for v in e.outputs}
    uses = Counter(v for e in graph.equations for v in e.inputs)
    uses.update(graph.outputs)
    for equation in graph.equations:
        if equation.primitive.name not in ("add", "sub", "mul", "div"):
            continue
        product, number = equation.inputs
        if number not in graph.constants and product in graph.constants:
            if equation.primitive.name not in ("add", "mul"):
                continue
            product, number = number, product
        before = made.get(product)
        if before is None or uses[product] > 1 or product.shape != equation.outputs[0].shape:
            continue
        values = _by_channel(graph, before, number)
        if values is not None:
            return _replaced(graph, before, equation, values)
    return None


def _by_channel(graph: Graph, before: Equation, number: Value) -> Array | None:
    """The constant as one number for each channel of a product with constant weights."""
    if before.primitive.name not in CHANNELS or number not in graph.constants:
        return None
    if any(v not in graph.constants for v in before.inputs[1:]):
        return None
    array, y = graph.constants[number], before.outputs[0]
    dim = range(len(y.shape))[CHANNELS[before.primitive.name]]
    shape = (1,) * (len(y.shape) - array.ndim) + array.shape
    if any(n != 1 for d, n in enumerate(shape) if d != dim):
        return None
    return np.broadcast_to(array.reshape(shape[dim]), (y.shape[dim],))


def _replaced(graph: Graph, before: Equation, after: Equation, values: Array) -> Graph:
    x, w, *bias = before.inputs
    weights, constants = graph.constants[w], dict(graph.constants)
    shift = graph.constants[bias[0]] if bias else np.zeros(len(values), weights.dtype)
    name = after.primitive.name
    if name in ("mul", "div"):
        factor = values if name == "mul" else 1 / values
        weights = weights * factor.reshape(-1, *[1] * (weights.ndim - 1))
        shift = shift * factor
    else:
        shift = shift + (values if name == "add" else -values)

    def constant(array: Array, label: str) -> Value:
        value = Value(array, label)
        constants[value] = np.ascontiguousarray(array)
        return value

    inputs = (x, constant(weights, w.label), constant(shift, bias[0].label if bias else ""))
    fused = Equation(before.primitive, inputs, before.params, after.outputs, before.place)
    equations: list[Any] = [fused if e is after else e for e in graph.equations if e is not before]
    return Graph(graph.inputs, constants, equations, graph.outputs, graph.results)
