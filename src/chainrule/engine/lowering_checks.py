"""Checks of values, truth over the last dimensions, slices that are written, and `cat`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from chainrule.engine.layout import BOOL, FLOATS, Layout, NativeCall, layout_of, native_call
from chainrule.engine.lowering import Layouts, lowering

MAX_OPERANDS = 31
"""How many inputs a native call takes beside one output."""


@lowering("binary_cross_entropy_with_logits")
def _binary(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    operands = (*inputs, *outputs)
    fits = inputs[0].dtype in FLOATS and all(x.in_order() for x in operands)
    return native_call("binary_cross_entropy_with_logits", inputs, outputs) if fits else None


@lowering("all_finite")
def _all_finite(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    if outputs[0].dtype != BOOL or any(x.dtype.kind not in "fiub" for x in inputs):
        return None
    floats = [(i, x) for i, x in enumerate(inputs) if x.dtype.kind == "f"]
    plain = all(x.dtype in FLOATS and x.in_order() for _, x in floats)
    if len(floats) > MAX_OPERANDS or not plain:
        return None
    return NativeCall("all_finite", (), (), tuple(floats), ((0, outputs[0]),))


@lowering("slice_into")
def _slice_into(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    x, y = inputs[0], outputs[0]
    if not y.in_order():
        return None
    start, part = _place(y, params["index"])
    if part.shape != x.shape:  # it broadcasts
        return None
    return native_call("slice_into", inputs, outputs, (start, *part.strides))


@lowering("cat")
def _cat(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    if len(inputs) > MAX_OPERANDS or not outputs[0].in_order():
        return None
    return native_call("cat", inputs, outputs, (params["dim"],))


def _place(y: Layout, index: tuple[Any, ...]) -> tuple[int, Layout]:
    """Where a slice of y begins, in bytes, and how it lies."""
    whole = as_strided(np.empty(1, y.dtype), y.shape, y.strides)  # only its places are looked at
    part = whole[index if Ellipsis in index else (*index, Ellipsis)]  # never a number: a view
    start = part.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return start, layout_of(part)


@lowering("joined_slices")
def _joined_slices(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    """Each part in the shape of its input, or the input in the shape of its part."""
    y, seen, ints = outputs[0], [], []
    if not y.in_order() or y.dtype not in FLOATS or len(inputs) > MAX_OPERANDS:
        return None
    for x, index in zip(inputs, params["indices"], strict=True):
        start, part = _place(y, index)
        shaped = part.reshaped(x.shape)
        if shaped is None:
            again = x.reshaped(part.shape)
            if again is None:
                return None
            x, shaped = again, part
        if not x.shape:
            return None
        seen.append(x)
        ints += [start, *shaped.strides]
    return native_call("join_slices", seen, outputs, ints)


@lowering("all")
def _all(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _truth(1, params, inputs, outputs)


@lowering("any")
def _any(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _truth(0, params, inputs, outputs)


def _truth(
    every: int, params: dict[str, Any], inputs: Layouts, outputs: Layouts
) -> NativeCall | None:
    x, n = inputs[0], len(params["dims"])
    last = tuple(range(len(x.shape) - n, len(x.shape)))
    if x.dtype != BOOL or tuple(sorted(params["dims"])) != last or not x.in_order():
        return None
    return native_call("truth", inputs, outputs, (every,)) if outputs[0].in_order() else None
