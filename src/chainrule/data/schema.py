"""The schema of a table: the role of each column, with the reason.

A schema is shown before training and stored with the run. It reads other tables in the same way as
the training table. `print(schema)` shows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from chainrule.data.cells import MISSING
from chainrule.data.columns import CATEGORY, DATE, NUMBER, Columns
from chainrule.data.dataset import CLASSIFICATION
from chainrule.data.labels import encode_labels, label_text
from chainrule.data.numbers import to_float32
from chainrule.data.transforms import Array
from chainrule.data.values import Numbers, find_numbers, read_date
from chainrule.errors import FormatError, listing, shortened

TEXT, IDENTIFIER, CONSTANT, DROPPED, LABEL = (
    "text",
    "identifier",
    "constant",
    "dropped",
    "label",
)
FEATURES = (NUMBER, CATEGORY, DATE)
ROLES = (*FEATURES, TEXT, IDENTIFIER, CONSTANT, DROPPED)
_MOST_LEVELS = 100


@dataclass(frozen=True)
class Column:
    """One column: its role, the reason, the notation of its cells, and its categories.

    notation: {"decimal", "unit"} of numbers, the words {"no", "yes"}, or {"format"} of dates.
    """

    name: str
    role: str
    reason: str
    notation: Mapping[str, str] | None = None
    levels: tuple[str, ...] = ()

    def values(self, texts: Sequence[str], absent: frozenset[str]) -> tuple[Array, list[int]]:
        """The cells as float64, with NaN for missing ones, and the rows that could not be read.

        Categories are numbered from 1. Categories that are new or were rare in training are 0.
        """
        if self.role == CATEGORY:
            codes = {level: code for code, level in enumerate(self.levels, 1)}
            known = (codes.get("" if is_absent(text, absent) else text, 0) for text in texts)
            return np.array([*known], np.float64), []
        found = {text: self._value(text) for text in {*texts} if not is_absent(text, absent)}
        values = np.array([found.get(text, np.nan) for text in texts], np.float64)  # None: NaN
        return values, [row for row, text in enumerate(texts) if found.get(text, 0.0) is None]

    def shown(self, value: float) -> str:
        """A raw value of this column for people: a number, a category's name, or a date.

        >>> Column("x", "category", "text", levels=("blue", "red")).shown(2.0)
        'red'
        """
        if not np.isfinite(value):
            return "missing"
        if self.role == CATEGORY:
            return (self.levels[int(value) - 1] or "missing") if value else "another kind"
        if self.role == DATE:
            return str(np.datetime64(int(value), "s")).replace("T00:00:00", "")
        return f"{value:.6g}"

    def _value(self, text: str) -> float | None:
        notation = self.notation or {}
        if self.role == DATE:
            return read_date(text, notation["format"])
        if "yes" in notation:
            return {notation["no"]: 0.0, notation["yes"]: 1.0}.get(text.lower())
        return Numbers(**notation).read(text)


def is_absent(text: str, absent: frozenset[str]) -> bool:
    """Whether a cell means a missing value."""
    return text.lower() in MISSING or text in absent


@dataclass(frozen=True)
class Schema:
    """The columns of a table, its label and task, and the words for a missing value.

    classes: the names of the classes in the order of their indices; None for regression.
    """

    columns: tuple[Column, ...]
    task: str
    classes: tuple[str, ...] | None
    missing: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name of the label column."""
        return next(column.name for column in self.columns if column.role == LABEL)

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns that are inputs of the model: numbers, categories and dates."""
        return tuple(column for column in self.columns if column.role in FEATURES)

    # -- reading -------------------------------------------------------------------------------

    def inputs(self, table: Columns) -> Array:
        """The features of a table as float64 (rows, features), read as in training.

        Raises FormatError for missing columns, and, with the rows, for cells that do not fit their
        role. Further columns are ignored.
        """
        features, absent = self.features, frozenset(self.missing)
        if lost := [column.name for column in features if column.name not in table.names]:
            raise FormatError(
                f"{table.source} lacks {'a column' if len(lost) == 1 else 'columns'}: "
                f"{listing(lost)}",
                given=f"columns {listing(table.names, like=lost[0])}",
                expected=f"the columns of training: {listing([c.name for c in features])}",
            )
        result, problems = np.empty((len(table), len(features))), []
        for place, column in enumerate(features):
            texts = table.column(column.name)
            values, bad = _rewritten(column, texts, absent).values(texts, absent)
            result[:, place] = values
            if bad:
                problems.append(f"{column.name} ({column.role}): {table.where(bad, column.name)}")
        if problems:
            raise several(table, "cells that are not what they were in training", problems)
        return result

    def remarks(self, table: Columns) -> list[str]:
        """Sentences about unused columns, and about categories that are new to the model."""
        known, absent = {column.name for column in self.columns}, frozenset(self.missing)
        found = []
        if extra := [name for name in table.names if name not in known]:
            found.append(f"not used, for training had no such columns: {listing(extra)}")
        for column in self.features:
            levels = {*column.levels, ""}
            new = [
                row
                for row, text in enumerate(table.column(column.name))
                if column.role == CATEGORY and not is_absent(text, absent) and text not in levels
            ]
            if new:
                what = f"{len(new)} rows of {column.name} are of kinds that training seldom saw"
                found.append(f"{what}: {table.where(new, column.name)}")
        return found

    def labelled_rows(self, table: Columns) -> Array:
        """The indices of the rows with a label; FormatError if the label column is missing."""
        if self.label not in table.names:
            raise FormatError(
                f"{table.source} lacks the label's column {self.label!r}",
                given=f"columns {listing(table.names, like=self.label)}",
            )
        absent = frozenset(self.missing)
        texts = table.column(self.label)
        return np.array([row for row, text in enumerate(texts) if not is_absent(text, absent)])

    def targets(self, table: Columns, rows: Array) -> Array:
        """The labels of some rows: int64 classes (n,), or float32 numbers (n, 1)."""
        texts, where = table.column(self.label), f"{table.source}: the labels in {self.label}"
        chosen = [texts[row] for row in rows]
        if self.task == CLASSIFICATION:
            names = np.array([label_text(text) for text in chosen])
            return encode_labels(names, self.classes, where)[0]
        column = next(column for column in self.columns if column.role == LABEL)
        values, bad = column.values(chosen, frozenset())
        if bad:
            places = table.where([int(rows[place]) for place in bad], self.label)
            raise FormatError(f"{where} are not all numbers: {places}")
        return to_float32(values, where)[:, None]

    def fitted(self, table: Columns, rows: Array) -> Schema:
        """The schema with the categories that occur at least twice in the training rows."""
        absent = frozenset(self.missing)
        columns = [
            replace(column, levels=_levels(table.column(column.name), rows, absent))
            if column.role == CATEGORY
            else column
            for column in self.columns
        ]
        return replace(self, columns=tuple(columns))

    def renamed(self, label: str) -> Schema:
        """The schema with another name of the label column."""
        named = [replace(c, name=label) if c.role == LABEL else c for c in self.columns]
        return replace(self, columns=tuple(named))

    # -- records -------------------------------------------------------------------------------

    def to_config(self) -> dict[str, Any]:
        """The schema as values for JSON."""
        return asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Schema:
        """The schema from a record of :meth:`to_config`; FormatError for anything else."""
        try:
            records = [
                {**record, "levels": tuple(record["levels"])} for record in config["columns"]
            ]
            columns = tuple(Column(**record) for record in records)
            classes = None if config["classes"] is None else tuple(config["classes"])
            roles = Counter(column.role for column in columns)
            if roles.pop(LABEL, 0) != 1 or not roles.keys() <= {*ROLES}:
                raise ValueError("one label, and roles that are known")
            schema = cls(columns, config["task"], classes, tuple(config["missing"]))
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"the record of a table's schema does not fit: {error}") from error
        return schema

    def lines(self) -> list[tuple[str, str]]:
        """The name and the role of each column, in one width, and the reason; with a heading."""
        rows = [("column", "role", "why"), *((c.name, c.role, c.reason) for c in self.columns)]
        wide = min(max(len(name) for name, _, _ in rows), 24)
        names = [shortened(n, wide - 1 if len(n) > wide else wide) for n, _, _ in rows]
        return [
            (f"{name:<{wide}}  {role:<10}", why)
            for name, (_, role, why) in zip(names, rows, strict=True)
        ]

    def __str__(self) -> str:
        return "\n".join(f"{column}  {why}" for column, why in self.lines())


def _rewritten(column: Column, texts: Sequence[str], absent: frozenset[str]) -> Column:
    """The column for numbers in another notation than in training, except percentages."""
    notation = column.notation or {}
    if column.role != NUMBER or "yes" in notation:
        return column
    different = {text for text in texts if not is_absent(text, absent)}
    if all(Numbers(**notation).read(text) is not None for text in different):
        return column
    found = find_numbers(different)
    if found is None or (found.unit == "%") != (notation["unit"] == "%"):
        return column
    return replace(column, notation=found._asdict())


def _levels(texts: Sequence[str], rows: Array, absent: frozenset[str]) -> tuple[str, ...]:
    return frequent("" if is_absent(texts[row], absent) else texts[row] for row in rows)


def frequent(levels: Iterable[str] | Mapping[str, int]) -> tuple[str, ...]:
    """The categories that occur at least twice, and of them the 100 most frequent.

    levels: the category of each row, or the number of rows of each category.
    """
    often = [level for level, count in Counter(levels).most_common(_MOST_LEVELS) if count > 1]
    return tuple(sorted(often))


def several(table: Columns, what: str, problems: Sequence[str]) -> FormatError:
    """One error for all problems of a table."""
    return FormatError("\n  ".join([f"{table.source}: {what}:", *problems]))
