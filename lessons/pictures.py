"""Pictures that lessons 4 and 10 share: graphs with numbers, memory, time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.compiler.memory import Arena
from chainrule.compiler.plan import last_uses
from chainrule.graph import Equation, Graph, Value
from lessons import material
from lessons.flow import draw_graph as draw_graph

PHASES = {"forward": material.BLUE, "backward": material.ORANGE, "update": material.GREEN}
VIEWS = ("reshape", "permute", "expand", "slice")


def triangle(ax: Any, counts: NDArray[Any], names: Sequence[str]) -> None:
    """A table of counts as a picture; zeros are left empty, row 0 stands at the bottom."""
    ax.imshow(np.log1p(counts), cmap="Blues", vmax=np.log1p(counts).max() * 1.5, origin="lower",
              aspect="auto")  # fmt: skip
    for (i, j), count in np.ndenumerate(counts):
        if count:
            ax.text(j, i, str(count), ha="center", va="center", fontsize=8)
    ticks = range(len(names))
    ax.set(xticks=ticks, yticks=ticks, xlabel="imports from floor")
    ax.set_yticklabels([f"{name}   {i}" for i, name in enumerate(names)], fontsize=8)
    ax.grid(False)


def timeline(ax: Any, rows: Sequence[tuple[str, str, float, float]]) -> None:
    """Ops as bars over time: rows of (phase, name, begin, end), in seconds."""
    begin = rows[0][2]
    for height, (phase, name, start, end) in enumerate(rows):
        left, right = 1e6 * (start - begin), 1e6 * (end - begin)
        ax.barh(-height, right - left, left=left, height=1.0, color=PHASES[phase])
        if name == "exp" and "exp" not in [row[1] for row in rows[:height]]:
            ax.annotate("exp, twice", (right, -height), (25, 8), textcoords="offset points",
                        fontsize=8, arrowprops={"arrowstyle": "-", "lw": 0.6})  # fmt: skip
    for phase, color in PHASES.items():
        ax.barh(0, 0, color=color, label=phase)
    ax.set(yticks=[], xlabel="µs", ylabel="ops, in order", xlim=0)
    ax.grid(False)
    ax.legend(loc="lower left")


def memory(ax: Any, graph: Graph) -> tuple[int, int]:
    """Draw when each value of a graph needs memory, and where the first-fit allocator puts it.

    Inputs, constants and results are elsewhere; a view lies where its source does. Returns the
    bytes of all values together, and the bytes of the arena.
    """
    home, lasts = _homes(graph), _last_readers(graph)
    results = {home.get(v, v) for v in graph.outputs}
    arena, offsets, total = Arena(), dict[Value, int](), 0
    for i, equation in enumerate(graph.equations):
        for value in equation.outputs:
            if home[value] is value and value not in results and value in lasts:
                offsets[value] = arena.take(value, value.spec.nbytes)
                total += value.spec.nbytes
                _rectangle(ax, equation, i, lasts[value], offsets[value], value.spec.nbytes)
        for value in [v for v in offsets if lasts[v] == i]:
            arena.give_back(value)
    steps = range(len(graph.equations))
    ax.set(xlim=(-0.6, len(steps) - 0.4), ylim=(0, arena.size / 1000), ylabel="KiB", xticks=steps)
    names = [e.primitive.name for e in graph.equations]
    ax.set_xticklabels(names, rotation=60, ha="right", fontsize=8)
    ax.grid(axis="y", visible=False)
    return total, arena.size


def _homes(graph: Graph) -> dict[Value, Value]:
    """Each computed value, and the value whose memory it is a view of."""
    home: dict[Value, Value] = {}
    for equation in graph.equations:
        for value in equation.outputs:
            source = equation.inputs[0] if equation.primitive.name in VIEWS else value
            home[value] = home.get(source, source)
    return home


def _last_readers(graph: Graph) -> dict[Any, int]:
    """For each value, the last equation that reads it or a view of it."""
    home = _homes(graph)
    last: dict[Any, int] = {}
    for i, values in enumerate(last_uses(graph)):
        for value in values:
            last[home.get(value, value)] = i
    return last


def _rectangle(
    ax: Any, equation: Equation, first: int, last: int, offset: int, nbytes: int
) -> None:
    color = material.COLORS[first % len(material.COLORS)]
    ax.bar(first - 0.45, nbytes / 1024, width=last - first + 0.9, bottom=offset / 1024,
           align="edge", color=color, edgecolor="white", alpha=0.8)  # fmt: skip
    if nbytes > 1000:
        ax.text(first - 0.3, (offset + nbytes / 2) / 1024, equation.primitive.name, va="center",
                fontsize=8)  # fmt: skip
