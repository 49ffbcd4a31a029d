"""Arithmetic on whole numbers, which the elementwise machine, made for floats, does not do."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.engine.layout import BOOL, KNOWN, Layout, NativeCall, native_call

OPS = {name: i for i, name in enumerate(("add", "sub", "mul", "eq", "ne", "lt", "le", "gt", "ge"))}
ARITHMETIC = 3
"""So many of them give integers, which wrap around; the others are comparisons."""


def integer_call(
    name: str, inputs: Sequence[Layout], outputs: Sequence[Layout]
) -> NativeCall | None:
    """The call of a primitive on two arrays of one integer dtype that lie in order, or of one such
    array and one number. Booleans are compared only."""
    dtype, y = inputs[0].dtype, outputs[0]
    if name not in OPS or dtype.kind not in "iub" or dtype.str not in KNOWN:
        return None
    if dtype == BOOL and OPS[name] < ARITHMETIC:
        return None
    operands = (*inputs, y)
    plain = all(x.in_order() and x.size in (1, y.size) for x in operands)
    if not plain or inputs[1].dtype != dtype:
        return None
    return native_call("integers", inputs, outputs, (OPS[name],))


def integer_sum_call(
    groups: tuple[int, int, int] | None, inputs: Sequence[Layout], outputs: Sequence[Layout]
) -> NativeCall | None:
    """The sum over neighbouring dimensions, as int64."""
    if groups is None or inputs[0].dtype.kind not in "iub" or not inputs[0].in_order():
        return None
    return native_call("integer_sum", inputs, outputs, groups)
