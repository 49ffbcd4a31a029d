"""The words of the table: conditions on a case, numbers found in it, and other ways to see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from chainrule.engine.layout import BOOL, FLOATS, Layout, grouped
from chainrule.engine.lowering.table import MAX_OPERANDS, Case, Condition

INTEGERS = "iu"


def floats(case: Case) -> bool:
    """The first operand is of a floating dtype that kernels know."""
    return case.operands[0].dtype in FLOATS


def gives_floats(case: Case) -> bool:
    """The first result is."""
    return case.outputs[0].dtype in FLOATS


def booleans(case: Case) -> bool:
    """The first operand is of truth values."""
    return case.operands[0].dtype == BOOL


def integers(at: int) -> Condition:
    """This input is of integers."""
    return lambda case: case.inputs[at].dtype.kind in INTEGERS


def one_float_dtype(case: Case) -> bool:
    """All operands are of one floating dtype."""
    return gives_floats(case) and len({x.dtype for x in case.operands}) == 1


def all_in_order(case: Case) -> bool:
    """All operands lie in C order."""
    return all(x.in_order() for x in case.operands)


def results_in_order(case: Case) -> bool:
    """All results lie in C order."""
    return all(x.in_order() for x in case.outputs)


def in_order_between(start: int, stop: int) -> Condition:
    """The inputs from `start` to before `stop` lie in C order."""
    return lambda case: all(x.in_order() for x in case.inputs[start:stop])


def rows_adjacent(*at: int) -> Condition:
    """Of these operands, elements of a row lie side by side."""
    return lambda case: all(adjacent(case.operands[i]) for i in at)


def one_operand_free(case: Case) -> bool:
    """There are fewer inputs than a kernel may have operands."""
    return len(case.inputs) < MAX_OPERANDS


def choice(name: str, *values: str) -> Callable[[Case], Iterable[int]]:
    """The number of a parameter's value in a list."""
    return lambda case: (values.index(case.params[name]),)


def groups(name: str) -> Callable[[Case], Iterable[int] | None]:
    """(outer, n, inner) around the neighbouring dimensions that a parameter names; None is all."""

    def found(case: Case) -> Iterable[int] | None:
        x, dims = case.inputs[0], case.params[name]
        if dims is None:
            return (1, x.size, 1)
        return grouped(x.shape, (dims,) if isinstance(dims, int) else dims)

    return found


def seen(
    case: Case, inputs: Sequence[Layout | None], outputs: Sequence[Layout | None]
) -> Case | None:
    """The case with other layouts, or None where one could not be had."""
    ins, outs = ([x for x in layouts if x is not None] for layouts in (inputs, outputs))
    fits = len(ins) == len(inputs) and len(outs) == len(outputs)
    return Case(case.params, ins, outs) if fits else None


def adjacent(x: Layout) -> bool:
    """Whether elements of a row lie side by side."""
    return x.size == 0 or x.shape[-1] == 1 or x.strides[-1] == x.dtype.itemsize


def whole_elements(x: Layout) -> bool:
    """Whether elements lie a whole number of elements apart."""
    return x.size == 0 or not any(stride % x.dtype.itemsize for stride in x.strides)


def in_rows(x: Layout) -> bool:
    """Whether elements of a row lie side by side, and rows a whole number of elements apart."""
    return adjacent(x) and whole_elements(x)


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
