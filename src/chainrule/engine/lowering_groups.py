"""Reductions over dimensions that lie side by side: positions, variances, ln Σ eˣ."""

from __future__ import annotations

from typing import Any

from chainrule.engine.layout import FLOATS, Layout, NativeCall, grouped, in_order, native_call
from chainrule.engine.lowering import Layouts, lowering


@lowering("argmax")
def _argmax(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _position(0, params, inputs, outputs)


@lowering("argmin")
def _argmin(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _position(1, params, inputs, outputs)


def _position(
    smallest: int, params: dict[str, Any], inputs: Layouts, outputs: Layouts
) -> NativeCall | None:
    x = inputs[0]
    dims = range(len(x.shape)) if params["dim"] is None else (params["dim"],)
    groups = grouped(x.shape, dims) if x.shape else (1, 1, 1)
    if groups is None or groups[1] >= 2**31 or not _plain(inputs, outputs):
        return None
    return native_call("position", inputs, outputs, (*groups, smallest))


@lowering("var")
def _var(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    groups = grouped(inputs[0].shape, params["dims"])
    if groups is None or not _plain(inputs, outputs):
        return None
    return native_call("variance", inputs, outputs, (*groups, params["correction"]))


@lowering("logsumexp")
def _logsumexp(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    """Over the last dimensions; of nothing it is −∞, which the reference knows."""
    x = inputs[0]
    groups = grouped(x.shape, params["dims"])
    if groups is None or groups[1] == 0 or groups[2] != 1 or not _plain(inputs, outputs):
        return None
    rows = in_order(groups[:2], x.dtype)
    return native_call("logsumexp", [rows], [Layout((groups[0],), x.dtype, (x.dtype.itemsize,))])


def _plain(inputs: Layouts, outputs: Layouts) -> bool:
    x, y = inputs[0], outputs[0]
    return x.dtype in FLOATS and x.in_order() and y.in_order()
