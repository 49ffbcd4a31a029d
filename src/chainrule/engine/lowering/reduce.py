"""Reductions: folds, positions of extremes, variances, `all` and `any`."""

from __future__ import annotations

import math
from typing import Any

from chainrule.engine.chain import Reduction as Fold
from chainrule.engine.chain import fused_call
from chainrule.engine.layout import FLOATS, NativeCall, grouped, native_call
from chainrule.engine.lowering.conditions import all_in_order, booleans, floats, groups
from chainrule.engine.lowering.table import (
    MAX_OPERANDS,
    Case,
    Layouts,
    lowering,
    lowering_of_kind,
    row,
)
from chainrule.kinds import Reduction
from chainrule.primitive import Primitive, Shape


def fold_of(
    primitive: Primitive, params: dict[str, Any], shape: Shape, operand: int
) -> Fold | None:
    """A reduction of an operand of this shape for the elementwise machine, or None."""
    kind = primitive.kind
    if not isinstance(kind, Reduction) or kind.fold is None:
        return None
    number = math.prod(shape[d] for d in params["dims"])
    return Fold(kind.fold, operand, float(number) if kind.mean else 1.0)


@lowering_of_kind(Reduction)
def _fold(
    primitive: Primitive, params: dict[str, Any], inputs: Layouts, outputs: Layouts
) -> NativeCall | None:
    """Floats are reduced on the machine. Sums of integers have their own kernel."""
    x, y = inputs[0], outputs[0]
    fold = fold_of(primitive, params, x.shape, 0)
    if fold is None or fold.divisor == 0 or not y.in_order():
        return None
    if x.dtype in FLOATS:
        return fused_call(inputs, outputs, (), (), [fold], params["dims"], x.shape, x.dtype)
    sizes = grouped(x.shape, params["dims"])
    if fold.fold != "sum" or sizes is None or x.dtype.kind not in "iub" or not x.in_order():
        return None
    return native_call("integer_sum", inputs, outputs, sizes)


@lowering("all_finite")
def _all_finite(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    """Only floating inputs are checked; other numbers are always finite."""
    found = [(i, x) for i, x in enumerate(inputs) if x.dtype.kind == "f"]
    if len(found) == MAX_OPERANDS or not all(x.in_order() for _, x in found):
        return None
    return NativeCall("all_finite", (), (), tuple(found), ((0, outputs[0]),))


def few_enough(case: Case) -> bool:
    """The kernel counts in 32 bits."""
    return case.inputs[0].size < 2**31


def over_last_dims(case: Case) -> bool:
    """The dimensions are the last ones."""
    ndim, dims = len(case.inputs[0].shape), case.params["dims"]
    return sorted(dims) == list(range(ndim - len(dims), ndim))


PLAIN = (floats, all_in_order)

row("argmax", kernel="position", needs=(*PLAIN, few_enough), ints=(groups("dim"), 0))
row("argmin", kernel="position", needs=(*PLAIN, few_enough), ints=(groups("dim"), 1))
row("var", kernel="variance", needs=PLAIN, ints=(groups("dims"), "correction"))
row("all", kernel="truth", needs=(booleans, all_in_order, over_last_dims), ints=(1,))
row("any", kernel="truth", needs=(booleans, all_in_order, over_last_dims), ints=(0,))
row("require", needs=(booleans, all_in_order), ints=("number",))
