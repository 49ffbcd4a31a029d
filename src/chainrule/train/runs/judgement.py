"""The parts of a report that judge a model by its scores, and a table by its columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.data.dataset import ArrayDataset
from chainrule.primitive import Array
from chainrule.train.metrics import F1, Precision, Recall
from chainrule.train.runs import score_plots
from chainrule.train.runs.folder import RunFolder
from chainrule.train.runs.importance import permutation_importance
from chainrule.train.runs.markup import panels, table

_MOST_COLUMNS = 20
_EACH = (
    "Precision is the share of the samples read as a class that are of it; recall is the share of "
    "its samples that were found; F1 is their harmonic mean."
)

Part = tuple[str, str, str]
"""The title of a section, a sentence about it, and its content."""


def judged(run: RunFolder, data: ArrayDataset, outputs: Array) -> list[Part]:
    """Curves that suit the task; of a table also which columns matter, and what they are."""
    parts = (
        _of_classes(run, data, outputs) if run.predicts.classes else _of_numbers(run, data, outputs)
    )
    if run.schema is not None:
        score = "accuracy" if run.predicts.classes else "R²"
        found = permutation_importance(run.model, run.predicts, run.prepared(data))
        about = f"How much {score} the test part loses when one column is shuffled, ten times each."
        rows = [(i.name, f"{i.mean:.4f} ± {i.std:.4f}") for i in found[:_MOST_COLUMNS]]
        lost = table(("column", f"{score} lost"), rows, numbers=(f"{score} lost",))
        content = panels([score_plots.importances(found[:_MOST_COLUMNS], score), lost])
        parts.append(("What matters", about, content))
        about = "What each column was taken for, and why."
        roles = [(c.name, c.role, c.reason) for c in run.schema.columns]
        parts.append(("Columns", about, table(("column", "role", "why"), roles)))
    return parts


def _of_classes(run: RunFolder, data: ArrayDataset, outputs: Array) -> list[Part]:
    shares, labels = run.predicts.probabilities(outputs), data.arrays[-1].reshape(len(data), -1)
    known, names = labels[:, 0].astype(np.int64), run.names(shares)
    parts = [("Each class", _EACH, _each_class(shares, known, names))]
    if np.unique(known).size > 1:
        about = "Each class against the others, for every threshold of its probability."
        drawn = panels(score_plots.thresholds(shares, known, names))
        parts.append(("Thresholds", about, drawn))
    about = "On the line, the model is right as often as it is sure."
    return [*parts, ("Calibration", about, panels(score_plots.reliability(shares, known)))]


def _each_class(shares: Array, labels: Array, names: Sequence[str]) -> str:
    """Precision, recall and F1 of each class."""
    rows = []
    for place, name in enumerate(names):
        of_class = [metric("binary") for metric in (Precision, Recall, F1)]
        for metric in of_class:
            metric.update((shares.argmax(axis=1) == place) - 0.5, (labels == place).astype(int))
        scores = [f"{metric.compute():.3f}" for metric in of_class]
        rows.append((name, f"{(labels == place).sum():,}", *scores))
    head = ("class", "samples", "precision", "recall", "F1")
    return table(head, rows, numbers=head[1:])


def _of_numbers(run: RunFolder, data: ArrayDataset, outputs: Array) -> list[Part]:
    true = data.arrays[-1].reshape(len(data), -1)
    about = "Without a pattern on the left and centred at 0 on the right, nothing is missed."
    return [("Residuals", about, panels(score_plots.residuals(true, run.values(outputs))))]
