"""Functions for the rows of the table: conditions on a case, numbers that a kernel takes, and
changes of layouts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from chainrule.engine.layout import BOOL, FLOATS, Layout, grouped
from chainrule.engine.lowering.table import MAX_OPERANDS, Case, Condition

INTEGERS = "iu"


def floats(case: Case) -> bool:
    """The first operand is float32 or float64."""
    return case.operands[0].dtype in FLOATS


def gives_floats(case: Case) -> bool:
    """The first result is float32 or float64."""
    return case.outputs[0].dtype in FLOATS


def booleans(case: Case) -> bool:
    """The first operand is boolean."""
    return case.operands[0].dtype == BOOL


def integers(at: int) -> Condition:
    """The input with this number has an integer dtype."""
    return lambda case: case.inputs[at].dtype.kind in INTEGERS


def one_float_dtype(case: Case) -> bool:
    """All operands have the same floating dtype."""
    return gives_floats(case) and len({x.dtype for x in case.operands}) == 1


def all_in_order(case: Case) -> bool:
    """All operands are contiguous."""
    return all(x.in_order() for x in case.operands)


def results_in_order(case: Case) -> bool:
    """All results are contiguous."""
    return all(x.in_order() for x in case.outputs)


def in_order_between(start: int, stop: int) -> Condition:
    """The inputs from `start` to before `stop` are contiguous."""
    return lambda case: all(x.in_order() for x in case.inputs[start:stop])


def rows_adjacent(*at: int) -> Condition:
    """In these operands, the elements of a row are adjacent."""
    return lambda case: all(adjacent(case.operands[i]) for i in at)


def one_operand_free(case: Case) -> bool:
    """There are fewer inputs than the most operands of a kernel."""
    return len(case.inputs) < MAX_OPERANDS


def choice(name: str, *values: str) -> Callable[[Case], Iterable[int]]:
    """The position of a parameter's value among `values`."""
    return lambda case: (values.index(case.params[name]),)


def groups(name: str) -> Callable[[Case], Iterable[int] | None]:
    """(outer, n, inner), where n is the size of the adjacent dimensions in a parameter; None means
    all dimensions."""

    def found(case: Case) -> Iterable[int] | None:
        x, dims = case.inputs[0], case.params[name]
        if dims is None:
            return (1, x.size, 1)
        return grouped(x.shape, (dims,) if isinstance(dims, int) else dims)

    return found


def seen(
    case: Case, inputs: Sequence[Layout | None], outputs: Sequence[Layout | None]
) -> Case | None:
    """The case with other layouts, or None if one of them is None."""
    ins, outs = ([x for x in layouts if x is not None] for layouts in (inputs, outputs))
    fits = len(ins) == len(inputs) and len(outs) == len(outputs)
    return Case(case.params, ins, outs) if fits else None


def adjacent(x: Layout) -> bool:
    """Whether the elements of a row are adjacent."""
    return x.size == 0 or x.shape[-1] == 1 or x.strides[-1] == x.dtype.itemsize


def whole_elements(x: Layout) -> bool:
    """Whether all strides are multiples of the element size."""
    return x.size == 0 or not any(stride % x.dtype.itemsize for stride in x.strides)


def in_rows(x: Layout) -> bool:
    """Whether the elements of a row are adjacent, and all strides multiples of the element size."""
    return adjacent(x) and whole_elements(x)


def as_rows(x: Layout) -> Layout | None:
    """(..., n) as a matrix (rows, n) over the same memory, or None if the strides do not allow
    it."""
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
