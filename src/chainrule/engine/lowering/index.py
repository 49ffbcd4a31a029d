"""Indexing by arrays, and slices that are written."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from chainrule.engine.layout import FLOATS, Layout, NativeCall, layout_of, native_call
from chainrule.engine.lowering.table import INTEGERS, MAX_OPERANDS, Layouts, all_in_order, lowering


def _first_dimension_only(index: tuple[Any, ...]) -> bool:
    return index == ("tensor",)


@lowering("take")
def _take(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    if not _first_dimension_only(params["index"]) or inputs[1].dtype.kind not in INTEGERS:
        return None
    return native_call("take", inputs, outputs) if all_in_order(inputs, outputs) else None


@lowering("put_into")
def _put_into(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    if not _first_dimension_only(params["index"]) or outputs[0].dtype not in FLOATS:
        return None
    if inputs[1].dtype.kind not in INTEGERS or inputs[0].shape != (
        *inputs[1].shape, *outputs[0].shape[1:],
    ):  # fmt: skip
        return None
    return native_call("put_into", inputs, outputs) if all_in_order(inputs, outputs) else None


@lowering("scatter_add")
def _scatter_add(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    x, index = inputs
    fits = x.shape == index.shape and params["dim"] == len(x.shape) - 1 and x.dtype in FLOATS
    if not fits or index.dtype.str != "<i8" or x.shape[:-1] != outputs[0].shape[:-1]:
        return None
    return native_call("scatter_add", inputs, outputs) if all_in_order(inputs, outputs) else None


@lowering("slice_into")
def _slice_into(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    x, y = inputs[0], outputs[0]
    if not y.in_order():
        return None
    start, part = _place(y, params["index"])
    if part.shape != x.shape:  # it broadcasts
        return None
    return native_call("slice_into", inputs, outputs, (start, *part.strides))


@lowering("joined_slices")
def _joined_slices(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    """Each part in the shape of its input, or the input in the shape of its part."""
    y, seen, ints = outputs[0], [], []
    if not y.in_order() or y.dtype not in FLOATS or len(inputs) >= MAX_OPERANDS:
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


def _place(y: Layout, index: tuple[Any, ...]) -> tuple[int, Layout]:
    """Where a slice of y begins, in bytes, and how it lies."""
    whole = as_strided(np.empty(1, y.dtype), y.shape, y.strides)  # only its places are looked at
    part = whole[index if Ellipsis in index else (*index, Ellipsis)]  # never a number: a view
    start = part.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return start, layout_of(part)
