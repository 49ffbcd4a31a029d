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

_MOST_CLASSES, _MOST_COLUMNS = 8, 20


def thresholds(shares: Array, labels: Array, names: Sequence[str]) -> str:
    """ROC and precision over recall, a line for each class against the others.

    Of two classes one line says all; of many the most frequent are drawn.
    """
    counts = np.bincount(labels, minlength=len(names))
    often = [int(c) for c in np.argsort(-counts, kind="stable") if 0 < counts[c] < len(labels)]
    drawn = [1] if len(names) == 2 and often else sorted(often[:_MOST_CLASSES])
    panels = (
        (roc, "ROC", "false positive rate", "true positive rate"),
        (precision_over_recall, "Precision over recall", "recall", "precision"),
    )
    with drawing(9.8, 4.2) as (figure, result):
        for axes, (curve, title, x, y) in zip(figure.subplots(1, 2), panels, strict=True):
            for place, c in enumerate(drawn):
                found = curve(shares[:, c], labels == c)
                label = f"{shortened(names[c], 20)} ({found.area:.3f})"
                axes.plot(found.x, found.y, color=COLORS[place], label=label)
            if curve is roc:
                axes.plot([0, 1], [0, 1], color=GRID, zorder=1)
            axes.set(title=title, xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
            axes.legend(title="area under the line", fontsize=8, title_fontsize=8)
    return result[0]


def reliability(shares: Array, labels: Array) -> str:
    """How often the model is right where it is so sure; and how sure it is, right and wrong."""
    found = calibration(shares, labels)
    sure, right = shares.max(axis=1), shares.argmax(axis=1) == labels
    with drawing(9.8, 3.8) as (figure, result):
        line, spread = figure.subplots(1, 2)
        line.plot([0, 1], [0, 1], color=GRID, zorder=1)
        line.plot(found.confidence, found.right, color=TRAIN, zorder=2)
        size = 12 + 260 * found.samples / found.samples.max()
        line.scatter(found.confidence, found.right, s=size, color=VALID, alpha=0.8, zorder=3)
        line.set(xlabel="how sure", ylabel="how often right", xlim=(0, 1.02), ylim=(-0.02, 1.04))
        line.set_title(f"expected calibration error {found.error:.3f}")
        bins = np.linspace(0, 1, 21).tolist()
        kinds, colors = [sure[right], sure[~right]], [TRAIN, VALID]
        spread.hist(kinds, bins, stacked=True, color=colors, label=["right", "wrong"])
        spread.set(xlabel="how sure", ylabel="samples", xlim=(0, 1.02))
        spread.legend(loc="upper left")
    return result[0]


def residuals(true: Array, predicted: Array) -> str:
    """What is left, true − predicted: over the prediction, and how it is spread."""
    left = (true - predicted).ravel()
    with drawing(9.8, 3.6) as (figure, result):
        over, spread = figure.subplots(1, 2)
        over.axhline(0, color=GRID, zorder=1)
        over.scatter(predicted.ravel()[:5000], left[:5000], s=12, color=VALID, alpha=0.6)
        over.set(xlabel="predicted", ylabel="true − predicted")
        spread.hist(left, bins=min(40, max(5, int(np.sqrt(left.size)))), color=TRAIN)
        spread.set(xlabel="true − predicted", ylabel="samples")
    return result[0]


def importances(found: Sequence[Importance], score: str) -> str:
    """The largest importances, each with its standard deviation."""
    shown = found[:_MOST_COLUMNS][::-1]
    with drawing(9.8, 0.9 + 0.28 * len(shown)) as (figure, result):
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
        axes.set_yticks(places, [shortened(i.name, 28) for i in shown])
        axes.set_xlabel(f"{score} lost when the column is shuffled")
        axes.grid(False, axis="y")
    return result[0]
