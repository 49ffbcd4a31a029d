"""Copies, and arrays joined."""

from __future__ import annotations

from typing import Any

from chainrule.engine.layout import Layout, NativeCall, in_order, native_call
from chainrule.engine.lowering.table import MAX_OPERANDS, Layouts, lowering


@lowering("clone")
def _clone(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return native_call("copy", inputs, outputs)


def copy_call(source: Layout, target: Layout) -> NativeCall:
    """Copy a view into another of the same dtype, broadcasting on the way."""
    return native_call("copy", [source], [target])


def zero_call(target: Layout) -> NativeCall:
    """Set an array that lies in order to zero (or False)."""
    return NativeCall("fill_zero", (), (), (), ((0, in_order(target.shape, target.dtype)),))


@lowering("cat")
def _cat(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    if len(inputs) >= MAX_OPERANDS or not outputs[0].in_order():
        return None
    return native_call("cat", inputs, outputs, (params["dim"],))
