"""Attention and its gradient: queries, keys and values as they lie, masks laid over the scores."""

from __future__ import annotations

from typing import Any

from chainrule.engine.layout import BOOL, FLOATS, Layout, NativeCall, broadcast_to, native_call
from chainrule.engine.lowering.table import Layouts, lowering

MAX_MASKS = 2


@lowering("attention")
def _attention(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    (q, k, v), masks = inputs[:3], inputs[3:]
    y, z = outputs
    return _call("attention", params, (q, k, v, y), (z,), masks, inputs, outputs)


@lowering("attention_gradient")
def _gradient(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    (u, q, k, v, delta, level), masks = inputs[:6], inputs[6:]
    matrices = (u, q, k, v, *outputs)
    return _call("attention_gradient", params, matrices, (delta, level), masks, inputs, outputs)


def _call(
    kernel: str,
    params: dict[str, Any],
    matrices: Layouts,
    rows: Layouts,
    masks: Layouts,
    inputs: Layouts,
    outputs: Layouts,
) -> NativeCall | None:
    """The call, where matrices have adjacent columns and what a row keeps lies in order."""
    dtype = matrices[0].dtype
    if dtype not in FLOATS or any(x.dtype not in (dtype, BOOL) for x in (*rows, *masks)):
        return None
    if len(masks) > MAX_MASKS or not all(x.in_order() for x in rows):
        return None
    if not all(_in_rows(x) for x in matrices):
        return None
    k = inputs[1] if kernel == "attention" else inputs[2]
    scores = (*rows[0].shape, k.shape[-2])
    plain = inputs[: len(inputs) - len(masks)]
    laid = [broadcast_to(mask, scores) for mask in masks]
    numbers = ((int(params["causal"]),), (float(params["scale"]),))
    return native_call(kernel, (*plain, *laid), outputs, *numbers)


def _in_rows(x: Layout) -> bool:
    """Whether columns are adjacent and rows a whole number of elements apart."""
    size = x.dtype.itemsize
    if x.size == 0:
        return True
    adjacent = x.shape[-1] <= 1 or x.strides[-1] == size
    return adjacent and all(stride % size == 0 for stride in x.strides)
