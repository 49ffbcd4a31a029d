"""Random numbers."""

from __future__ import annotations

from typing import Any

from chainrule.engine.layout import FLOATS, native_call
from chainrule.engine.lowering.table import Layouts, all_in_order, lowering


@lowering("random_uniform")
def _random_uniform(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> Any:
    fits = outputs[0].dtype in FLOATS and all_in_order(inputs, outputs)
    return native_call("random_uniform", inputs, outputs) if fits else None
