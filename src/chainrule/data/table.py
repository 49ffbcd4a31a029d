"""`cr.data.table`: reads a table and returns training and test parts for a model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.data.columns import Columns, read_columns
from chainrule.data.dataset import ArrayDataset
from chainrule.data.encoding import EncodeTable
from chainrule.data.large_table import is_large, large_table, large_table_like
from chainrule.data.roles import Reading, decide
from chainrule.data.schema import Schema
from chainrule.data.splits import Subset, train_test_split
from chainrule.data.transforms import Transform
from chainrule.errors import ArgumentError


class Parts(NamedTuple):
    """The training and the test part of a table."""

    train: ArrayDataset | Subset
    test: ArrayDataset | Subset

    @property
    def schema(self) -> Schema:
        """The role of each column, with the reason."""
        schema: Schema = self.train.schema
        return schema


def table(
    source: Any,
    label: str | int | None = None,
    *,
    task: str | None = None,
    columns: Mapping[str, str] | None = None,
    drop: Sequence[str] = (),
    delimiter: str | None = None,
    decimal: str | None = None,
    header: bool | None = None,
    missing: Sequence[str] = (),
    test_size: float = 0.2,
    seed: int = 0,
) -> Parts:
    """(train, test) of a table: a `.csv`, `.tsv` or Parquet file, or a DataFrame.

    Each column gets a role with a reason: number, category, date, text, identifier, constant or
    label. `print(train.schema)` shows them. Numbers may have thousands separators, a currency or
    percent sign, or a decimal comma, if all cells of the column agree. True and false, yes and no
    become 1 and 0.

    Inputs are float32 (n, inputs). Numbers are standardized; missing numbers become the training
    median, with an indicator column. Dates become the year and cyclic features. Categories become
    one-hot codes. All statistics and categories come from the training part. Identifiers, free
    text, constants, and rows without a label are left out.

    A Parquet or Feather file that would take more than half of the memory stays in its file. Then
    100,000 of its rows decide the roles, and both parts are subsets that read it group by group.

    Parameters
    ----------
    label: the column to predict, by name or index; by default the column called label, target,
        class, species or y.
    task: by default classification for text and few whole numbers, regression for other numbers.
    columns: roles of some columns, such as {"zip": "category", "day": "date:%d/%m/%Y"}. drop:
        columns to leave out.
    delimiter, header: see :func:`read_csv`. decimal: "." or ",". missing: words for a missing
        value, in addition to an empty cell, NA, N/A, NaN, null and ?.
    test_size, seed: the split, stratified for classes.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "plants.csv")
    >>> with open(path, "w") as file:
    ...     for place in range(40):
    ...         print(place % 7, ["red", "blue"][place % 2], ["oak", "fern"][place % 2], sep=",",
    ...               file=file)
    >>> train, test = table(path, "column2", header=False)
    >>> print(train.schema)
    column   role        why
    column0  number      0 to 6
    column1  category    text, 2 kinds
    column2  label       2 classes: fern, oak
    >>> len(train), len(test), train.input_shape
    (32, 8, (4,))

    Raises FormatError with all problems of the file and their rows, and ArgumentError for options.
    """
    reading = Reading(label, task, columns or {}, drop, decimal, missing)
    if is_large(source):
        return Parts(*large_table(os.fspath(source), reading, test_size, seed))
    named = [label] if isinstance(label, str) else []
    found = read_columns(source, delimiter=delimiter, header=header, wanted=named)
    schema = decide(found, reading)
    rows = schema.labelled_rows(found)
    targets = schema.targets(found, rows)
    if len(rows) < 2:
        raise ArgumentError(
            f"{found.source}: too few rows to split", given=len(rows), expected="two or more"
        )
    places = ArrayDataset(np.arange(len(rows))[:, None], targets, task=schema.task)
    training = train_test_split(places, test_size=test_size, seed=seed)[0].arrays[0][:, 0]
    schema = schema.fitted(found, rows[training])
    whole = _dataset(found, schema, rows, None)
    train, test = train_test_split(whole, test_size=test_size, seed=seed)
    encode = EncodeTable.fit(train.arrays[0], schema.features)
    return Parts(train.with_transform(encode), test.with_transform(encode))


def _dataset(
    found: Columns, schema: Schema, rows: Any, transform: Transform | None
) -> ArrayDataset:
    return ArrayDataset(
        schema.inputs(found)[rows],
        schema.targets(found, rows),
        classes=schema.classes,
        feature_names=[column.name for column in schema.features],
        task=schema.task,
        transform=transform,
        schema=schema,
    )


def table_like(
    source: Any,
    schema: Schema,
    *,
    label: str | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
) -> ArrayDataset | Subset:
    """All labelled rows of another table, read with a schema, without a transform.

    label: the name of the label column, if it differs from training.
    """
    if label is not None:
        schema = schema.renamed(label)
    if is_large(source):
        return large_table_like(os.fspath(source), schema)
    wanted = [column.name for column in schema.features]
    found = read_columns(source, delimiter=delimiter, header=header, wanted=wanted)
    return _dataset(found, schema, schema.labelled_rows(found), None)
