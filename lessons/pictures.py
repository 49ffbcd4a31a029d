"""Pictures that take more than a few lines: neurons, networks, graphs, memory, time."""

from __future__ import annotations

import base64
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.patches import Circle
from numpy.typing import NDArray

from chainrule.compiler.memory import Arena
from chainrule.compiler.plan import last_uses
from chainrule.graph import Equation, Graph, Value
from lessons import material
from lessons.flow import draw_graph as draw_graph

PHASES = {"forward": material.BLUE, "backward": material.ORANGE, "update": material.GREEN}


def nerve_cell(ax: Any) -> None:
    """Dendrites on the left, the cell body, the axon and its ends on the right."""
    t = np.linspace(0, 1, 40)
    for height, strength in ((1.0, 4.5), (0.0, 1.5), (-1.0, 3.0)):
        ax.plot(-2.6 + 2.3 * t, height * (1 - t**1.6), color=material.BLUE, lw=strength)
        for side in (-0.28, 0.28):
            ax.plot([-3.1, -2.6], [height + side, height], color=material.BLUE, lw=strength * 0.6)
    for radius, color in ((0.55, material.SKY), (0.2, material.BLUE)):
        ax.add_patch(Circle((0, 0), radius, color=color, zorder=3))
    ax.plot(0.5 + 2.2 * t, 0.08 * np.sin(6 * t), color=material.RED, lw=3)
    for end in (-0.6, 0, 0.6):
        ax.plot([2.7, 3.2], [0, end], color=material.RED, lw=1.6)
    ax.text(-2.9, 1.55, "dendrites", ha="center")
    ax.text(0, 0.75, "body: sum,\nthreshold", ha="center")
    ax.text(1.7, 0.3, "axon", ha="center")
    ax.text(-1.0, -1.75, "thickness: strength\nof the synapse", ha="center", fontsize=9)


def neuron(ax: Any) -> None:
    """The same picture as a formula."""
    arrow = {"arrowstyle": "-|>", "shrinkA": 12, "shrinkB": 22, "lw": 1.4}
    for i, height in enumerate((1.0, 0.0, -1.0), start=1):
        ax.annotate("", (0, 0), (-2.9, height), arrowprops=arrow | {"color": material.BLUE})
        ax.text(-2.95, height, f"$x_{i}$", ha="center", va="center")
        ax.text(-1.6, height * 0.55 + 0.16, f"$w_{i}$", ha="center", color=material.BLUE)
    ax.add_patch(Circle((0, 0), 0.55, color=material.SKY, zorder=3))
    ax.text(0, 0, r"$\Sigma\,|\,g$", ha="center", va="center", zorder=5)
    ax.annotate("", (0, -0.1), (0, -1.5), arrowprops=arrow | {"color": material.GREEN})
    ax.text(0, -1.55, "$b$: minus the threshold", ha="center", va="center")
    ax.annotate("", (2.8, 0), (0.3, 0), arrowprops=arrow | {"color": material.RED, "shrinkB": 2})
    ax.text(1.7, 0.25, "$a = g(z)$", ha="center")
    ax.text(0, 1.25, r"$z = \sum_i x_i w_i + b$", ha="center", fontsize=12)


def network(ax: Any, layers: Sequence[tuple[str, Sequence[float], str]]) -> None:
    """Layers as columns of circles: (title, heights of the circles, colour)."""
    for x, (title, heights, color) in enumerate(layers):
        for y in heights:
            for y_next in layers[x + 1][1] if x + 1 < len(layers) else ():
                ax.plot([x, x + 1], [y, y_next], color="#bbbbbb", lw=0.6, zorder=1)
            ax.plot(x, y, "o", ms=13, color=color, zorder=2)
        ax.text(x, max(heights) + 0.8, title, ha="center", va="bottom")
        ax.text(x, 0, "⋮", ha="center", va="center", fontsize=15)
    ax.set(xlim=(-0.5, len(layers) - 0.5), ylim=(-3.6, 5.6))
    ax.axis("off")


def signed(ax: Any, numbers: NDArray[Any], title: str = "") -> None:
    """A table of numbers as a picture: red is positive, blue negative, white 0 or nothing."""
    limit = np.nanmax(np.abs(numbers)) or 1
    ax.imshow(numbers, cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.set_title(title)


def four_squares(weights: NDArray[Any]) -> NDArray[Any]:
    """(4, 5, 5) as one table (11, 11), with a gap of NaN between the squares."""
    gaps = np.pad(weights, ((0, 0), (0, 1), (0, 1)), constant_values=np.nan)
    return gaps.reshape(2, 2, 6, 6).transpose(0, 2, 1, 3).reshape(12, 12)[:-1, :-1]


class Frame(NamedTuple):
    """A net with 2 inputs at one moment: its answers on a grid, its hidden neurons' lines."""

    title: str
    inner: NDArray[Any]
    weights: NDArray[Any]
    biases: NDArray[Any]


def regions(
    ax: Any, frame: Frame, side: NDArray[Any], points: NDArray[Any], labels: NDArray[Any]
) -> None:
    """The probability of class 1, the points (n, 2), and the line w·x + b = 0 of each neuron."""
    ax.contourf(side, side, frame.inner, levels=np.linspace(0, 1, 9), cmap="RdBu_r", alpha=0.7)
    for label, color in ((0, "tab:blue"), (1, "tab:red")):
        ax.plot(*points[labels == label].T, ".", color=color, markersize=2.5, rasterized=True)
    for normal, b in zip(frame.weights, frame.biases, strict=True):
        foot = -b * normal / (normal @ normal)
        along = 5 * np.array([-normal[1], normal[0]]) / np.linalg.norm(normal)
        ax.plot(*np.stack([foot - along, foot + along], 1), color="black", linewidth=0.8)
    ax.set(xlim=side[[0, -1]], ylim=side[[0, -1]], xticks=[], yticks=[], aspect="equal")
    ax.set_title(frame.title, fontsize=9)
    ax.grid(False)


def movie(draw: Callable[[Any, Any], None], frames: Sequence[Any], alt: str) -> None:
    """Show `draw(axes, frame)` for all frames as an animated GIF; `alt` says what it shows."""
    figure, ax = plt.subplots(figsize=(3.2, 3.4), dpi=64, layout="constrained")

    def one(frame: Any) -> None:
        ax.clear()
        draw(ax, frame)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.gif"
        FuncAnimation(figure, one, frames=frames).save(path, PillowWriter(fps=6))
        gif = path.read_bytes()
    plt.close(figure)
    if "ipykernel" in sys.modules:
        from IPython.display import HTML, display

        data = base64.b64encode(gif).decode()
        display(HTML(f'<img alt="{alt}" src="data:image/gif;base64,{data}">'))


def triangle(ax: Any, counts: NDArray[Any], names: Sequence[str]) -> None:
    """A table of counts as a picture; zeros are left empty, row 0 stands at the bottom."""
    ax.imshow(np.log1p(counts), cmap="Blues", vmax=np.log1p(counts).max() * 1.5, origin="lower",
              aspect="auto")
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
                        fontsize=8, arrowprops={"arrowstyle": "-", "lw": 0.6})
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
    ax.set(xlim=(-0.6, len(steps) - 0.4), ylim=(0, arena.size / 1024), ylabel="KiB", xticks=steps)
    names = [e.primitive.name for e in graph.equations]
    ax.set_xticklabels(names, rotation=60, ha="right", fontsize=8)
    ax.grid(axis="y", visible=False)
    return total, arena.size


def _homes(graph: Graph) -> dict[Value, Value]:
    """Each computed value, and the value whose memory it is a view of."""
    home: dict[Value, Value] = {}
    for equation in graph.equations:
        for value in equation.outputs:
            source = equation.inputs[0] if equation.primitive.view else value
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
           align="edge", color=color, edgecolor="white", alpha=0.8)
    if nbytes > 1000:
        ax.text(first - 0.3, (offset + nbytes / 2) / 1024, equation.primitive.name, va="center",
                fontsize=8)
