"""Products: matrices, layers, the gradients of layers."""

from __future__ import annotations

from typing import Any

from chainrule.engine.layout import FLOATS, Layout, NativeCall, native_call
from chainrule.engine.lowering.table import Layouts, adjacent, as_rows, lowering

ACTIVATIONS = {"none": 0, "relu": 1, "gate": 2}


def product_call(
    inputs: Layouts,
    output: Layout,
    activation: str = "none",
    bias: bool = False,
    residual: bool = False,
) -> NativeCall | None:
    """c = activation(a·b + bias + residual), of inputs (a, b[, bias][, residual]).

    The activation "gate" adds no residual: c = (a·b + bias)·[residual > 0].
    """
    if len({x.dtype for x in (*inputs, output)}) > 1 or output.dtype not in FLOATS:
        return None
    if len(output.shape) < 2 or not adjacent(output):
        return None
    if residual and not (inputs[-1].shape == output.shape and adjacent(inputs[-1])):
        return None
    ints = (ACTIVATIONS[activation], int(bias), int(residual))
    return native_call("matmul", inputs, [output], ints)


def transposed(x: Layout) -> Layout:
    """The last two dimensions exchanged."""
    n = len(x.shape)
    return x.permuted((*range(n - 2), n - 1, n - 2))


@lowering("matmul")
def _matmul(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return product_call(inputs, outputs[0])


@lowering("matmul_gate")
def _matmul_gate(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return product_call(inputs, outputs[0], "gate", residual=True)


LAYERS = {"linear": "none", "linear_relu": "relu"}
"""Products with a transposed matrix of weights, and the activation that follows."""


@lowering("linear")
def _linear(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _layer(inputs, outputs[0], "none")


@lowering("linear_relu")
def _linear_relu(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _layer(inputs, outputs[0], "relu")


def _layer(inputs: Layouts, y: Layout, activation: str) -> NativeCall | None:
    x, w, b = inputs
    rows, y_rows = as_rows(x), as_rows(y)
    if rows is None or y_rows is None or not adjacent(b):
        return None
    return product_call([rows, transposed(w), b], y_rows, activation, bias=True)


@lowering("linear_weight")
def _linear_weight(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> Any:
    g, x = map(as_rows, inputs)
    return None if g is None or x is None else product_call([transposed(g), x], outputs[0])
