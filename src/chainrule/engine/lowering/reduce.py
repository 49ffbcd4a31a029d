"""Reductions: folds, positions, variances, truth over dimensions."""

from __future__ import annotations

import math
from typing import Any

from chainrule.engine.chain import Reduction as Fold
from chainrule.engine.chain import fused_call
from chainrule.engine.layout import BOOL, FLOATS, Layout, NativeCall, grouped, native_call
from chainrule.engine.lowering.table import MAX_OPERANDS, Layouts, lowering, lowering_of_kind
from chainrule.kinds import Reduction
from chainrule.primitive import Primitive, Shape


def fold_of(
    primitive: Primitive, params: dict[str, Any], shape: Shape, operand: int
) -> Fold | None:
    """A reduction of an operand of this shape as the elementwise machine folds it, or None."""
    kind = primitive.kind
    if not isinstance(kind, Reduction) or kind.fold is None:
        return None
    number = math.prod(shape[d] for d in params["dims"])
    return Fold(kind.fold, operand, float(number) if kind.mean else 1.0)


@lowering_of_kind(Reduction)
def _fold(
    primitive: Primitive, params: dict[str, Any], inputs: Layouts, outputs: Layouts
) -> NativeCall | None:
    """In the machine for floats, in a kernel of its own for sums of integers."""
    x, y = inputs[0], outputs[0]
    fold = fold_of(primitive, params, x.shape, 0)
    if fold is None or fold.divisor == 0 or not y.in_order():
        return None
    if x.dtype in FLOATS:
        return fused_call(inputs, outputs, (), (), [fold], params["dims"], x.shape, x.dtype)
    groups = grouped(x.shape, params["dims"])
    if fold.fold != "sum" or groups is None or x.dtype.kind not in "iub" or not x.in_order():
        return None
    return native_call("integer_sum", inputs, outputs, groups)


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
    if groups is None or groups[1] >= 2**31 or not plain(inputs, outputs):
        return None
    return native_call("position", inputs, outputs, (*groups, smallest))


@lowering("var")
def _var(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    groups = grouped(inputs[0].shape, params["dims"])
    if groups is None or not plain(inputs, outputs):
        return None
    return native_call("variance", inputs, outputs, (*groups, params["correction"]))


@lowering("all")
def _all(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _truth(1, params, inputs, outputs)


@lowering("any")
def _any(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    return _truth(0, params, inputs, outputs)


def _truth(
    every: int, params: dict[str, Any], inputs: Layouts, outputs: Layouts
) -> NativeCall | None:
    x, n = inputs[0], len(params["dims"])
    last = tuple(range(len(x.shape) - n, len(x.shape)))
    if x.dtype != BOOL or tuple(sorted(params["dims"])) != last or not x.in_order():
        return None
    return native_call("truth", inputs, outputs, (every,)) if outputs[0].in_order() else None


@lowering("all_finite")
def _all_finite(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    if outputs[0].dtype != BOOL or any(x.dtype.kind not in "fiub" for x in inputs):
        return None
    floats = [(i, x) for i, x in enumerate(inputs) if x.dtype.kind == "f"]
    plain = all(x.dtype in FLOATS and x.in_order() for _, x in floats)
    if len(floats) >= MAX_OPERANDS or not plain:
        return None
    return NativeCall("all_finite", (), (), tuple(floats), ((0, outputs[0]),))


def require_call(x: Layout, number: int) -> NativeCall | None:
    """End the program unless all of x, which lies in order, is true."""
    fits = x.dtype == BOOL and x.in_order()
    return native_call("require", [x], (), (number,)) if fits else None


def plain(inputs: Layouts, outputs: Layouts) -> bool:
    """Whether floats are reduced that lie in order, to such."""
    x, y = inputs[0], outputs[0]
    return x.dtype in FLOATS and x.in_order() and y.in_order()
