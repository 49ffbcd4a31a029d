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


def added_along_the_first(case: Case) -> bool:
    """An entry for each index of one array is added to the first operand."""
    parts = case.inputs[1:]
    return by_one_array(case._replace(inputs=parts)) and an_entry_each(case._replace(inputs=parts))


row("take", needs=(by_one_array, all_in_order))
row("put_into", needs=(floats, by_one_array, an_entry_each, all_in_order))
row(
    "add_at",
    kernel="put_into",
    needs=(floats, added_along_the_first, all_in_order),
    order=(1, 2, 0),
)
row("scatter_add", needs=(floats, along_rows, all_in_order))


@lowering("slice_into")
def _slice_into(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _joined(inputs, outputs, [params["index"]])


@lowering("joined_slices")
def _joined_slices(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _joined(inputs, outputs, params["indices"])


def _joined(inputs: Layouts, outputs: Layouts, indices: Any) -> NativeCall | None:
    parts = _parts(inputs, outputs[0], indices)
    return parts and native_call("join_slices", parts[0], outputs, parts[1])


@lowering("add_at")
def _add_at(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    x, *added = inputs
    parts = _parts(added, outputs[0], [params["index"]]) if len(added) == 1 else None
    if parts is None or x.dtype not in FLOATS:
        return None
    return native_call("add_slice", [x, *parts[0]], outputs, parts[1])


def _parts(inputs: Layouts, y: Layout, indices: Any) -> tuple[list[Layout], list[int]] | None:
    """The layouts of slices of y and where they lie in y, as kernels take it: each in the shape of
    its input, or the input in the shape of its slice. None if y is not in order, if an input
    broadcasts, or if there is no such shape."""
    seen, ints = list[Layout](), list[int]()
    if not y.in_order() or len(inputs) >= MAX_OPERANDS:
        return None
    for x, index in zip(inputs, indices, strict=True):
        start, part = _place(y, index)
        if x.size != part.size:
            return None
        shaped = part.reshaped(x.shape)
        if shaped is None:
            again = x.reshaped(part.shape)
            if again is None:
                return None
            x, shaped = again, part
        seen.append(x if x.shape else Layout((1,), x.dtype, (x.dtype.itemsize,)))
        ints += [start, *(shaped.strides or seen[-1].strides)]
    return seen, ints


def _place(y: Layout, index: tuple[Any, ...]) -> tuple[int, Layout]:
    """The offset of a slice of y, in bytes, and its layout."""
    whole = as_strided(np.empty(1, y.dtype), y.shape, y.strides)  # only addresses are used
    part = whole[index if Ellipsis in index else (*index, Ellipsis)]  # always a view, even if 0-d
    start = part.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return start, layout_of(part)
