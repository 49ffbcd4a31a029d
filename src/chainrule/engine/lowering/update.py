"""Updates by optimizers."""

from __future__ import annotations

from typing import Any

from chainrule.engine.layout import FLOATS, NativeCall, native_call
from chainrule.engine.lowering.table import Layouts, all_in_order, lowering


@lowering("sgd_update")
def _sgd(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _update("sgd_update", inputs, outputs, (params["maximize"],))


@lowering("momentum_update")
def _momentum(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    ints = (params["nesterov"], params["maximize"])
    return _update("momentum_update", inputs, outputs, ints)


@lowering("adam_update")
def _adam(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    ints = (params["decoupled"], params["maximize"])
    return _update("amsgrad_update" if len(inputs) > 9 else "adam_update", inputs, outputs, ints)


@lowering("rmsprop_update")
def _rmsprop(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    ints = (params["centered"], params["maximize"])
    return _update("rmsprop_update", inputs, outputs, ints)


@lowering("adagrad_update")
def _adagrad(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _update("adagrad_update", inputs, outputs, (params["maximize"],))


def _update(kernel: str, inputs: Layouts, outputs: Layouts, flags: tuple[bool, ...]) -> Any:
    if inputs[0].dtype not in FLOATS or not all_in_order(inputs, outputs):
        return None
    return native_call(kernel, inputs, outputs, map(int, flags))
