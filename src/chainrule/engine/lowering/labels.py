"""Embeddings."""

from __future__ import annotations

from typing import Any

from chainrule.engine.layout import NativeCall
from chainrule.engine.lowering.table import Layouts, all_in_order, lowering


@lowering("embedding")
def _embedding(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    i, w = inputs
    if not all_in_order(inputs, outputs):
        return None
    return NativeCall("embedding", (), (), ((1, w), (0, i)), ((0, outputs[0]),))
