"""Recurrences over time and their gradients."""

from __future__ import annotations

from typing import Any

from chainrule.engine.layout import FLOATS, Layout, NativeCall, native_call
from chainrule.engine.lowering.table import Layouts, lowering


@lowering("lstm_sequence", "gru_sequence", "rnn_sequence")
def _sequence(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    """p (T, N, gates·H), W, then b and states; told apart by how many results there are."""
    name = {3: "lstm", 2: "gru", 1: "rnn"}[len(outputs)]
    return _call(f"{name}_sequence", params, inputs, outputs)


@lowering("lstm_sequence_gradient")
def _lstm(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _call("lstm_sequence_gradient", params, inputs, outputs, inputs[4:7])


@lowering("gru_sequence_gradient")
def _gru(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _call("gru_sequence_gradient", params, inputs, outputs, inputs[4:6])


@lowering("rnn_sequence_gradient")
def _rnn(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _call("rnn_sequence_gradient", params, inputs, outputs, inputs[3:4])


def _call(
    name: str, params: dict[str, Any], inputs: Layouts, outputs: Layouts, saved: Layouts = ()
) -> NativeCall | None:
    """What a recurrence saved lies in order; of other operands features are adjacent, but for the
    weights, which may lie in any way."""
    operands = (*inputs, *outputs)
    dtype = outputs[0].dtype
    if dtype not in FLOATS or any(x.dtype != dtype or 0 in x.shape for x in operands):
        return None
    if not all(x.in_order() for x in (*outputs, *saved)):
        return None
    others = [x for i, x in enumerate(inputs) if i != 1]
    if not all(_adjacent(x) for x in others) or any(s % dtype.itemsize for s in inputs[1].strides):
        return None
    ints = [int(params["reverse"])]
    if "nonlinearity" in params:
        ints.append(int(params["nonlinearity"] == "relu"))
    return native_call(name, inputs, outputs, ints)


def _adjacent(x: Layout) -> bool:
    """Whether features lie side by side, and rows a whole number of them apart."""
    size = x.dtype.itemsize
    side_by_side = x.shape[-1] == 1 or x.strides[-1] == size
    return side_by_side and not any(s % size for s in x.strides)
