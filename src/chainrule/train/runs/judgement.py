"""The parts of a report that judge a model by its scores, and a table by its columns."""

from __future__ import annotations

import html

import numpy as np

from chainrule.data.dataset import ArrayDataset
from chainrule.data.schema import Schema
from chainrule.primitive import Array
from chainrule.train.runs import score_plots
from chainrule.train.runs.folder import RunFolder
from chainrule.train.runs.importance import permutation_importance

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
        parts.append(("What matters", about, score_plots.importances(found, score)))
        parts.append(("Columns", "What each column was taken for, and why.", _columns(run.schema)))
    return parts


def _of_classes(run: RunFolder, data: ArrayDataset, outputs: Array) -> list[Part]:
    shares, labels = run.predicts.probabilities(outputs), data.arrays[-1].reshape(len(data), -1)
    known, names = labels[:, 0].astype(np.int64), run.names(shares)
    about = "On the line, the model is right as often as it is sure."
    parts = [("Calibration", about, score_plots.reliability(shares, known))]
    if np.unique(known).size > 1:
        about = "Each class against the others, for every threshold of its probability."
        parts.insert(0, ("Thresholds", about, score_plots.thresholds(shares, known, names)))
    return parts


def _of_numbers(run: RunFolder, data: ArrayDataset, outputs: Array) -> list[Part]:
    true = data.arrays[-1].reshape(len(data), -1)
    about = "Without a pattern on the left and centred at 0 on the right, nothing is missed."
    return [("Residuals", about, score_plots.residuals(true, run.values(outputs)))]


def _columns(schema: Schema) -> str:
    rows = [(c.name, c.role, c.reason) for c in schema.columns]
    lines = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
    head = "".join(f"<th>{name}</th>" for name in ("column", "role", "why"))
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
