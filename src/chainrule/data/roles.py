"""Decides the role of each column of a table from all of its cells, and gives the reason.

One error for the whole table lists everything that only the user can decide, with the rows and the
options.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from chainrule.data.cells import is_number
from chainrule.data.columns import CATEGORY, DATE, NUMBER, Columns
from chainrule.data.dataset import CLASSIFICATION, REGRESSION
from chainrule.data.labels import LABEL_NAMES, are_classes, encode_labels, is_code, label_text
from chainrule.data.schema import (
    CONSTANT,
    DROPPED,
    FEATURES,
    IDENTIFIER,
    LABEL,
    ROLES,
    TEXT,
    Column,
    Schema,
    is_absent,
    several,
)
from chainrule.data.values import (
    Numbers,
    date_formats,
    find_numbers,
    find_pair,
    looks_numeric,
    read_date,
)
from chainrule.errors import ArgumentError, listing, shortened

_FEW = 20
_ID_NAME = re.compile(
    r"(?i:(^|[^a-z])(id|index|identifier|uuid|guid|row[. _]?names?)$)|[a-z]I[dD]$"
)


class Reading(NamedTuple):
    """The options that the user gives for a table. Everything else follows from its cells.

    roles: roles by column, such as {"zip": "category", "day": "date:%d/%m/%Y"}. drop: columns to
    leave out. decimal: "." or ",". missing: further words for a missing value.
    """

    label: str | int | None = None
    task: str | None = None
    roles: Mapping[str, str] = {}
    drop: Sequence[str] = ()
    decimal: str | None = None
    missing: Sequence[str] = ()


class _Problem(Exception):
    """Something about one column that only the user can decide."""


class _Cells(NamedTuple):
    """The distinct cells of a column with their counts, and the number of missing cells."""

    name: str
    counts: Counter[str]
    missing: int

    @property
    def present(self) -> int:
        return self.counts.total()


def decide(table: Columns, reading: Reading) -> Schema:
    """The schema of a table. Raises FormatError with all problems, ArgumentError for options."""
    label = _label(table, reading)
    _check_options(table, reading, label)
    absent = frozenset(reading.missing)
    task, classes = REGRESSION, None
    columns: list[Column] = []
    problems: list[str] = []
    for name, texts in zip(table.names, table.texts, strict=True):
        counts = Counter(texts)
        gone = sum(counts.pop(text) for text in [*counts] if is_absent(text, absent))
        cells = _Cells(name, counts, gone)
        try:
            if name == label:
                column, task, classes = _decide_label(table, cells, reading)
            elif name in reading.drop:
                column = Column(name, DROPPED, "as asked")
            else:
                asked = reading.roles.get(name) or table.roles.get(name)
                column = (
                    _asked(table, cells, asked, reading) if asked else _found(table, cells, reading)
                )
            columns.append(column)
        except _Problem as problem:
            problems.append(str(problem))
    if problems:
        raise several(table, "problems in its columns", problems)
    schema = Schema(tuple(_kept(columns)), task, classes, tuple(reading.missing))
    if not schema.features:
        raise several(table, "no column is left to learn from", str(schema).splitlines())
    return schema


def _kept(columns: Sequence[Column]) -> list[Column]:
    """The columns. If no other feature exists, numeric identifiers become features."""
    if any(column.role in FEATURES for column in columns):
        return [*columns]
    why = "counts or names the rows, but no other column is left"
    return [
        replace(column, role=NUMBER, reason=why)
        if column.role == IDENTIFIER and column.notation
        else column
        for column in columns
    ]


def _label(table: Columns, reading: Reading) -> str:
    label, names = reading.label, table.names
    if isinstance(label, int) and -len(names) <= label < len(names):
        return names[label]
    if isinstance(label, str) and label in names:
        return label
    if label is None:
        found = [name for name in table.names if name.lower() in LABEL_NAMES]
        if len(found) == 1:
            return found[0]
        raise ArgumentError(
            f"{table.source}: which column is the label?",
            given=f"columns {listing(_likely_labels(table))}",
            instead="Name it: label='...' (--label on the command line).",
        )
    from difflib import get_close_matches

    near = get_close_matches(str(label), names, 1)
    raise ArgumentError(
        f"{table.source} has no label column {label!r}",
        expected=f"one of {listing(names, like=str(label))}",
        instead=f"Did you mean {near[0]!r}?" if near else None,
    )


def _likely_labels(table: Columns) -> list[str]:
    """The names of the columns, those that are most often a label first: by their name, then the
    last column, then columns of few values."""
    kinds = {name: len({*texts}) for name, texts in zip(table.names, table.texts, strict=True)}
    last = table.names[-1]

    def rank(name: str) -> tuple[bool, bool, bool]:
        called = any(word in name.lower() for word in LABEL_NAMES if len(word) > 1)
        return (not called, name != last, not 1 < kinds[name] <= _FEW)

    return sorted(table.names, key=rank)


def _check_options(table: Columns, reading: Reading, label: str) -> None:
    named = [*reading.roles, *reading.drop]
    if strange := [name for name in named if name not in table.names or name == label]:
        features = [name for name in table.names if name != label]
        raise ArgumentError(
            f"{table.source} has no feature {listing(strange)}",
            expected=f"columns of {listing(features, like=strange[0])}",
        )
    for name, role in reading.roles.items():
        if role.partition(":")[0] not in ROLES:
            raise ArgumentError(
                f"column {name} has an unknown role", given=role, expected=listing(ROLES)
            )
    for what, given, known in (
        ("task", reading.task, (CLASSIFICATION, REGRESSION)),
        ("decimal sign", reading.decimal, (".", ",")),
    ):
        if given is not None and given not in known:
            raise ArgumentError(f"unknown {what}", given=given, expected=listing(known))


# -- features ----------------------------------------------------------------------------------


def _found(table: Columns, cells: _Cells, reading: Reading) -> Column:
    """The role of a column for which the user gave none."""
    name, counts = cells.name, cells.counts
    if not counts:
        return Column(name, CONSTANT, "no value at all; left out")
    if len(counts) == 1 and not cells.missing:
        return Column(name, CONSTANT, f"always {shortened(next(iter(counts)), 30)!r}; left out")
    if pair := find_pair(counts):
        notation = dict(zip(("no", "yes"), pair, strict=True))
        return Column(name, NUMBER, f"{pair[0]} and {pair[1]}, as 0 and 1", notation)
    if (numbers := find_numbers(counts, reading.decimal)) is not None:
        return _number(cells, numbers)
    if form := next(date_formats(counts), None):
        return _date(cells, form)
    numeric = sum(count for text, count in counts.items() if looks_numeric(text))
    if 2 * numeric > cells.present and len(counts) > _FEW:
        raise _no_numbers(table, cells)
    if 2 * len(counts) <= cells.present:
        what = "numbers and text" if numeric else "text"
        return Column(name, CATEGORY, f"{what}, {len(counts)} kinds{_gaps(cells)}")
    words = sum(len(text.split()) * count for text, count in counts.items()) / cells.present
    if words >= 3:
        return Column(name, TEXT, f"{words:.0f} words a row; left out")
    return Column(name, IDENTIFIER, f"text, {len(counts)} kinds in {cells.present} rows; left out")


def _number(cells: _Cells, numbers: Numbers) -> Column:
    """The column of numbers, or an identifier if the numbers only name or count the rows."""
    name, counts = cells.name, cells.counts
    whole = not numbers.unit and all(text.isdigit() for text in counts)
    if whole and any(map(is_code, counts)):
        if 2 * len(counts) <= cells.present:
            return Column(name, CATEGORY, f"codes, not numbers, {len(counts)} kinds{_gaps(cells)}")
        return Column(name, IDENTIFIER, "codes, not numbers; left out")
    if whole and len(counts) == cells.present > 2 and not cells.missing:
        first = min(map(int, counts))
        if first in (0, 1) and max(map(int, counts)) == first + len(counts) - 1:
            return Column(name, IDENTIFIER, "counts the rows; left out", numbers._asdict())
    if whole and _ID_NAME.search(name) and len(counts) > _FEW:
        reason = "an identifier by its name; left out"
        return Column(name, IDENTIFIER, reason, numbers._asdict())
    commas = any("," in text for text in counts)
    parts = [
        f"with {numbers.unit}" if numbers.unit else "",
        "with decimal commas" if commas and numbers.decimal == "," else "",
        "in groups of thousands" if commas and numbers.decimal == "." else "",
    ]
    values = [numbers.read(text) or 0.0 for text in counts]
    written = ", ".join([f"{min(values):g} to {max(values):g}", *filter(None, parts)])
    return Column(name, NUMBER, f"{written}{_gaps(cells)}", numbers._asdict())


def _date(cells: _Cells, form: str) -> Column:
    others = [other for other in date_formats(cells.counts) if other != form]
    also = f"; {others[0]} fits too: --column {cells.name}=date:{others[0]}" if others else ""
    written = "dates" if form == "iso" else f"dates as {form}"
    return Column(cells.name, DATE, f"{written}{_gaps(cells)}{also}", {"format": form})


def _asked(table: Columns, cells: _Cells, role: str, reading: Reading) -> Column:
    """A column whose role is given by the user or by the type of a DataFrame's column."""
    name, (role, _, form) = cells.name, role.partition(":")
    if not cells.counts or role not in FEATURES:
        return Column(name, role if cells.counts else CONSTANT, "as asked; left out")
    if role == CATEGORY:
        return Column(name, CATEGORY, f"as asked, {len(cells.counts)} kinds{_gaps(cells)}")
    if role == DATE:
        forms = [form] if form else [*date_formats(cells.counts)]
        odd = [t for t in cells.counts if not any(read_date(t, f) is not None for f in forms)]
        if odd:
            raise _Problem(f"{name}: no dates: {_places(table, name, odd)}")
        return Column(name, DATE, f"as asked{_gaps(cells)}", {"format": forms[0]})
    if pair := find_pair(cells.counts):
        return Column(name, NUMBER, "as asked", dict(zip(("no", "yes"), pair, strict=True)))
    numbers = find_numbers(cells.counts, reading.decimal)
    if numbers is None:
        raise _no_numbers(table, cells)
    return Column(name, NUMBER, f"as asked{_gaps(cells)}", numbers._asdict())


def _no_numbers(table: Columns, cells: _Cells) -> _Problem:
    """The problem of a numeric column in which some cells are not numbers."""
    name = cells.name
    odd = [t for t in cells.counts if not looks_numeric(t)]
    odd = odd or [t for t in cells.counts if not is_number(t)]
    count = sum(cells.counts[text] for text in odd)
    means = f"missing=[{odd[0]!r}] (--missing {odd[0]!r}) if that means missing, "
    return _Problem(
        f"{name}: {count} of {cells.present} cells are no numbers: {_places(table, name, odd)}. "
        f"Mend them, or say {means if len(odd) == 1 else ''}"
        f"columns={{{name!r}: 'category'}} (--column {name}=category)."
    )


def _places(table: Columns, name: str, texts: Collection[str]) -> str:
    texts = {*texts}
    return table.where([r for r, text in enumerate(table.column(name)) if text in texts], name)


def _gaps(cells: _Cells) -> str:
    return f", {cells.missing} missing" if cells.missing else ""


# -- the label ---------------------------------------------------------------------------------

_Label = tuple[Column, str, tuple[str, ...] | None]
"""The column of the label, the task, and the classes."""


def _decide_label(table: Columns, cells: _Cells, reading: Reading) -> _Label:
    name, counts = cells.name, cells.counts
    if not counts:
        raise _Problem(f"{name}, the label: no row has a value. Name another label (--label).")
    numbers = find_numbers(counts, reading.decimal)
    names = [label_text(text) for text in counts.elements()]
    if reading.task == REGRESSION and numbers is None:
        raise _no_numbers(table, cells)
    if (reading.task or _task(table, cells, numbers, names)) == REGRESSION and numbers is not None:
        reason = f"{len(counts)} different numbers: regression{_unlabelled(cells)}"
        return Column(name, LABEL, reason, numbers._asdict()), REGRESSION, None
    classes = encode_labels(np.array(names))[1]
    if len(classes) == 1:
        raise _Problem(f"{name}, the label: every row is {classes[0]!r}, so nothing can be learned")
    if numbers is None and next(date_formats(counts), None):
        raise _Problem(
            f"{name}, the label: dates, which no loss fits. Name another label (--label)"
        )
    if 2 * len(classes) > len(names) >= 10:
        raise _Problem(
            f"{name}, the label: {len(classes)} classes in {len(names)} rows. Is it an identifier, "
            "or free text? Name another label (--label)."
        )
    kinds = "classes, not numbers" if numbers is not None and not reading.task else "classes"
    reason = f"{len(classes)} {kinds}: {listing(classes, 4)}{_unlabelled(cells)}"
    return Column(name, LABEL, reason), CLASSIFICATION, classes


def _task(table: Columns, cells: _Cells, numbers: Numbers | None, names: Sequence[str]) -> str:
    """The task: classification for text, codes and few whole numbers, else regression."""
    if numbers is not None:
        return CLASSIFICATION if not numbers.unit and are_classes(names) else REGRESSION
    odd = [text for text in cells.counts if not is_number(text)]
    if len(odd) == len(cells.counts):
        return CLASSIFICATION
    raise _Problem(
        f"{cells.name}, the label: numbers, and text: {_places(table, cells.name, odd)}. Mend the "
        "cells, or pass task='classification' (--task) if all are classes."
    )


def _unlabelled(cells: _Cells) -> str:
    return f"; {cells.missing} rows without it are left out" if cells.missing else ""
