"""Embeddings."""

from chainrule.engine.lowering.conditions import all_in_order
from chainrule.engine.lowering.table import row

row("embedding", needs=(all_in_order,), order=(1, 0))
