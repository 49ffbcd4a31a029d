"""From primitives to native calls: the one table of what has a kernel, and in which layouts.

Each function here takes the parameters of a primitive and the layouts of its inputs and outputs,
and returns the call of a kernel, or None when no kernel computes just that. Whoever wants to run
a primitive, alone or in a program, asks `lower`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule.engine.chain import fused_call
from chainrule.engine.elementwise import ELEMENTWISE, steps_of
from chainrule.engine.integers import integer_call
from chainrule.engine.layout import FLOAT64, FLOATS, KNOWN, Layout, NativeCall

Layouts = Sequence[Layout]
Lowering = Callable[[dict[str, Any], Layouts, Layouts], NativeCall | None]
MAX_DIMS, MAX_OPERANDS = 8, 32  # see engine/cpp/runtime/call.h
INTEGERS = "iu"

LOWERINGS: dict[str, Lowering] = {}


def lowering(*names: str) -> Callable[[Lowering], Lowering]:
    """Register a function as the lowering of primitives."""

    def register(function: Lowering) -> Lowering:
        LOWERINGS.update(dict.fromkeys(names, function))
        return function

    return register


def has_kernel(name: str) -> bool:
    """Whether some kernel computes this primitive, for some layouts and dtypes."""
    return name in LOWERINGS or name in ELEMENTWISE


def is_elementwise(name: str) -> bool:
    """Whether the elementwise machine computes this primitive, for some dtypes."""
    return name in ELEMENTWISE and name not in LOWERINGS


def lower(
    name: str, params: dict[str, Any], inputs: Layouts, outputs: Layouts
) -> NativeCall | None:
    """The native call that computes this primitive on these layouts, or None."""
    operands = (*inputs, *outputs)
    if max(len(inputs), len(outputs)) > MAX_OPERANDS:
        return None
    if any(x.dtype.str not in KNOWN or len(x.shape) > MAX_DIMS for x in operands):
        return None
    special = LOWERINGS.get(name)
    if special is not None:
        return special(params, inputs, outputs)
    steps = steps_of(name, params, [x.dtype for x in inputs])
    if steps is None:
        return integer_call(name, inputs, outputs)
    if not all(x.in_order() for x in outputs):
        return None
    dtype = next((x.dtype for x in operands if x.dtype in FLOATS), None)
    if name == "astype" and FLOAT64 in (inputs[0].dtype, outputs[0].dtype):
        dtype = FLOAT64
    elif name == "astype" and inputs[0].dtype.kind in INTEGERS:
        dtype = outputs[0].dtype
    result = (len(inputs) + len(steps) - 1,)
    return fused_call(inputs, outputs, steps, result, shape=outputs[0].shape, dtype=dtype)


# -- layouts --------------------------------------------------------------------------------------


def as_rows(x: Layout) -> Layout | None:
    """(..., n) as a matrix (rows, n) over the same memory, where its strides allow that."""
    if len(x.shape) == 2:
        return x
    if len(x.shape) == 1:
        return Layout((1, *x.shape), x.dtype, (x.dtype.itemsize * x.shape[0], *x.strides))
    lead = Layout(x.shape[:-1], x.dtype, x.strides[:-1])
    step, expected = lead.strides[-1], lead.strides[-1]
    for n, stride in zip(reversed(lead.shape), reversed(lead.strides), strict=True):
        if n > 1 and stride != expected:
            return None
        expected *= n
    return Layout((lead.size, x.shape[-1]), x.dtype, (step, x.strides[-1]))


def adjacent(rows: Layout) -> bool:
    return rows.size == 0 or rows.shape[-1] == 1 or rows.strides[-1] == rows.dtype.itemsize


def all_in_order(inputs: Layouts, outputs: Layouts) -> bool:
    return all(x.in_order() for x in (*inputs, *outputs))
