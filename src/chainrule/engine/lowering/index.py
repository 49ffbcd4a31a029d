"""Indexing by arrays, and writing into slices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from chainrule.engine.layout import FLOATS, Layout, NativeCall, layout_of, native_call
from chainrule.engine.lowering.conditions import all_in_order, floats, integers
from chainrule.engine.lowering.table import MAX_OPERANDS, Case, Layouts, lowering, row


def by_one_array(case: Case) -> bool:
    """The index is an array of integers, along the first dimension."""
    return case.params["index"] == ("tensor",) and integers(1)(case)


def an_entry_each(case: Case) -> bool:
    """There is one entry for each index: nothing is broadcast."""
    x, index = case.inputs
    return x.shape == (*index.shape, *case.outputs[0].shape[1:])


def along_rows(case: Case) -> bool:
    """Each row is scattered into the same row of the result, by int64 indices."""
    (x, index), y = case.inputs, case.outputs[0]
    fits = x.shape == index.shape and x.shape[:-1] == y.shape[:-1]
    return fits and case.params["dim"] == len(x.shape) - 1 and index.dtype == np.int64


row("take", needs=(by_one_array, all_in_order))
row("put_into", needs=(floats, by_one_array, an_entry_each, all_in_order))
row("scatter_add", needs=(floats, along_rows, all_in_order))


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
    """Each slice in the shape of its input, or the input in the shape of its slice."""
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
    """The offset of a slice of y, in bytes, and its layout."""
    whole = as_strided(np.empty(1, y.dtype), y.shape, y.strides)  # only addresses are used
    part = whole[index if Ellipsis in index else (*index, Ellipsis)]  # always a view, even if 0-d
    start = part.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return start, layout_of(part)
