"""Recurrences over time and their gradients.

What a recurrence saved lies in order. Of other operands features are adjacent, but for the weights,
which may lie in any way.
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
    """Features lie side by side, but for the weights, which lie in any way."""
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
