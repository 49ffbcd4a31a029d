"""Copies and concatenation."""

from chainrule.engine.lowering.conditions import one_operand_free, results_in_order
from chainrule.engine.lowering.table import row

row("copy")
row("cat", needs=(one_operand_free, results_in_order), ints=("dim",))
