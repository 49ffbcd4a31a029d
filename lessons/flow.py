"""Pictures of gradient flow: a computation as a graph, with the gradient on each arrow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from chainrule import Tensor
from lessons import material
from lessons.scalar import Scalar


@dataclass
class Drawing:
    """What is drawn: `boxes` (title, text, colour) by key, and `arrows` (from, to, text) which lead
    from a result back to what it was computed from."""

    boxes: dict[Hashable, tuple[str, str, str]] = field(default_factory=dict)
    arrows: list[tuple[Hashable, Hashable, str]] = field(default_factory=list)

    def leaves(self) -> set[Hashable]:
        """What was not computed from anything."""
        return {*self.boxes} - {result for result, _, _ in self.arrows}


def of_scalar(root: Scalar) -> Drawing:
    """The graph of a Scalar after `backward`: values in the boxes, on the arrows what flows."""
    drawing = Drawing()
    for node in root.nodes():
        color = material.SKY if not node.inputs else "white"
        title = node.name or node.op or "constant"
        title = f"{node.name} = {node.op}" if node.name and node.op else title
        drawing.boxes[node] = (title, f"{float(node):.3g}", color)
        for x, slope in zip(node.inputs, node.slopes, strict=True):
            drawing.arrows.append((node, x, f"{float(node.grad) * float(slope):.3g}"))
    drawing.boxes[root] = (*drawing.boxes[root][:2], material.YELLOW)
    return drawing


def of_tensors(named: Mapping[str, Tensor]) -> Drawing:
    """The tape of tensors that keep their gradients; on the arrows, the length of the gradient.

    `named` holds the parameters and every result of an op, the loss last. Call it before the walk
    that fills `.grad` frees the tape: that is, after `backward(retain_graph=True)`.
    """
    drawing, keys = Drawing(), {t._node or t: name for name, t in named.items()}
    for node, name in keys.items():
        t = named[name]
        is_leaf = t._node is None
        color = material.SKY if is_leaf else "white"
        op = "" if is_leaf else t._node.primitive.name.replace("_", "\n") + "\n"
        text = " × ".join(map(str, t.shape)) or f"{t.item():.3g}"
        drawing.boxes[name] = (name, op + text, color)
        for target, _ in (edge for edge in getattr(node, "edges", ()) if edge is not None):
            g = named[keys[target]].grad
            drawing.arrows.append((name, keys[target], f"{np.linalg.norm(g.numpy()):.2g}"))
    last = list(named)[-1]
    drawing.boxes[last] = (*drawing.boxes[last][:2], material.YELLOW)
    return drawing


def draw_graph(ax: Any, root: Scalar | Mapping[str, Tensor], size: float = 9) -> None:
    """Draw a graph from left to right; orange arrows carry the gradient from right to left."""
    drawing = of_scalar(root) if isinstance(root, Scalar) else of_tensors(root)
    places, paths = layout(drawing)
    boxes = {}
    for key, (title, text, color) in drawing.boxes.items():
        shape = {"boxstyle": "round,pad=0.35", "facecolor": color, "edgecolor": "#666666"}
        box = ax.text(*places[key], f"{title}\n{text}", ha="center", va="center", fontsize=size,
                      bbox=shape, zorder=3)
        boxes[key] = box.get_bbox_patch()
    for path, (_, source, text) in zip(paths, drawing.arrows, strict=True):
        points = np.array(path)
        ax.plot(*points[:-1].T, color=material.ORANGE, lw=1.2, zorder=1)
        ax.annotate("", points[-1], points[-2], zorder=1, arrowprops={
            "arrowstyle": "-|>", "color": material.ORANGE, "lw": 1.2, "patchB": boxes[source],
            "shrinkA": 0, "shrinkB": 2})
        x, y = (points[-1] + points[-2]) / 2
        ax.text(x, y, text, ha="center", va="center", fontsize=size, color=material.RED,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6}, zorder=2)
    x, y = np.array(list(places.values())).T
    ax.set(xlim=(x.min() - 0.5, x.max() + 0.5), ylim=(y.min() - 0.6, y.max() + 0.6))
    ax.axis("off")


Point = tuple[float, float]


def layout(drawing: Drawing) -> tuple[dict[Hashable, Point], list[list[Point]]]:
    """A place for each box, and for each arrow the points that it passes.

    Columns: a box stands left of everything that was computed from it. Where an arrow passes a
    column it takes a place of its own there. Inside a column, each goes to where its neighbours
    are, on average, and keeps a distance of 1 to the next (Sugiyama and others, 1981).
    """
    column = _columns(drawing)
    chains: list[list[Hashable]] = []
    for i, (result, source, _) in enumerate(drawing.arrows):
        between = [(i, c) for c in range(column[result] - 1, column[source], -1)]
        column.update({place: place[1] for place in between})
        chains.append([result, *between, source])
    near: dict[Hashable, list[Hashable]] = defaultdict(list)
    for chain in chains:
        for a, b in pairwise(chain):
            near[a].append(b)
            near[b].append(a)
    weight = {key: 0.02 if key in drawing.leaves() else 1.0 for key in column}
    height = _heights(column, near, weight)
    places = {key: (float(c), height[key]) for key, c in column.items()}
    paths = [_bent([places[k] for k in c], i, chains) for i, c in enumerate(chains)]
    return {key: places[key] for key in drawing.boxes}, paths


def _bent(path: list[Point], i: int, chains: list[list[Hashable]]) -> list[Point]:
    """An arrow beside its twin (a value that is used twice by one op) makes a detour."""
    twins = [j for j, c in enumerate(chains) if (c[0], c[-1]) == (chains[i][0], chains[i][-1])]
    if len(twins) == 1 or len(path) > 2:
        return path
    (x0, y0), (x1, y1) = path
    aside = 0.3 if twins[0] == i else -0.3
    return [path[0], (0.6 * x0 + 0.4 * x1, 0.6 * y0 + 0.4 * y1 + aside), path[1]]


def _columns(drawing: Drawing) -> dict[Hashable, int]:
    """0 for results that nothing reads; inputs one less than the leftmost of their readers."""
    column: dict[Hashable, int] = dict.fromkeys(drawing.boxes, 0)
    for _ in drawing.boxes:
        for result, source, _ in drawing.arrows:
            column[source] = min(column[source], column[result] - 1)
    return column


def _heights(
    column: Mapping[Hashable, int],
    near: Mapping[Hashable, Iterable[Hashable]],
    weight: Mapping[Hashable, float],
) -> dict[Hashable, float]:
    """Sweeps through the columns, each box to the weighted mean of its neighbours."""
    members: dict[int, list[Hashable]] = defaultdict(list)
    for key, c in column.items():
        members[c].append(key)
    height = {key: float(i) for keys in members.values() for i, key in enumerate(keys)}
    columns = sorted(members)
    for sweep in range(24):
        for c in columns if sweep % 2 else reversed(columns):
            side = [c - 1 if sweep % 2 else c + 1] if sweep < 16 else [c - 1, c + 1]
            wanted = {}
            for key in members[c]:
                around = [n for n in near[key] if column[n] in side]
                weights = [weight[n] for n in around]
                heights = [height[n] for n in around]
                wanted[key] = np.average(heights, weights=weights) if around else height[key]
            height.update(_apart(wanted, weight))
    return height


def _apart(
    wanted: Mapping[Hashable, float], weight: Mapping[Hashable, float]
) -> dict[Hashable, float]:
    """Heights in the same order that are at least 1 apart, shifted to the same weighted mean."""
    keys = sorted(wanted, key=lambda key: wanted[key])
    found: list[float] = []
    for key in keys:
        found.append(max(wanted[key], found[-1] + 1) if found else wanted[key])
    moved = [wanted[key] - y for key, y in zip(keys, found, strict=True)]
    shift = np.average(moved, weights=[weight[key] for key in keys])
    return {key: float(y + shift) for key, y in zip(keys, found, strict=True)}
