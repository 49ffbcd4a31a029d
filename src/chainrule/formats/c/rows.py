"""Ops on whole rows: softmax, normalization, attention, losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chainrule.formats.c.expressions import for_floats
from chainrule.formats.c.moves import fill, kept_shape, over_dims, text_of, unknown
from chainrule.formats.c.table import Call, translation
from chainrule.formats.c.writer import Place, c_type, literal
from chainrule.primitive import DType, Shape


def lines(call: Call, dtype: DType, text: str) -> None:
    """Write lines of C for doubles; for floats with their functions and numbers."""
    for line in text.strip("\n").splitlines():
        line = for_floats(line) if c_type(dtype) == "float" else line
        call.write.line(line.replace("real", c_type(dtype)))


def row_of(x: Place, at: list[str], dim: int, index: str) -> str:
    """The element of a row at an index along `dim`."""
    return x.at([index if d == dim else i for d, i in enumerate(at)])


def _rows(shape: Shape, dim: int) -> list[int]:
    return [1 if d == dim else n for d, n in enumerate(shape)]


# -- softmax -------------------------------------------------------------------------------------


def _softmax(call: Call, x: Place, y: Place, at: list[str], dim: int) -> None:
    """Both loops of a softmax: the exponentials, then their share of the total."""
    n, ex, ey = x.shape[dim], row_of(x, at, dim, "c"), row_of(y, at, dim, "c")
    lines(
        call,
        y.dtype,
        f"""
real top = -INFINITY, total = 0.0;
for (int c = 0; c < {n}; ++c)
    if ({ex} > top) top = {ex};
for (int c = 0; c < {n}; ++c) {{
    {ey} = exp({ex} - top);
    total += {ey};
}}
for (int c = 0; c < {n}; ++c)
    {ey} /= total;
""",
    )


@translation("softmax")
def softmax(call: Call, dim: int) -> None:
    (x,), (y,) = call.inputs, call.outputs
    with call.write.loops(_rows(x.shape, dim)) as at:
        _softmax(call, x, y, at, dim)


def _level(call: Call, x: Place, element_of: Callable[[str], str], n: int) -> None:
    """`level` = log Σ eˣ of a row."""
    lines(
        call,
        x.dtype,
        f"""
real top = -INFINITY, total = 0.0;
for (int c = 0; c < {n}; ++c)
    if ({element_of("c")} > top) top = {element_of("c")};
for (int c = 0; c < {n}; ++c)
    total += exp({element_of("c")} - top);
const real level = top + log(total);
""",
    )


@translation("log_softmax")
def log_softmax(call: Call, dim: int) -> None:
    (x,), (y,) = call.inputs, call.outputs
    with call.write.loops(_rows(x.shape, dim)) as at:
        _level(call, x, lambda c: row_of(x, at, dim, c), x.shape[dim])
        call.write.line(f"for (int c = 0; c < {x.shape[dim]}; ++c)")
        call.write.line(f"    {row_of(y, at, dim, 'c')} = {row_of(x, at, dim, 'c')} - level;")


@translation("logsumexp")
def logsumexp(call: Call, dims: Shape, keepdim: bool) -> None:
    if len(dims) != 1:
        raise unknown(call.equation)
    (x,), (y,), (dim,) = call.inputs, call.outputs, dims
    y = over_dims(y, x.shape, dims, keepdim)
    with call.write.loops(_rows(x.shape, dim)) as at:
        _level(call, x, lambda c: row_of(x, at, dim, c), x.shape[dim])
        call.write.line(f"{y.at(at)} = level;")


@translation("softmax_cross_entropy")
def cross_entropy(call: Call, ignore_index: int, reduction: str) -> None:
    (x, t), (y,), write = call.inputs, call.outputs, call.write
    n, classes = x.shape
    if reduction != "none":
        write.line("double sum = 0, rows = 0;")
    with write.loops([n], "n") as (row,):
        label = t.at([row])
        if reduction == "none":
            write.line(f"{y.at([row])} = {literal(0, y.dtype)};")
        with write.block(f"if ({label} != {ignore_index})"):
            _level(call, x, lambda c: x.at([row, c]), classes)
            loss = f"level - {x.at([row, f'(int){label}'])}"
            if reduction == "none":
                write.line(f"{y.at([row])} = {loss};")
            else:
                write.line(f"sum += {loss};")
                write.line("rows += 1;")
    if reduction != "none":
        result = "sum / rows" if reduction == "mean" else "(void)rows, sum"
        write.line(f"{y.at([])} = ({c_type(y.dtype)})({result});")


@translation("softmax_cross_entropy_gradient")
def cross_entropy_gradient(call: Call, ignore_index: int, reduction: str) -> None:
    (g, x, t), (y,), write = call.inputs, call.outputs, call.write
    n, classes = x.shape
    kind = c_type(y.dtype)
    write.line("int rows = 0;")
    with write.loops([n], "n") as (row,):
        write.line(f"rows += {t.at([row])} != {ignore_index};")
    with write.loops([n], "n") as (row,):
        label, scale = t.at([row]), text_of(call, g, (n,), [row])
        share = f"{scale} / ({kind})rows" if reduction == "mean" else scale
        write.line(f"const {kind} share = {label} == {ignore_index} ? 0 : {share};")
        _softmax(call, x, y, [row, "0"], 1)
        write.line(f"for (int c = 0; c < {classes}; ++c)")
        write.line(f"    {y.at([row, 'c'])} = share * ({y.at([row, 'c'])} - (c == {label}));")
    if reduction != "mean":
        write.line("(void)rows;")


# -- rows ----------------------------------------------------------------------------------------


@translation("normalize", optional=(1, 2))
def normalize(call: Call, dims: Shape, eps: float) -> None:
    (x, *affine), (y, m, v) = call.inputs, call.outputs
    write, kind = call.write, c_type(x.dtype)
    count = math.prod(x.shape[d] for d in dims)
    inside = [n if d in dims else 1 for d, n in enumerate(x.shape)]
    with write.loops(kept_shape(x.shape, dims)) as at:

        def over(line: Callable[..., str]) -> None:
            with write.loops(inside, "uvwxyz") as inner:
                where = [inner[d] if d in dims else at[d] for d in range(len(x.shape))]
                write.line(line(x.at(where), y.at(where), *[z.at(where) for z in affine]))

        write.line(f"{kind} mean = 0, variance = 0;")
        over(lambda ex, *_: f"mean += {ex};")
        write.line(f"mean /= {count};")
        over(lambda ex, *_: f"variance += ({ex} - mean) * ({ex} - mean);")
        write.line(f"variance /= {count};")
        root = "sqrtf" if kind == "float" else "sqrt"
        write.line(f"const {kind} scale = 1 / {root}(variance + {literal(eps, x.dtype)});")
        change = " * {} + {}" if affine else ""
        over(lambda ex, ey, *wb: f"{ey} = ({ex} - mean) * scale{change.format(*wb)};")
        call.store(m, at, "mean")
        call.store(v, at, "variance")


@translation("cumsum")
def cumsum(call: Call, dim: int) -> None:
    (x,), (y,), write = call.inputs, call.outputs, call.write
    with write.loops(_rows(x.shape, dim)) as at:
        write.line(f"{c_type(y.dtype)} total = {literal(0, y.dtype)};")
        write.line(f"for (int c = 0; c < {x.shape[dim]}; ++c) {{")
        write.line(f"    total += {row_of(x, at, dim, 'c')};")
        write.line(f"    {row_of(y, at, dim, 'c')} = total;")
        write.line("}")


@translation("argmax", "argmin")
def argmax(call: Call, dim: int | None, keepdim: bool) -> None:
    (x,), (y,), write = call.inputs, call.outputs, call.write
    sign = ">" if call.equation.primitive.name == "argmax" else "<"
    if dim is None:
        raise unknown(call.equation)
    y = over_dims(y, x.shape, (dim,), keepdim)
    with write.loops(_rows(x.shape, dim)) as at:
        write.line("int best = 0;")
        write.line(f"for (int c = 1; c < {x.shape[dim]}; ++c)")
        write.line(
            f"    if ({row_of(x, at, dim, 'c')} {sign} {row_of(x, at, dim, 'best')}) best = c;"
        )
        write.line(f"{y.at(at)} = best;")


@translation("one_hot")
def one_hot(call: Call, num_classes: int, dtype: DType) -> None:
    (labels,), (y,) = call.inputs, call.outputs
    with call.write.loops(y.shape) as at:
        call.write.line(f"{y.at(at)} = {labels.at(at[:-1])} == {at[-1]};")


# -- attention -----------------------------------------------------------------------------------


def _score(call: Call, masks: list[Place], causal: bool, scale: float, q: Place, k: Place) -> None:
    """`a`, the score of query i and key j at the position of the loops around."""
    write, kind = call.write, c_type(q.dtype)
    front = [f"b{d}" if n != 1 else "0" for d, n in enumerate(q.shape[:-2])]
    write.line(f"{kind} a = 0;")
    write.line(f"for (int c = 0; c < {q.shape[-1]}; ++c)")
    write.line(f"    a += {q.at([*front, 'i', 'c'])} * {k.at([*front, 'j', 'c'])};")
    write.line(f"a *= {literal(scale, q.dtype)};")
    if causal:
        write.line("if (j > i) a = -INFINITY;")
    for mask in masks:
        seen = mask.seen_as((*q.shape[:-1], k.shape[-2])).at([*front, "i", "j"])
        write.line(f"if (!{seen}) a = -INFINITY;" if mask.dtype.kind == "b" else f"a += {seen};")


@translation("attention", optional=(1,))
def attention(call: Call, causal: bool, scale: float) -> None:
    q, k, v, *masks = call.inputs
    (y, level), write, kind = call.outputs, call.write, c_type(q.dtype)
    n_keys, features = k.shape[-2], v.shape[-1]
    exp = "expf" if kind == "float" else "exp"
    log = "logf" if kind == "float" else "log"
    with _queries(call, q) as front:
        write.line(f"{kind} p[{n_keys}], top = -INFINITY, total = 0;")
        with write.block(f"for (int j = 0; j < {n_keys}; ++j)"):
            _score(call, masks, causal, scale, q, k)
            write.line("p[j] = a;")
            write.line("if (a > top) top = a;")
        write.line("if (top == -INFINITY) top = 0;")
        with write.block(f"for (int j = 0; j < {n_keys}; ++j)"):
            write.line(f"p[j] = {exp}(p[j] - top);")
            write.line("total += p[j];")
        write.line("if (total == 0) total = INFINITY;")
        with write.block(f"for (int e = 0; e < {features}; ++e)"):
            write.line(f"{kind} sum = 0;")
            write.line(f"for (int j = 0; j < {n_keys}; ++j)")
            write.line(f"    sum += p[j] * {v.at([*front, 'j', 'e'])};")
            write.line(f"{y.at([*front, 'i', 'e'])} = sum / total;")
        call.store(level, [*front, "i"], f"top + {log}(total)")


@translation("attention_gradient")
def attention_gradient(call: Call, causal: bool, scale: float) -> None:
    u, q, k, v, delta, level, *masks = call.inputs
    (dq, dk, dv), write, kind = call.outputs, call.write, c_type(q.dtype)
    exp = "expf" if kind == "float" else "exp"
    for y in (dq, dk, dv):
        fill(call, y)
    with _queries(call, q) as front, write.block(f"for (int j = 0; j < {k.shape[-2]}; ++j)"):
        _score(call, masks, causal, scale, q, k)
        write.line(f"const {kind} p = {exp}(a - {level.at([*front, 'i'])});")
        write.line(f"{kind} t = -{delta.at([*front, 'i'])};")
        write.line(f"for (int e = 0; e < {v.shape[-1]}; ++e) {{")
        write.line(f"    t += {u.at([*front, 'i', 'e'])} * {v.at([*front, 'j', 'e'])};")
        write.line(f"    {dv.at([*front, 'j', 'e'])} += p * {u.at([*front, 'i', 'e'])};")
        write.line("}")
        write.line(f"t *= p * {literal(scale, q.dtype)};")
        write.line(f"for (int c = 0; c < {q.shape[-1]}; ++c) {{")
        write.line(f"    {dq.at([*front, 'i', 'c'])} += t * {k.at([*front, 'j', 'c'])};")
        write.line(f"    {dk.at([*front, 'j', 'c'])} += t * {q.at([*front, 'i', 'c'])};")
        write.line("}")


@contextmanager
def _queries(call: Call, q: Place) -> Iterator[list[str]]:
    """Loops b0, b1, … over the dimensions in front, whose indices it gives, and i over queries."""
    names = [f"b{d}" for d in range(len(q.shape))]
    with (
        call.write.loops(q.shape[:-2], names) as front,
        call.write.block(f"for (int i = 0; i < {q.shape[-2]}; ++i)"),
    ):
        yield front
