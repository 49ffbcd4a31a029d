"""The plots of the report as SVG."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.data.dataset import ImageFormat
from chainrule.primitive import Array
from chainrule.train.drawing import COLORS, GRID, INK, TRAIN, VALID, drawing, figure_class

_MARK = 40


def curves(history: Sequence[dict[str, Any]]) -> str:
    """The loss and the first metric over epochs, for training and validation."""
    names = [n for n in ("loss", "accuracy", "r2") if n in history[0]]
    epochs = [record["epoch"] for record in history]
    with drawing(4.9 * len(names), 3.1) as (figure, result):
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
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
    return result[0]


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
    """The confusion matrix: rows are true classes, columns predictions. Mistakes are coloured."""
    size = len(classes)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    inches = float(np.clip(0.42 * size + 1.6, 5.0, 8.0))
    with drawing(inches, inches) as (figure, result):
        axes = figure.subplots()
        colored = np.ones((size, size, 3))
        right, wrong = np.array([0x1F, 0x4E, 0x8C]) / 255, np.array([0xD9, 0x54, 0x1E]) / 255
        off_diagonal = shares * (1 - np.eye(size))
        strengths = np.where(np.eye(size), shares, 0.85 * off_diagonal / (off_diagonal.max() or 1))
        for i, j in np.ndindex(size, size):
            colored[i, j] = 1 - strengths[i, j] * (1 - (right if i == j else wrong))
            if matrix[i, j] and size <= _MARK:
                color = "white" if strengths[i, j] > 0.55 else INK
                axes.text(j, i, matrix[i, j], ha="center", va="center", color=color, fontsize=8.5)
        axes.imshow(colored)
        if size <= _MARK:
            flat = size <= 4 or sum(map(len, classes)) <= 5 * size
            axes.set_xticks(range(size), classes, rotation=0 if flat else 60)
            axes.set_yticks(range(size), classes)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.grid(False)
        axes.spines[:].set_visible(False)
    return result[0]


def layers_over_time(history: Sequence[dict[str, Any]]) -> str | None:
    """Gradient and update size of each weight matrix over epochs; None if nothing was recorded."""
    seen = [record for record in history if record.get("gradient")]
    if not seen:
        return None
    names = [n for n in seen[0]["gradient"] if n.endswith("weight")] or list(seen[0]["gradient"])
    epochs = [record["epoch"] for record in seen]
    panels = (("gradient", "gradient size (root mean square)"), ("update", "step size ‖Δw‖ / ‖w‖"))
    with drawing(9.8, 3.3) as (figure, result):
        for axes, (key, title) in zip(figure.subplots(1, 2), panels, strict=True):
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
        figure.legend(
            *figure.axes[0].get_legend_handles_labels(),
            loc="outside lower center",
            ncols=min(4, len(names)),
            fontsize=9,
        )
    return result[0]


def scatter(true: Array, predicted: Array) -> str:
    """Predictions over true values, with the line of exact predictions."""
    with drawing(4.6, 4.2) as (figure, result):
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
