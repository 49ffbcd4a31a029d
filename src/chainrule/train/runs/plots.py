"""The plots of the report: SVG panels of one size, and the confusion matrix as a table."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.data.dataset import ImageFormat
from chainrule.primitive import Array
from chainrule.train.drawing import COLORS, GRID, TRAIN, VALID, drawing, figure_class
from chainrule.train.runs.markup import text

WIDTH = 4.6
"""The width of a panel in inches: its text is legible on a phone and in half of a page."""

_MARK = 40


def curves(history: Sequence[dict[str, Any]]) -> list[str]:
    """The loss and the first metric over epochs, for training and validation."""
    epochs, panels = [record["epoch"] for record in history], []
    for name in ("loss", "accuracy", "r2"):
        if name not in history[0]:
            continue
        with drawing(WIDTH, 3.0) as (figure, result):
            axes = figure.subplots()
            lines = [
                (label, color, values)
                for key, color, label in (
                    (name, TRAIN, "training"),
                    (f"valid_{name}", VALID, "validation"),
                )
                if np.isfinite(values := _numbers(history, key)).any()
            ]
            for _, color, values in lines:
                axes.plot(epochs, values, color=color, marker="o" if len(epochs) == 1 else None)
            axes.set_title({"r2": "R²"}.get(name, name))
            axes.set_xlabel("epoch")
            _whole_ticks(axes)
            if name == "loss" and min(_numbers(history, "loss")) > 0:
                axes.set_yscale("log")
            elif name != "loss":
                _look_at_the_end(axes, [values for _, _, values in lines])
            _label_ends(axes, epochs[-1], lines)
        panels += result
    return panels


def _look_at_the_end(axes: Any, lines: Sequence[Array]) -> None:
    """Set the limits of the axis without the first tenth of training."""
    late = np.concatenate([values[len(values) // 10 :] for values in lines])
    low, high = np.nanmin(late), max(1.0, np.nanmax(late))
    axes.set_ylim(low - 0.05 * (high - low) - 1e-3, high + 0.05 * (high - low) + 1e-3)


def _label_ends(axes: Any, x: float, lines: Sequence[tuple[str, str, Array]]) -> None:
    """Write the last value beside the end of each line, without overlap."""
    ordered = sorted(lines, key=lambda line: -np.nan_to_num(line[2][-1]))
    for place, (label, color, values) in enumerate(ordered):
        shift = 0 if len(ordered) == 1 else 6 - 12 * place
        if np.isfinite(values[-1]):
            axes.annotate(
                f"{label} {values[-1]:.4g}",
                (x, values[-1]),
                color=color,
                xytext=(6, shift),
                textcoords="offset points",
                va="center",
                fontsize=9,
                annotation_clip=False,
            )


def _numbers(history: Sequence[dict[str, Any]], key: str) -> Array:
    return np.array([np.nan if r.get(key) is None else r[key] for r in history], np.float64)


def _whole_ticks(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))


def confusion(matrix: Array, classes: Sequence[str]) -> str:
    """The confusion matrix as a table: rows are true classes, columns predictions. A cell is as
    dark as its share of the row, a mistake as its share of the largest mistake."""
    size, right = len(classes), np.eye(len(classes), dtype=bool)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    worst = shares[~right].max(initial=0.0) or 1.0
    strengths = np.where(right, shares, 0.85 * shares / worst)
    turned = "upright" if size > 4 and sum(map(len, classes)) > 3 * size else ""
    marked = size <= _MARK
    head = "".join(f'<th><span class="{turned}">{text(name)}</span></th>' for name in classes)
    lines = [f"<tr><th></th>{head}</tr>"] if marked else []
    for i, name in enumerate(classes):
        cells = [f"<th>{text(name)}</th>"] if marked else []
        for j, strength in enumerate(strengths[i]):
            kinds = [*["right"] * (i == j), *["strong"] * bool(strength > 0.55)]
            shown = matrix[i, j] if marked and matrix[i, j] else ""
            mark, share = " ".join(kinds), f"--share: {100 * strength:.0f}%"
            cells.append(f'<td class="{mark}" style="{share}">{shown}</td>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    kind = "confusion" if marked else "confusion dense"
    return f'<div class="wide"><table class="{kind}">{"".join(lines)}</table></div>'


def layers_over_time(history: Sequence[dict[str, Any]]) -> list[str]:
    """Gradient and update size of each weight matrix over epochs; nothing if none was recorded."""
    seen = [record for record in history if record.get("gradient")]
    if not seen:
        return []
    names = [n for n in seen[0]["gradient"] if n.endswith("weight")] or list(seen[0]["gradient"])
    epochs, panels = [record["epoch"] for record in seen], []
    height = 2.9 + 0.16 * -(-min(len(names), 24) // 2)
    for key, title in (
        ("gradient", "gradient size (root mean square)"),
        ("update", "step size ‖Δw‖ / ‖w‖"),
    ):
        with drawing(WIDTH, height) as (figure, result):
            axes = figure.subplots()
            for place, name in enumerate(names):
                values = np.array([r[key].get(name) or np.nan for r in seen], np.float64)
                if np.isfinite(values).any():
                    color = COLORS[place % len(COLORS)]
                    dashed = "--" if place >= len(COLORS) else "-"
                    axes.plot(epochs, values, dashed, color=color, label=name)
            axes.set_yscale("log")
            axes.set_title(title)
            axes.set_xlabel("epoch")
            _whole_ticks(axes)
            lines, labels = axes.get_legend_handles_labels()
            figure.legend(lines[:24], labels[:24], loc="outside lower center", ncols=2, fontsize=9)
        panels += result
    return panels


def scatter(true: Array, predicted: Array) -> str:
    """Predictions over true values, with the line of exact predictions."""
    with drawing(WIDTH, 4.2) as (figure, result):
        axes = figure.subplots()
        both = np.concatenate([true.ravel(), predicted.ravel()])
        axes.plot([both.min(), both.max()], [both.min(), both.max()], color=GRID, zorder=1)
        axes.scatter(true.ravel()[:5000], predicted.ravel()[:5000], s=12, color=VALID, alpha=0.6)
        axes.set_xlabel("true")
        axes.set_ylabel("predicted")
    return result[0]


def picture(x: Array, image: ImageFormat) -> str:
    """One raw input as a PNG in a data URL."""
    figure_class()
    from matplotlib.image import imsave

    pixels = np.clip(x.reshape(image.shape) / image.maximum, 0, 1).transpose(1, 2, 0)
    buffer = io.BytesIO()
    if image.channels == 1:
        imsave(buffer, pixels[:, :, 0], cmap="gray_r", vmin=0, vmax=1, format="png")
    else:
        imsave(buffer, np.ascontiguousarray(pixels), format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
