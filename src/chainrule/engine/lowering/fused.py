"""Softmax, ln Σ eˣ, losses and normalization."""

from __future__ import annotations

import math
from typing import Any

from chainrule.engine.layout import FLOATS, Layout, NativeCall, grouped, in_order, native_call
from chainrule.engine.lowering.reduce import plain
from chainrule.engine.lowering.table import INTEGERS, Layouts, adjacent, as_rows, lowering


@lowering("softmax")
def _softmax(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _along_rows("softmax", params, inputs, outputs)


@lowering("log_softmax")
def _log_softmax(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _along_rows("log_softmax", params, inputs, outputs)


def _along_rows(kernel: str, params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> Any:
    x, y = inputs[0], outputs[0]
    if x.dtype not in FLOATS or not x.shape or params["dim"] != len(x.shape) - 1:
        return None
    rows, y_rows = as_rows(x), as_rows(y)
    if rows is None or y_rows is None or not (adjacent(rows) and adjacent(y_rows)):
        return None
    return native_call(kernel, [rows], [y_rows])


REDUCTIONS = {"none": 0, "sum": 1, "mean": 2}


def cross_entropy_call(
    inputs: Layouts,
    outputs: Layouts,
    loss: bool,
    gradient: bool,
    reduction: str = "mean",
    ignore_index: int = -100,
) -> NativeCall | None:
    """(x, t[, g]) → [loss][, gradient] in one sweep: logits (N, C), labels (N,)."""
    x, t = inputs[:2]
    if x.dtype not in FLOATS or t.dtype.kind not in INTEGERS or not adjacent(x):
        return None
    ints = (int(loss), int(gradient), REDUCTIONS[reduction], ignore_index)
    return native_call("softmax_cross_entropy", inputs, outputs, ints)


@lowering("softmax_cross_entropy")
def _cross_entropy(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> Any:
    return cross_entropy_call(inputs, outputs, True, False, **params)


@lowering("softmax_cross_entropy_gradient")
def _cross_entropy_gradient(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> Any:
    g, x, t = inputs
    call = cross_entropy_call((x, t, g), outputs, False, True, **params)
    return call and call._replace(inputs=((1, x), (2, t), (0, g)))


@lowering("binary_cross_entropy_with_logits")
def _binary(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    operands = (*inputs, *outputs)
    fits = inputs[0].dtype in FLOATS and all(x.in_order() for x in operands)
    return native_call("binary_cross_entropy_with_logits", inputs, outputs) if fits else None


@lowering("logsumexp")
def _logsumexp(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    """Over the last dimensions; of nothing it is −∞, which the reference knows."""
    x = inputs[0]
    groups = grouped(x.shape, params["dims"])
    if groups is None or groups[1] == 0 or groups[2] != 1 or not plain(inputs, outputs):
        return None
    rows = in_order(groups[:2], x.dtype)
    return native_call("logsumexp", [rows], [Layout((groups[0],), x.dtype, (x.dtype.itemsize,))])


@lowering("normalize")
def _normalize(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    """Where the kept dimensions are neighbours: x is (outer, kept, inner)."""
    x, dims = inputs[0], params["dims"]
    kept = [d for d in range(len(x.shape)) if d not in dims]
    in_order = all(layout.in_order() for layout in (*inputs, *outputs))
    if not in_order or x.dtype not in FLOATS or not x.size or not dims:
        return None
    if kept and kept != list(range(kept[0], kept[-1] + 1)):
        return None
    first, last = (kept[0], kept[-1] + 1) if kept else (0, 0)
    sizes = (x.shape[:first], x.shape[first:last], x.shape[last:])
    return native_call("normalize", inputs, outputs, map(math.prod, sizes), (params["eps"],))
