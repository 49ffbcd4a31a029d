"""Embeddings."""

from chainrule.engine.lowering.table import all_in_order, row

row("embedding", needs=(all_in_order,), order=(1, 0))
