"""Random numbers."""

from chainrule.engine.lowering.table import all_in_order, gives_floats, row

row("random_uniform", needs=(gives_floats, all_in_order))
