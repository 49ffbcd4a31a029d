"""Updates of optimizers: one loop over a parameter and its state."""

from chainrule.engine.lowering.conditions import all_in_order, floats
from chainrule.engine.lowering.table import Case, row

PLAIN = (floats, all_in_order)


def has_maxima(case: Case) -> bool:
    """There are largest second moments among the inputs: AMSGrad."""
    return len(case.inputs) > 9


row("sgd_update", needs=PLAIN, ints=("maximize",))
row("momentum_update", needs=PLAIN, ints=("nesterov", "maximize"))
row(
    "adam_update",
    kernel="amsgrad_update",
    needs=(*PLAIN, has_maxima),
    ints=("decoupled", "maximize"),
)
row("adam_update", needs=PLAIN, ints=("decoupled", "maximize"))
row("rmsprop_update", needs=PLAIN, ints=("centered", "maximize"))
row("adagrad_update", needs=PLAIN, ints=("maximize",))
