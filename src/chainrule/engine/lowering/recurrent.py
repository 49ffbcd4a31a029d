"""Recurrences over time and their gradients.

The values that a recurrence saves are contiguous. In other operands the features are adjacent, but
the weights may have any layout.
"""

from chainrule.engine.lowering.conditions import (
    choice,
    in_order_between,
    in_rows,
    one_float_dtype,
    results_in_order,
    whole_elements,
)
from chainrule.engine.lowering.table import Case, row


def nothing_empty(case: Case) -> bool:
    """Every operand has elements."""
    return all(x.size for x in case.operands)


def laid(case: Case) -> bool:
    """The features of all operands are adjacent, except for the weights."""
    p, weights, *others = case.inputs
    return whole_elements(weights) and all(map(in_rows, [p, *others]))


PLAIN = (one_float_dtype, nothing_empty, results_in_order, laid)
NONLINEARITY = choice("nonlinearity", "tanh", "relu")

row("lstm_sequence", "gru_sequence", needs=PLAIN, ints=("reverse",))
row("rnn_sequence", needs=PLAIN, ints=("reverse", NONLINEARITY))
row("lstm_sequence_gradient", needs=(*PLAIN, in_order_between(4, 7)), ints=("reverse",))
row("gru_sequence_gradient", needs=(*PLAIN, in_order_between(4, 6)), ints=("reverse",))
row(
    "rnn_sequence_gradient",
    needs=(*PLAIN, in_order_between(3, 4)),
    ints=("reverse", NONLINEARITY),
)
