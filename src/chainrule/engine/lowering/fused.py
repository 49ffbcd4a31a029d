"""Softmax, ln Σ eˣ and losses."""

from chainrule.engine.layout import in_order
from chainrule.engine.lowering.conditions import (
    all_in_order,
    as_rows,
    choice,
    floats,
    groups,
    integers,
    rows_adjacent,
    seen,
)
from chainrule.engine.lowering.table import Case, row


def rows_along(case: Case) -> Case | None:
    """The operands as matrices whose rows are the dimension, if it is the last one. Rows without
    elements are left to the reference."""
    x = case.inputs[0]
    if not x.shape or case.params["dim"] != len(x.shape) - 1 or not x.shape[-1]:
        return None
    return seen(case, [as_rows(x)], [as_rows(case.outputs[0])])


def rows_over(case: Case) -> Case | None:
    """The input as a matrix whose rows are the last dimensions. If they are empty, the result is
    −∞, which is left to the reference."""
    x, y = case.inputs[0], case.outputs[0]
    outer, n, inner = groups("dims")(case) or (0, 0, 0)
    if n == 0 or inner != 1 or not (x.in_order() and y.in_order()):
        return None
    return seen(case, [in_order((outer, n), x.dtype)], [in_order((outer,), y.dtype)])


REDUCTION = choice("reduction", "none", "sum", "mean")

row("softmax", "log_softmax", sees=rows_along, needs=(floats, rows_adjacent(0, 1)))
row("logsumexp", sees=rows_over, needs=(floats,))
row("binary_cross_entropy_with_logits", needs=(floats, all_in_order))
row(
    "softmax_cross_entropy",
    needs=(floats, rows_adjacent(0), integers(1)),
    ints=(1, 0, REDUCTION, "ignore_index"),
)
row(
    "softmax_cross_entropy_gradient",
    kernel="softmax_cross_entropy",
    needs=(floats, rows_adjacent(1), integers(2)),
    ints=(0, 1, REDUCTION, "ignore_index"),
    order=(1, 2, 0),
)
