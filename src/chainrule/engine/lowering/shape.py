"""Copies, and arrays joined."""

from chainrule.engine.lowering.table import one_operand_free, results_in_order, row

row("clone", "copy", kernel="copy")
row("fill_zero", needs=(results_in_order,))
row("cat", needs=(one_operand_free, results_in_order), ints=("dim",))
