"""Chains of elementwise ops that a compiler pass made, perhaps with reductions at the end."""

from __future__ import annotations

from typing import Any

from chainrule.engine.chain import fused_call
from chainrule.engine.elementwise import chain_steps
from chainrule.engine.layout import FLOATS, NativeCall
from chainrule.engine.lowering.table import Layouts, lowering


@lowering("chain")
def _chain(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    chain = chain_steps(params["body"])
    if chain is None or not all(x.in_order() for x in outputs):
        return None
    dtype = next((v.dtype for v in (*inputs, *outputs) if v.dtype in FLOATS), None)
    shape = params["body"].equations[0].outputs[0].shape
    return fused_call(
        inputs, outputs, *chain[:2], chain.reductions, chain.dims, shape=shape, dtype=dtype
    )  # fmt: skip
