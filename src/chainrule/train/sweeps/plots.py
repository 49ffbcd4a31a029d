"""The plots of a sweep as SVG."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.primitive import Array
from chainrule.train.drawing import COLORS, GRID, INK, SOFT, VALID, drawing
from chainrule.train.sweeps.results import Sweep, shown

_MOST_TICKS = 6


def coordinates(found: Sweep) -> str:
    """Parallel coordinates: an axis for each name of the settings and one for the score, a line for
    each setting. Better settings are darker, and the best one is coloured."""
    names = [name for name in found.settings[0] if len({*map(str, _column(found, name))}) > 1]
    scores = np.array([row.mean for row in found.rows])
    axes_of = [*(_places(_column(found, name)) for name in names), _scale(scores)]
    with drawing(max(5.0, 1.9 * len(axes_of)), 3.6) as (figure, result):
        axes = figure.subplots()
        heights = np.array([places for places, _ in axes_of])
        for line in reversed(range(len(found.rows))):
            share = line / max(1, len(found.rows) - 1)
            color, width = (VALID, 2.6) if line == 0 else (COLORS[0], 1.2)
            axes.plot(heights[:, line], color=color, alpha=1 - 0.8 * share, linewidth=width)
        for place, (_, ticks) in enumerate(axes_of):
            axes.axvline(place, color=GRID, zorder=0)
            for height, label in ticks:
                axes.text(place + 0.03, height, label, fontsize=8.5, color=INK, va="center")
        axes.set_xticks(range(len(axes_of)), [*names, found.monitor])
        axes.set_xlim(-0.1, len(axes_of) - 0.6)
        axes.set_yticks([])
        axes.grid(False)
        axes.spines[:].set_visible(False)
    return result[0]


def _column(found: Sweep, name: str) -> list[Any]:
    return [row.setting[name] for row in found.rows]


def _places(values: list[Any]) -> tuple[Array, list[tuple[float, str]]]:
    """The heights of values on their axis, from 0 to 1, and labels. Numbers that span more than a
    factor of 30 are placed by their logarithms, and other things by their order."""
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
        return _scale(np.array(values, np.float64))
    kinds = sorted({*map(str, values)})
    step = max(1, len(kinds) - 1)
    ticks = [(place / step, kind) for place, kind in enumerate(kinds)]
    return np.array([kinds.index(str(v)) / step for v in values]), ticks


def _scale(values: Array) -> tuple[Array, list[tuple[float, str]]]:
    good = values[np.isfinite(values)]
    if not good.size:
        return np.zeros(len(values)), []
    is_wide = good.min() > 0 and good.max() > 30 * good.min()
    form = np.log if is_wide else np.positive
    low, high = form(good.min()), form(good.max())
    heights = (form(values) - low) / ((high - low) or 1.0)
    kinds = np.unique(good)
    if len(kinds) > _MOST_TICKS:
        kinds = kinds[np.linspace(0, len(kinds) - 1, 2).astype(int)]
    ticks = [(float((form(v) - low) / ((high - low) or 1.0)), shown(float(v))) for v in kinds]
    return heights, ticks


def spread(found: Sweep, most: int = 12) -> str:
    """The scores of the best settings: a dot for each seed and fold, and a line at the mean."""
    rows = found.rows[:most]
    with drawing(9.8, 0.9 + 0.33 * len(rows)) as (figure, result):
        axes = figure.subplots()
        for height, row in enumerate(reversed(rows)):
            color = VALID if height == len(rows) - 1 else COLORS[0]
            axes.plot(row.scores, [height] * len(row.scores), "o", color=color, alpha=0.6)
            axes.plot([row.mean] * 2, [height - 0.3, height + 0.3], color=color)
        labels = [
            ", ".join(f"{name} {shown(value)}" for name, value in row.setting.items()) or "all"
            for row in reversed(rows)
        ]
        axes.set_yticks(range(len(rows)), labels)
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.set_xlabel(found.monitor, color=SOFT)
    return result[0]
