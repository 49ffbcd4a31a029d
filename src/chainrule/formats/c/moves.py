"""Elementwise loops, reductions, and copies: translations that follow from the kind of an op."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.formats.c.expressions import statements, traced
from chainrule.formats.c.table import Call, Code, of_kind, translation
from chainrule.formats.c.writer import Place, c_type, literal
from chainrule.formats.symbols import BOOL, Symbol, leaf, number
from chainrule.graph import Equation, Graph, Value
from chainrule.kinds import Elementwise, Reduction, Update
from chainrule.primitive import Shape


def unknown(equation: Equation) -> ArgumentError:
    """The error for an op that has no translation."""
    where = f", in {equation.place}" if equation.place else ""
    dtypes = ", ".join(str(v.dtype) for v in equation.inputs)
    return ArgumentError(
        f"`{equation.primitive.name}` of {dtypes} has no translation to C{where}",
        instead="Export the part of the model before it, and write the rest by hand.",
    )


@of_kind(Elementwise)
def elementwise(call: Call, **_: Any) -> None:
    (y,) = call.outputs
    with call.write.loops(y.shape) as at:
        _formulas(call, [call.equation], y.shape, at)


def chain(call: Call, body: Graph) -> None:
    """Elementwise ops of one shape, in one loop."""
    shape = call.outputs[0].shape
    with call.write.loops(shape) as at:
        _formulas(call, body.equations, shape, at, body)


def _formulas(
    call: Call, equations: list[Equation], shape: Shape, at: list[str], body: Graph | None = None
) -> None:
    """The assignments of one position: the equations' formulas, traced."""
    inputs, outputs = call.equation.inputs, call.equation.outputs
    inner: dict[Value, Symbol] = {}
    for value, place in zip(body.inputs if body else inputs, call.inputs, strict=True):
        inner[value] = element(call, place, shape, at)
    if body:
        for value, array in body.constants.items():
            inner[value] = number(array, value.dtype)
    for equation in equations:
        operands = [inner[v] for v in equation.inputs]
        result = traced(equation.primitive, operands, equation.params)
        if result is None:
            raise unknown(equation)
        (value,) = equation.outputs
        inner[value] = result.astype(value.dtype)
    results = [inner[v] for v in (body.outputs if body else outputs)]
    lines, texts = statements(results, lambda: call.write.name("a"))
    for line in lines:
        call.write.line(line)
    for place, text in zip(call.outputs, texts, strict=True):
        call.write.line(f"{place.at(at)} = {text};")


def element(call: Code, place: Place, shape: Shape, at: list[str]) -> Symbol:
    """The element of an input at a position of a larger shape; a known number as itself."""
    known = call.numbers.get(place.name)
    if known is not None:
        return number(known, place.dtype)
    return leaf(place.seen_as(shape).at(at), place.dtype)


def text_of(call: Code, place: Place, shape: Shape, at: list[str]) -> str:
    """`element` as text."""
    return statements([element(call, place, shape, at)], str)[1][0]


def copy(call: Code, source: Place, target: Place) -> None:
    with call.write.loops(target.shape) as at:
        call.write.line(f"{target.at(at)} = {text_of(call, source, target.shape, at)};")


def part(place: Place, starts: list[int], shape: Shape, steps: list[int] | None = None) -> Place:
    """The elements from `starts` on, by `steps`."""
    steps = steps or [1] * len(shape)
    offset = place.offset + sum(a * s for a, s in zip(starts, place.strides, strict=True))
    strides = tuple(s * k for s, k in zip(place.strides, steps, strict=True))
    return place._replace(shape=tuple(shape), strides=strides, offset=offset)


def fill(call: Code, target: Place, value: float = 0) -> None:
    with call.write.loops(target.shape) as at:
        call.write.line(f"{target.at(at)} = {literal(value, target.dtype)};")


@translation("flip")
def flip(call: Call, dims: Shape) -> None:
    (x,), (y,) = call.inputs, call.outputs
    copy(call, viewed(x, lambda array: np.flip(array, dims)), y)


@translation("cat")
def cat(call: Call, dim: int) -> None:
    (y,) = call.outputs
    start = 0
    for x in call.inputs:
        starts = [start if d == dim else 0 for d in range(len(y.shape))]
        copy(call, x, part(y, starts, x.shape))
        start += x.shape[dim]


@translation("pad")
def pad(call: Call, widths: Any, value: float) -> None:
    (x,), (y,) = call.inputs, call.outputs
    fill(call, y, value)
    cut = [max(-before, 0) for before, _ in widths]
    kept = tuple(
        n + min(before, 0) + min(after, 0)
        for n, (before, after) in zip(x.shape, widths, strict=True)
    )
    starts = [max(before, 0) for before, _ in widths]
    copy(call, part(x, cut, kept), part(y, starts, kept))


@translation("slice_into")
def slice_into(call: Call, shape: Shape, index: Any) -> None:
    (x,), (y,) = call.inputs, call.outputs
    fill(call, y)
    copy(call, x, viewed(y, lambda array: array[index]))


def viewed(place: Place, view: Any) -> Place:
    """The place that a view of an array shows; `view` is a function of NumPy arrays."""
    array, address = place.phantom()
    seen = view(array)
    item = place.dtype.itemsize
    offset = (seen.__array_interface__["data"][0] - address) // item if seen.size else 0
    strides = tuple(s // item for s in seen.strides)
    return Place(place.name, seen.shape, place.dtype, strides, place.offset + offset)


@translation("roll")
def roll(call: Call, shifts: Shape, dims: Shape) -> None:
    (x,), (y,) = call.inputs, call.outputs
    by = dict.fromkeys(range(len(x.shape)), 0)
    for shift, d in zip(shifts, dims, strict=True):
        by[d] += shift
    with call.write.loops(y.shape) as at:
        target = [
            i if not by[d] % n or n == 1 else f"({i} + {by[d] % n}) % {n}"
            for d, (i, n) in enumerate(zip(at, x.shape, strict=True))
        ]
        call.write.line(f"{y.at(target)} = {x.at(at)};")


def _triangle(call: Call, diagonal: int, keeps: str) -> None:
    (x,), (y,) = call.inputs, call.outputs
    with call.write.loops(y.shape) as at:
        kept = f"{at[-1]} - {at[-2]} {keeps} {diagonal}"
        zero = literal(0, y.dtype)
        call.write.line(f"{y.at(at)} = {kept} ? {x.at(at)} : {zero};")


@translation("tril")
def tril(call: Call, diagonal: int) -> None:
    _triangle(call, diagonal, "<=")


@translation("triu")
def triu(call: Call, diagonal: int) -> None:
    _triangle(call, diagonal, ">=")


# -- reductions ----------------------------------------------------------------------------------

_STEPS = {
    "sum": "total += {x};",
    "max": "if ({x} > total || {x} != {x}) total = {x};",
    "min": "if ({x} < total || {x} != {x}) total = {x};",
    "prod": "total *= {x};",
    "all": "total = total && {x} != 0;",
    "any": "total = total || {x} != 0;",
}
_STARTS = {"sum": 0, "max": -math.inf, "min": math.inf, "prod": 1, "all": 1, "any": 0}


@of_kind(Reduction)
def reduction(call: Call, dims: Shape, keepdim: bool) -> None:
    kind, (x,), (y,) = call.equation.primitive.kind, call.inputs, call.outputs
    kind = kind if isinstance(kind, Reduction) else Reduction()
    fold = kind.fold or call.equation.primitive.name
    if fold not in _STEPS:
        raise unknown(call.equation)
    start = _STARTS[fold]
    if np.isinf(start) and x.dtype.kind != "f":
        limits = np.iinfo(np.uint8 if x.dtype == BOOL else x.dtype)
        start = limits.min if fold == "max" else limits.max
    over = over_dims(y, x.shape, dims, keepdim)
    with call.write.loops(kept_shape(x.shape, dims)) as at:
        call.write.line(f"{c_type(y.dtype)} total = {literal(start, y.dtype)};")
        with call.write.loops([n if d in dims else 1 for d, n in enumerate(x.shape)]) as inner:
            where = [inner[d] if d in dims else at[d] for d in range(len(x.shape))]
            call.write.line(_STEPS[fold].format(x=x.at(where)))
        divided = f" / {literal(math.prod(x.shape[d] for d in dims), y.dtype)}"
        call.write.line(f"{over.at(at)} = total{divided if kind.mean else ''};")


def kept_shape(shape: Shape, dims: Shape) -> Shape:
    return tuple(1 if d in dims else n for d, n in enumerate(shape))


def over_dims(y: Place, shape: Shape, dims: Shape, keepdim: bool) -> Place:
    """The result of a reduction with its reduced dimensions of size 1."""
    return (
        y
        if keepdim
        else y._replace(
            shape=kept_shape(shape, dims), strides=tuple(_padded(y.strides, len(shape), dims))
        )
    )


def _padded(strides: tuple[int, ...], ndim: int, dims: Shape) -> list[int]:
    rest = iter(strides)
    return [0 if d in dims else next(rest) for d in range(ndim)]


# -- updates of optimizers -----------------------------------------------------------------------


@of_kind(Update)
def update(call: Call, **flags: Any) -> None:
    """The formula of the record, traced with a symbol for each input."""
    w, *_ = call.inputs
    with call.write.loops(w.shape) as at:
        symbols = [_argument(call, x, w, at) for x in call.inputs]
        results = call.formula()(*symbols, **flags)
        arrays = [
            r if isinstance(r, Symbol) else number(r, y.dtype)
            for r, y in zip(results, call.outputs, strict=True)
        ]
        casts = [r.astype(y.dtype) for r, y in zip(arrays, call.outputs, strict=True)]
        lines, texts = statements(casts, lambda: call.write.name("a"))
        for line in lines:
            call.write.line(line)
        for y, text in zip(call.outputs, texts, strict=True):
            if y.shape == w.shape:
                call.write.line(f"{y.at(at)} = {text};")
    for y, result in zip(call.outputs, casts, strict=True):
        if y.shape != w.shape:
            call.write.line(f"{y.at(['0'] * len(y.shape))} = {statements([result], str)[1][0]};")


def _argument(call: Call, x: Place, w: Place, at: list[str]) -> Any:
    """Weights and state by element; other inputs are numbers, or tuples of them."""
    if x.dtype == w.dtype:
        return leaf(x.at(at), x.dtype)
    if x.name in call.numbers:
        return number(call.numbers[x.name], x.dtype, weak=True)
    places = [[str(i)] for i in range(x.shape[0])] if x.shape else [[]]
    numbers = [leaf(x.at(place), x.dtype, weak=True) for place in places]
    return numbers if x.shape else numbers[0]
