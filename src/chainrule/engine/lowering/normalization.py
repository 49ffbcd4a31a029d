"""Normalization by mean and variance, and its gradient."""

from collections.abc import Callable, Iterable

from chainrule.engine.layout import grouped
from chainrule.engine.lowering.conditions import all_in_order, floats
from chainrule.engine.lowering.table import Case, row


def sizes(weight: int, moments: int) -> Callable[[Case], Iterable[int] | None]:
    """(outer, kept, inner, along), if the dimensions that are not normalized are adjacent.

    `weight` and `moments` are the numbers of operands: w, if there is one, and v. If `along`, w has
    a number for each position of inner; otherwise, for each kept index.
    """

    def found(case: Case) -> Iterable[int] | None:
        x, dims = case.inputs[0], case.params["dims"]
        if not x.size or not dims:
            return None
        kept = [d for d in range(len(x.shape)) if d not in dims]
        outer, n, inner = (grouped(x.shape, kept) or (0, 0, 0)) if kept else (1, 1, x.size)
        w = case.inputs[weight].shape if weight < len(case.inputs) else None
        along = outer == 1 and w == tuple(1 if d in kept else n for d, n in enumerate(x.shape))
        per_kept = w is None or w == case.operands[moments].shape
        return (outer, n, inner, not per_kept) if n and (along or per_kept) else None

    return found


row(
    "normalize",
    needs=(floats, all_in_order),
    ints=(sizes(weight=1, moments=-1),),
    floats=("eps",),
)
row(
    "normalize_gradient",
    needs=(floats, all_in_order),
    ints=(sizes(weight=4, moments=3),),
    floats=("eps",),
)
