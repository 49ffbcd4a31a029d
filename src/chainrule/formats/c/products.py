"""Sums of products: contractions, convolutions and pooling."""

from __future__ import annotations

from typing import Any

from chainrule.formats.c.moves import fill
from chainrule.formats.c.table import Call, translation
from chainrule.formats.c.writer import Place, c_type, literal
from chainrule.primitive import Shape


def _sum(
    call: Call,
    y: Place,
    at: list[str],
    over: list[tuple[str, int]],
    term: str,
    plus: str = "",
    times: str = "",
) -> None:
    """`y[at] = plus + times · Σ term` over the named indices."""
    kind, write = c_type(y.dtype), call.write
    start = plus if plus and not times else literal(0, y.dtype)
    write.line(f"{kind} total = {start};")
    for name, n in over:
        write.line(f"for (int {name} = 0; {name} < {n}; ++{name})")
        write.depth += 1
    write.line(f"total += {term};")
    write.depth -= len(over)
    total = f"total * {times}" if times else "total"
    write.line(f"{y.at(at)} = {f'{plus} + ' if plus and times else ''}{total};")


def scale_of(call: Call, weights: Place, row: str) -> str:
    """The scale of a row of weights that are stored as int8, or nothing."""
    scales = call.scales.get(weights.name)
    return f"{scales}[{row}]" if scales else ""


@translation("linear")
def linear(call: Call) -> None:
    x, w, *bias = call.inputs
    (y,) = call.outputs
    with call.write.loops(y.shape) as at:
        *rows, o = at
        plus = bias[0].at([o]) if bias else ""
        term = f"{x.at([*rows, 'c'])} * {w.at([o, 'c'])}"
        _sum(call, y, at, [("c", w.shape[1])], term, plus, scale_of(call, w, o))


@translation("linear_weight")
def linear_weight(call: Call) -> None:
    u, x = call.inputs
    (y,) = call.outputs
    names = [f"n{d}" for d in range(len(x.shape) - 1)]
    with call.write.loops(y.shape) as at:
        term = f"{u.at([*names, at[0]])} * {x.at([*names, at[1]])}"
        _sum(call, y, at, list(zip(names, x.shape[:-1], strict=True)), term)


@translation("matmul")
def matmul(call: Call) -> None:
    a, b = call.inputs
    (y,) = call.outputs
    rows, columns = len(a.shape) > 1, len(b.shape) > 1
    front = len(y.shape) - rows - columns
    inner = a.shape[-1]
    a = a.seen_as((*y.shape[:front], *a.shape[-2:])) if rows else a
    b = b.seen_as((*y.shape[:front], *b.shape[-2:])) if columns else b
    with call.write.loops(y.shape) as at:
        batch, rest = at[:front], at[front:]
        left = [*batch, rest[0], "c"] if rows else ["c"]
        right = [*batch, "c", rest[-1]] if columns else ["c"]
        _sum(call, y, at, [("c", inner)], f"{a.at(left)} * {b.at(right)}")


@translation("einsum")
def einsum(call: Call, formula: str) -> None:
    (y,) = call.outputs
    left, right = formula.replace(" ", "").split("->")
    sizes = {
        letter: n
        for letters, x in zip(left.split(","), call.inputs, strict=True)
        for letter, n in zip(letters, x.shape, strict=True)
    }
    over = [(f"s{c}", n) for c, n in sizes.items() if c not in right]
    with call.write.loops(y.shape) as at:
        index = {**{c: f"s{c}" for c in sizes}, **dict(zip(right, at, strict=True))}
        terms = [
            x.at([index[c] for c in letters])
            for letters, x in zip(left.split(","), call.inputs, strict=True)
        ]
        _sum(call, y, at, over, " * ".join(terms))


# -- windows -------------------------------------------------------------------------------------


class _Window:
    """The indices of a window: for each spatial dimension where a tap of the kernel meets x."""

    def __init__(self, geometry: Any, kernel: Shape) -> None:
        self.geometry, self.kernel = geometry, kernel
        self.padded = [max(widths) > 0 for widths in geometry.padding]
        looped = [k > 1 or padded for k, padded in zip(kernel, self.padded, strict=True)]
        self.taps = [f"k{d}" if loop else "0" for d, loop in enumerate(looped)]

    def meets(self, positions: list[str]) -> list[str]:
        """position · stride + tap · dilation − padding."""
        g = self.geometry
        return [
            _affine(p, s, tap, d, before)
            for p, s, tap, d, (before, _) in zip(
                positions, g.stride, self.taps, g.dilation, g.padding, strict=True
            )
        ]

    def loop(self, call: Call, positions: list[str], sizes: Shape, body: Any) -> None:
        """Call `body(indices into x)` inside loops over the taps, where they meet x."""
        write, open_loops = call.write, 0
        names = []
        for d, where in enumerate(self.meets(positions)):
            tap, k, n = self.taps[d], self.kernel[d], sizes[d]
            if tap != "0":
                write.line(f"for (int {tap} = 0; {tap} < {k}; ++{tap}) {{")
                write.depth += 1
                open_loops += 1
            name = where
            if not (where.isidentifier() or where.isdigit()):
                name = f"at_k{d}"
                write.line(f"const int {name} = {where};")
            if self.padded[d]:
                write.line(f"if ({name} < 0 || {name} >= {n}) continue;")
            names.append(name)
        body(names)
        for _ in range(open_loops):
            write.depth -= 1
            write.line("}")


def _affine(position: str, stride: int, tap: str, dilation: int, before: int) -> str:
    terms = []
    if position != "0":
        terms.append(position if stride == 1 else f"{position} * {stride}")
    if tap != "0":
        terms.append(tap if dilation == 1 else f"{tap} * {dilation}")
    text = " + ".join(terms)
    if before:
        return f"{text} {'-' if before > 0 else '+'} {abs(before)}" if text else str(-before)
    return text or "0"


@translation("convolution")
def convolution(call: Call, geometry: Any) -> None:
    x, w, *bias = call.inputs
    (y,) = call.outputs
    write, window = call.write, _Window(geometry, w.shape[2:])
    per_group = y.shape[1] // geometry.groups
    with write.loops(y.shape, "noijk") as at:
        n, o, *positions = at
        write.line(f"{c_type(y.dtype)} total = {literal(0, y.dtype)};")
        with write.loops([w.shape[1]], "c") as (c,):
            channel = c if geometry.groups == 1 else _in_group(o, per_group, w.shape[1], c)

            def add(where: list[str]) -> None:
                write.line(f"total += {x.at([n, channel, *where])} * {w.at([o, c, *window.taps])};")

            window.loop(call, positions, x.shape[2:], add)
        scale = scale_of(call, w, o)
        total = f"total * {scale}" if scale else "total"
        write.line(f"{y.at(at)} = {total}{f' + {bias[0].at([o])}' if bias else ''};")


def _in_group(o: str, per_group: int, channels: int, c: str) -> str:
    group = o if per_group == 1 else f"{o} / {per_group}"
    first = group if channels == 1 else f"({group}) * {channels}"
    return f"{first} + {c}" if c != "0" else first


@translation("convolution_input")
def convolution_input(call: Call, shape: Shape, geometry: Any) -> None:
    u, w, *bias = call.inputs
    (y,) = call.outputs
    write, window = call.write, _Window(geometry, w.shape[2:])
    per_group = w.shape[0] // geometry.groups
    with write.loops(y.shape, "ncijk") as at:
        write.line(f"{y.at(at)} = {bias[0].at([at[1]]) if bias else literal(0, y.dtype)};")
    with write.loops(u.shape, "noijk") as at:
        n, o, *positions = at
        with write.loops([w.shape[1]], "c") as (c,):
            channel = c if geometry.groups == 1 else _in_group(o, per_group, w.shape[1], c)

            def add(where: list[str]) -> None:
                target, weight = y.at([n, channel, *where]), w.at([o, c, *window.taps])
                write.line(f"{target} += {u.at(at)} * {weight};")

            window.loop(call, positions, y.shape[2:], add)


@translation("convolution_weight")
def convolution_weight(call: Call, shape: Shape, geometry: Any) -> None:
    x, u = call.inputs
    (y,) = call.outputs
    write, window = call.write, _Window(geometry, tuple(shape[2:]))
    per_group = shape[0] // geometry.groups
    fill(call, y)
    with write.loops(u.shape, "noijk") as at:
        n, o, *positions = at
        with write.loops([shape[1]], "c") as (c,):
            channel = c if geometry.groups == 1 else _in_group(o, per_group, shape[1], c)

            def add(where: list[str]) -> None:
                target = y.at([o, c, *window.taps])
                write.line(f"{target} += {u.at(at)} * {x.at([n, channel, *where])};")

            window.loop(call, positions, x.shape[2:], add)


@translation("max_pool", optional=(1,))
def max_pool(call: Call, kernel: Shape, geometry: Any) -> None:
    (x,), (y, positions_of) = call.inputs, call.outputs
    write, window = call.write, _Window(geometry, tuple(kernel))
    with write.loops(y.shape, "ncijk") as at:
        n, c, *positions = at
        write.line("int best = -1;")
        write.line(f"{c_type(y.dtype)} largest = {literal(0, y.dtype)};")

        def compare(where: list[str]) -> None:
            seen = x.at([n, c, *where])
            write.line(f"if (best < 0 || !({seen} <= largest)) {{")
            flat = Place.new("", x.shape[2:], x.dtype).at(where)[1:-1]
            write.line(f"    largest = {seen};")
            write.line(f"    best = {flat};")
            write.line("}")

        window.loop(call, positions, x.shape[2:], compare)
        write.line(f"{y.at(at)} = largest;")
        call.store(positions_of, at, "best")


@translation("avg_pool")
def avg_pool(call: Call, kernel: Shape, geometry: Any, divisor: int) -> None:
    (x,), (y,) = call.inputs, call.outputs
    write, window = call.write, _Window(geometry, tuple(kernel))
    with write.loops(y.shape, "ncijk") as at:
        n, c, *positions = at
        write.line(f"{c_type(y.dtype)} total = {literal(0, y.dtype)};")
        window.loop(
            call,
            positions,
            x.shape[2:],
            lambda where: write.line(f"total += {x.at([n, c, *where])};"),
        )
        write.line(f"{y.at(at)} = total / {literal(divisor, y.dtype)};")


@translation("avg_pool_input")
def avg_pool_input(call: Call, shape: Shape, kernel: Shape, geometry: Any, divisor: int) -> None:
    (u,), (y,) = call.inputs, call.outputs
    write, window = call.write, _Window(geometry, tuple(kernel))
    fill(call, y)
    with write.loops(u.shape, "ncijk") as at:
        n, c, *positions = at
        share = f"{u.at(at)} / {literal(divisor, y.dtype)}"
        window.loop(
            call,
            positions,
            y.shape[2:],
            lambda where: write.line(f"{y.at([n, c, *where])} += {share};"),
        )
