"""Parquet and Feather files that are larger than memory, with columns of any kind.

A sample of the rows decides the roles of the columns. The classes, the categories and the
statistics come from all rows: one column after the other is read, group by group.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from chainrule.data.arrow_files import ARROW, RowGroups, cells_of
from chainrule.data.columns import CATEGORY, NUMBER, Columns, cell_text, from_frame, role_of_type
from chainrule.data.dataset import CLASSIFICATION
from chainrule.data.encoding import EncodeTable
from chainrule.data.labels import encode_labels, label_text
from chainrule.data.memory import CELL, fits
from chainrule.data.numbers import as_indices, to_float32
from chainrule.data.roles import Reading, decide
from chainrule.data.schema import LABEL, Column, Schema, frequent, is_absent
from chainrule.data.splits import Subset, train_test_split
from chainrule.data.stored import StoredDataset
from chainrule.data.transforms import Array
from chainrule.errors import FormatError, listing, shortened

_SAMPLE, _GROUPS = 100_000, 16
"""Rows that decide the roles, and the largest number of groups that they come from."""


def is_large(source: Any) -> bool:
    """Whether a table is a Parquet or Feather file that is too large to be read whole."""
    is_arrow = isinstance(source, (str, os.PathLike)) and os.fspath(source).lower().endswith(ARROW)
    return is_arrow and not fits(CELL * cells_of(source))


class LargeTable(StoredDataset):
    """The rows of a file, read group by group with a schema. Inputs are raw features, float64.

    Targets are as in :meth:`Schema.targets`: −1 or NaN for rows without a label.
    """

    buffered = True

    def __init__(self, groups: RowGroups, schema: Schema, targets: Array) -> None:
        names = [column.name for column in schema.features]
        super().__init__(
            targets, classes=schema.classes, task=schema.task, feature_names=names, schema=schema
        )
        self.chunks, self._groups = groups.bounds, groups

    def read(self, places: Array) -> Array:
        """The raw features of these rows, (N, F)."""
        return self._groups.gather(places, self._fields)[0]

    def _fields(self, group: int) -> tuple[Array, ...]:
        table = self._groups.read(group, self.feature_names or ())
        where, schema = self._groups.where(group), self.schema
        values = [_numbers(table.column(c.name), c, schema.missing, where) for c in schema.features]
        return (np.stack(values, axis=1),)


def large_table(path: str, reading: Reading, test_size: float, seed: int) -> tuple[Subset, Subset]:
    """(train, test) of a file as :func:`table` gives them, without reading it whole."""
    groups = RowGroups([path])
    schema, targets = _labelled(groups, decide(_sample(groups), reading), None)
    rows = _known(targets)
    train, test, *_ = train_test_split(rows, targets[rows], test_size=test_size, seed=seed)
    schema = _fitted(groups, schema, train)
    values = (_column(groups, column, train, schema.missing) for column in schema.features)
    encode = EncodeTable.of_columns(values, schema.features)
    whole = LargeTable(groups, schema, targets).with_transform(encode)
    return Subset(whole, train), Subset(whole, test)


def large_table_like(path: str, schema: Schema) -> Subset:
    """All labelled rows of another file, read with a schema, without a transform."""
    groups = RowGroups([path])
    wanted = [schema.label, *(column.name for column in schema.features)]
    if lost := [name for name in wanted if name not in groups.schemas[0].names]:
        raise FormatError(f"{path} lacks the columns {listing(lost)}")
    schema, targets = _labelled(groups, schema, schema.classes)
    return Subset(LargeTable(groups, schema, targets), _known(targets))


def _sample(groups: RowGroups) -> Columns:
    """Rows of some groups, evenly spread over the file."""
    chosen = np.unique(np.linspace(0, len(groups) - 1, _GROUPS).astype(int)).tolist()
    names, most = groups.schemas[0].names, _SAMPLE // len(chosen)
    tables = [groups.read(group, names).slice(0, most) for group in chosen]
    rows = [
        groups.bounds[group] + np.arange(len(t)) for group, t in zip(chosen, tables, strict=True)
    ]
    places, path = np.concatenate(rows), groups.paths[0]
    found = from_frame(import_module("pyarrow").concat_tables(tables), path)
    return Columns(path, found.names, found.texts, found.roles, lambda row: f"row {places[row]}")


# -- columns -----------------------------------------------------------------------------------


def _parts(groups: RowGroups, name: str) -> Iterator[tuple[str, Any]]:
    """One column: where each group is, and its cells."""
    for group in range(len(groups)):
        yield groups.where(group), groups.read(group, [name]).column(name)


def _column(groups: RowGroups, column: Column, rows: Array, missing: Sequence[str]) -> Array:
    """The values of one column in these rows."""
    parts = [
        _numbers(cells, column, missing, where) for where, cells in _parts(groups, column.name)
    ]
    return np.concatenate(parts)[rows]


def _numbers(cells: Any, column: Column, missing: Sequence[str], where: str) -> Array:
    """Cells of a column as float64, as :meth:`Column.values` gives them."""
    is_number = role_of_type(str(cells.type)) == NUMBER and "bool" not in str(cells.type)
    if is_number and column.role in (NUMBER, LABEL):
        return np.asarray(cells.cast("float64", safe=False))
    texts, codes = _coded(cells)
    values, bad = column.values(texts, frozenset(missing))
    if bad:
        raise FormatError(
            f"{where}: column {column.name} is a {column.role} by the rows that were looked at",
            given=listing([repr(shortened(texts[place], 40)) for place in bad]),
            instead=f"Mend the cells, or say columns={{{column.name!r}: 'category'}} "
            f"(--column {column.name}=category).",
        )
    return values[codes]


def _coded(cells: Any) -> tuple[list[str], Array]:
    """The different cells of a column as text, and for each row its place among them."""
    coded = cells.combine_chunks().dictionary_encode()
    coded = coded.combine_chunks() if hasattr(coded, "combine_chunks") else coded
    texts = [cell_text(value) for value in coded.dictionary.to_pylist()]
    return [*texts, ""], np.asarray(coded.indices.fill_null(len(texts)))


def _fitted(groups: RowGroups, schema: Schema, rows: Array) -> Schema:
    """The schema with the categories that occur at least twice in these rows."""
    absent = frozenset(schema.missing)
    columns = list(schema.columns)
    for place, column in enumerate(columns):
        if column.role != CATEGORY:
            continue
        counts: Counter[str] = Counter()
        for group, _, own in groups.split(rows):
            texts, codes = _coded(groups.read(group, [column.name]).column(column.name))
            found = np.bincount(as_indices(codes[own]), minlength=len(texts)).tolist()
            for text, count in zip(texts, found, strict=True):
                counts["" if is_absent(text, absent) else text] += count
        columns[place] = replace(column, levels=frequent(counts))
    return replace(schema, columns=tuple(columns))


def _labelled(
    groups: RowGroups, schema: Schema, classes: Sequence[str] | None
) -> tuple[Schema, Array]:
    """The schema with the classes of all rows, and the targets of all rows. classes: those of
    training, if they are known."""
    label = next(column for column in schema.columns if column.role == LABEL)
    absent = frozenset(schema.missing)
    where = f"{groups.paths[0]}: the labels in {label.name}"
    if schema.task != CLASSIFICATION:
        rows = np.arange(groups.bounds[-1])
        return schema, to_float32(_column(groups, label, rows, schema.missing), where)[:, None]
    numbers: dict[str, int] = {}
    parts = []
    for _, cells in _parts(groups, label.name):
        texts, codes = _coded(cells)
        names = [None if is_absent(text, absent) else label_text(text) for text in texts]
        seen = [-1 if n is None else numbers.setdefault(n, len(numbers)) for n in names]
        parts.append(np.array(seen)[codes])
    order, found = encode_labels(np.array([*numbers]), classes, where)
    return replace(schema, classes=found), np.append(order, -1)[np.concatenate(parts)]


def _known(targets: Array) -> Array:
    """The rows with a label."""
    is_known = targets >= 0 if targets.ndim == 1 else np.isfinite(targets[:, 0])
    return np.flatnonzero(is_known)
