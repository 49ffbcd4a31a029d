"""Attention and its gradient. Masks are broadcast to the shape of the scores."""

from __future__ import annotations

from typing import NamedTuple

from chainrule.engine.layout import BOOL, FLOATS, Layout, broadcast_to
from chainrule.engine.lowering.conditions import in_rows, seen
from chainrule.engine.lowering.table import Case, Layouts, row

MAX_MASKS = 2


class Parts(NamedTuple):
    """The operands by their role. `kept` have one number for each query."""

    matrices: Layouts
    kept: Layouts
    masks: Layouts
    keys: Layout


def parts(case: Case) -> Parts:
    """The operands of attention (two results) or of its gradient."""
    if len(case.outputs) == 2:
        (q, k, v, *masks), (y, z) = case.inputs, case.outputs
        return Parts((q, k, v, y), (z,), masks, k)
    u, q, k, v, delta, z, *masks = case.inputs
    return Parts((u, q, k, v, *case.outputs), (delta, z), masks, k)


def masks_laid(case: Case) -> Case | None:
    """The case with the masks broadcast to the scores (..., queries, keys)."""
    _, kept, masks, keys = parts(case)
    scores = (*kept[0].shape, keys.shape[-2])
    plain = case.inputs[: len(case.inputs) - len(masks)]
    return seen(case, [*plain, *[broadcast_to(x, scores) for x in masks]], case.outputs)


def fits(case: Case) -> bool:
    """Matrices have adjacent columns, `kept` is contiguous, and there are at most two masks."""
    matrices, kept, masks, keys = parts(case)
    dtypes = {x.dtype for x in (*kept, *masks)} - {BOOL}
    laid = all(map(in_rows, matrices)) and all(x.in_order() for x in kept)
    return keys.dtype in FLOATS and dtypes == {keys.dtype} and laid and len(masks) <= MAX_MASKS


row(
    "attention",
    "attention_gradient",
    sees=masks_laid,
    needs=(fits,),
    ints=("causal",),
    floats=("scale",),
)
