"""Elements read and written at positions that other arrays give."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chainrule.formats.c.moves import copy, fill, viewed
from chainrule.formats.c.rows import row_of
from chainrule.formats.c.table import Call, translation
from chainrule.formats.c.writer import Place
from chainrule.ops.positions import HERE, kept_sizes, spelled_out
from chainrule.ops.rules import broadcast_shapes
from chainrule.primitive import Shape


@translation("embedding")
def embedding(call: Call, padding: int | None) -> None:
    (i, w), (y,) = call.inputs, call.outputs
    with call.write.loops(y.shape) as at:
        row = f"(int){i.at(at[:-1])}"
        scales = call.scales.get(w.name)
        scale = f" * {scales}[{row}]" if scales else ""
        call.write.line(f"{y.at(at)} = {w.at([row, at[-1]])}{scale};")


@translation("gather")
def gather(call: Call, dim: int) -> None:
    (x, index), (y,) = call.inputs, call.outputs
    with call.write.loops(y.shape) as at:
        call.write.line(f"{y.at(at)} = {row_of(x, at, dim, f'(int){index.at(at)}')};")


@translation("scatter_add")
def scatter_add(call: Call, shape: Shape, dim: int) -> None:
    (x, index), (y,) = call.inputs, call.outputs
    fill(call, y)
    with call.write.loops(x.shape) as at:
        call.write.line(f"{row_of(y, at, dim, f'(int){index.at(at)}')} += {x.at(at)};")


@contextmanager
def _indexed(
    call: Call, x: Place, indices: list[Place], index: tuple[Any, ...], seen: Place
) -> Iterator[tuple[str, str]]:
    """Loops over the elements of x[index]: gives that of x, and that of `seen` beside it."""
    write, parts = call.write, spelled_out(index, x.shape)
    base = viewed(x, lambda a: a[tuple([slice(None) if p is HERE else p for p in parts])])
    roles = [p is HERE for p in parts if p is not Ellipsis and not isinstance(p, int)]
    spread = broadcast_shapes(*[i.shape for i in indices]) if indices else ()
    kept, first = kept_sizes(x.shape, index)
    shape = (*kept[:first], *spread, *kept[first:])
    with write.loops(shape) as at:
        inner, outer = at[first : first + len(spread)], at[:first] + at[first + len(spread) :]
        supply, rest, places = iter(indices), iter(outer), []
        for d, here in enumerate(roles):
            if not here:
                places.append(next(rest))
                continue
            found = f"(int){next(supply).seen_as(spread).at(inner)}"
            name = write.name("at")
            write.line(f"const int {name} = {found};")
            places.append(f"{name} < 0 ? {name} + {base.shape[d]} : {name}")
        yield base.at(places), seen.seen_as(shape).at(at)


@translation("take")
def take(call: Call, index: tuple[Any, ...]) -> None:
    x, *indices = call.inputs
    with _indexed(call, x, indices, index, call.outputs[0]) as (source, target):
        call.write.line(f"{target} = {source};")


@translation("put_into")
def put_into(call: Call, shape: Shape, index: tuple[Any, ...]) -> None:
    x, *indices = call.inputs
    fill(call, call.outputs[0])
    _write(call, "+=", x, indices, index)


@translation("add_at")
def add_at(call: Call, index: tuple[Any, ...]) -> None:
    _write_over(call, "+=", index)


@translation("overwrite")
def overwrite(call: Call, index: tuple[Any, ...]) -> None:
    _write_over(call, "=", index)


def _write_over(call: Call, assign: str, index: tuple[Any, ...]) -> None:
    """Copy the first input to the output, and assign the second at an index."""
    x, v, *indices = call.inputs
    copy(call, x, call.outputs[0])
    _write(call, assign, v, indices, index)


def _write(call: Call, assign: str, v: Place, indices: list[Place], index: tuple[Any, ...]) -> None:
    """Assign `v` to the output at an index, by `=` or `+=`."""
    with _indexed(call, call.outputs[0], indices, index, v) as (target, source):
        call.write.line(f"{target} {assign} {source};")
