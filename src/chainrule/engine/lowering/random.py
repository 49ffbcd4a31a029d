"""Random numbers."""

from chainrule.engine.lowering.conditions import all_in_order, gives_floats
from chainrule.engine.lowering.table import row

row("random_uniform", needs=(gives_floats, all_in_order))
