"""What a report draws of scores: ROC and precision, calibration, residuals, importance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import shortened
from chainrule.primitive import Array
from chainrule.train.drawing import COLORS, GRID, TRAIN, VALID, drawing
from chainrule.train.runs.curves import calibration, precision_over_recall, roc
from chainrule.train.runs.importance import Importance
from chainrule.train.runs.plots import WIDTH

_MOST_CLASSES = 8


def thresholds(shares: Array, labels: Array, names: Sequence[str]) -> list[str]:
    """ROC and precision over recall, a line for each class against the others.

    Of two classes one line says all; of many the most frequent are drawn.
    """
    counts = np.bincount(labels.astype(np.intp), minlength=len(names))
    often = [int(c) for c in np.argsort(-counts, kind="stable") if 0 < counts[c] < len(labels)]
    drawn, panels = [1] if len(names) == 2 and often else sorted(often[:_MOST_CLASSES]), []
    for curve, title, x, y in (
        (roc, "ROC", "false positive rate", "true positive rate"),
        (precision_over_recall, "Precision over recall", "recall", "precision"),
    ):
        with drawing(WIDTH, 4.0) as (figure, result):
            axes = figure.subplots()
            for place, c in enumerate(drawn):
                found = curve(shares[:, c], labels == c)
                label = f"{shortened(names[c], 20)} ({found.area:.3f})"
                axes.plot(found.x, found.y, color=COLORS[place], label=label)
            if curve is roc:
                axes.plot([0, 1], [0, 1], color=GRID, zorder=1)
            axes.set(title=title, xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
            axes.legend(title="area under the line", fontsize=9, title_fontsize=9)
        panels += result
    return panels


def reliability(shares: Array, labels: Array) -> list[str]:
    """How often the model is right where it is so sure; and how sure it is, right and wrong."""
    found = calibration(shares, labels)
    sure, right = shares.max(axis=1), shares.argmax(axis=1) == labels
    with drawing(WIDTH, 3.6) as (figure, line):
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=GRID, zorder=1)
        axes.plot(found.confidence, found.right, color=TRAIN, zorder=2)
        size = 12 + 260 * found.samples / found.samples.max()
        axes.scatter(found.confidence, found.right, s=size, color=VALID, alpha=0.8, zorder=3)
        axes.set(xlabel="how sure", ylabel="how often right", xlim=(0, 1.02), ylim=(-0.02, 1.04))
        axes.set_title(f"expected calibration error {found.error:.3f}")
    with drawing(WIDTH, 3.6) as (figure, spread):
        axes = figure.subplots()
        bins = np.linspace(0, 1, 21).tolist()
        kinds, colors = [sure[right], sure[~right]], [TRAIN, VALID]
        axes.hist(kinds, bins, stacked=True, color=colors, label=["right", "wrong"])
        axes.set(xlabel="how sure", ylabel="samples", xlim=(0, 1.02))
        axes.legend(loc="upper left")
    return [*line, *spread]


def residuals(true: Array, predicted: Array) -> list[str]:
    """What is left, true − predicted: over the prediction, and how it is spread."""
    left = (true - predicted).ravel()
    with drawing(WIDTH, 3.4) as (figure, over):
        axes = figure.subplots()
        axes.axhline(0, color=GRID, zorder=1)
        axes.scatter(predicted.ravel()[:5000], left[:5000], s=12, color=VALID, alpha=0.6)
        axes.set(xlabel="predicted", ylabel="true − predicted")
    with drawing(WIDTH, 3.4) as (figure, spread):
        axes = figure.subplots()
        axes.hist(left, bins=min(40, max(5, int(np.sqrt(left.size)))), color=TRAIN)
        axes.set(xlabel="true − predicted", ylabel="samples")
    return [*over, *spread]


def importances(found: Sequence[Importance], score: str) -> str:
    """Importances as bars, each with its standard deviation, the first on top."""
    shown = found[::-1]
    with drawing(WIDTH, 0.9 + 0.28 * len(shown)) as (figure, result):
        axes: Any = figure.subplots()
        places = np.arange(len(shown))
        axes.barh(
            places,
            [i.mean for i in shown],
            xerr=[i.std for i in shown],
            color=TRAIN,
            error_kw={"ecolor": VALID, "capsize": 2},
            height=0.62,
        )
        axes.set_yticks(places, [shortened(i.name, 20) for i in shown])
        axes.set_xlabel(f"{score} lost when the column is shuffled")
        axes.grid(False, axis="y")
    return result[0]
