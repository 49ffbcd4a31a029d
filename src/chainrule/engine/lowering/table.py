"""From primitives to native calls: the one table of what has a kernel, and in which layouts.

Each function here takes the parameters of a primitive and the layouts of its inputs and outputs,
and returns the call of a kernel, or None when no kernel computes just that. Whoever wants to run
a primitive, alone or in a program, asks `lower`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule.engine.layout import KNOWN, Layout, NativeCall
from chainrule.kinds import Elementwise, Kind
from chainrule.primitive import Primitive

Layouts = Sequence[Layout]
Lowering = Callable[[dict[str, Any], Layouts, Layouts], NativeCall | None]
MAX_DIMS, MAX_OPERANDS = 8, 32  # see engine/cpp/runtime/call.h
INTEGERS = "iu"

LOWERINGS: dict[str, Lowering] = {}
OF_KINDS: dict[type[Kind], Callable[..., NativeCall | None]] = {}
"""What lowers whatever op is of a kind, unless it has a lowering of its own."""


def lowering(*names: str) -> Callable[[Lowering], Lowering]:
    """Register a function as the lowering of primitives."""

    def register(function: Lowering) -> Lowering:
        LOWERINGS.update(dict.fromkeys(names, function))
        return function

    return register


def lowering_of_kind(kind: type[Kind]) -> Callable[[Any], Any]:
    """Register a function of (primitive, params, inputs, outputs) as the lowering of a kind."""

    def register(function: Any) -> Any:
        OF_KINDS[kind] = function
        return function

    return register


def has_kernel(primitive: Primitive) -> bool:
    """Whether some kernel may compute this op, for some layouts and dtypes."""
    return primitive.name in LOWERINGS or type(primitive.kind) in OF_KINDS


def is_sweep(primitive: Primitive) -> bool:
    """Whether the elementwise machine computes this op, tile by tile."""
    return isinstance(primitive.kind, Elementwise) and primitive.name not in LOWERINGS


def lower(
    primitive: Primitive, params: dict[str, Any], inputs: Layouts, outputs: Layouts
) -> NativeCall | None:
    """The native call that computes this op on these layouts, or None."""
    operands = (*inputs, *outputs)
    if max(len(inputs), len(outputs)) > MAX_OPERANDS:
        return None
    if any(x.dtype.str not in KNOWN or len(x.shape) > MAX_DIMS for x in operands):
        return None
    own = LOWERINGS.get(primitive.name)
    if own is not None:
        return own(params, inputs, outputs)
    of_kind = OF_KINDS.get(type(primitive.kind))
    return None if of_kind is None else of_kind(primitive, params, inputs, outputs)


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
