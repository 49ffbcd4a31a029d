"""Predictions as a CSV file: the rows of the input, the predictions, and their probabilities."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from typing import Any

from chainrule.data.columns import Columns, read_columns
from chainrule.data.files import PathLike
from chainrule.data.schema import Schema
from chainrule.train.io.atomic import write_atomic
from chainrule.train.runs.run import Run


def input_table(run: Run, files: Sequence[PathLike], **reading: Any) -> Columns | None:
    """The cells of a single table; None for images, arrays and several files."""
    if len(files) != 1 or run.schema is None:
        return None
    return read_columns(files[0], **run.reading(**reading))


def remarks(schema: Schema | None, table: Columns | None) -> list[str]:
    """Remarks on a table: unused columns and new categories."""
    return [] if schema is None or table is None else schema.remarks(table)


def write_predictions(
    path: PathLike, found: Sequence[dict[str, Any]], table: Columns | None, proba: bool
) -> None:
    """Write a CSV file with the columns of `table`, or file and row, and `prediction`.

    found: records of :meth:`Run.records`, each with file and row. proba: add a column with the
    probability of each class. If the input already has a column of this name, another name is used.
    """
    before = ["file", "row"] if table is None else list(table.names)
    rows: list[list[Any]] = (
        [[record["file"], record["row"]] for record in found]
        if table is None
        else [list(cells) for cells in zip(*table.texts, strict=True)]
    )
    header = [*before, *(_free(name, before) for name in _columns(found[0], proba))]
    lines = [[*row, *_values(record, proba)] for row, record in zip(rows, found, strict=True)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *lines])
    write_atomic(os.fspath(path), [text.getvalue().encode()])


def _columns(record: dict[str, Any], proba: bool) -> list[str]:
    if "value" in record:
        many = len(record["value"]) > 1
        return [f"prediction {i}" if many else "prediction" for i in range(len(record["value"]))]
    shares = [f"probability of {name}" for name in record["probabilities"]]
    return ["prediction", *(shares if proba else [])]


def _values(record: dict[str, Any], proba: bool) -> list[Any]:
    if "value" in record:
        return [f"{value:.9g}" for value in record["value"]]
    shares = [f"{share:.6g}" for share in record["probabilities"].values()]
    return [record["class"], *(shares if proba else [])]


def _free(name: str, taken: Sequence[str]) -> str:
    """A name that no column has.

    >>> _free("prediction", ["x", "prediction"])
    'prediction 2'
    """
    free, number = name, 2
    while free in taken:
        free, number = f"{name} {number}", number + 1
    return free
