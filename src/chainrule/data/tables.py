"""Tables of decimal numbers in CSV files, one row per sample. Errors name line and column.

`np.loadtxt` reads rows of plain numbers at once. Files with quotes, text or mistakes are read cell
by cell, to find the position of a mistake.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from chainrule.data.cells import (
    DELIMITERS,
    Cells,
    is_nonfinite,
    is_number,
    open_cells,
)
from chainrule.data.files import PathLike
from chainrule.data.transforms import Array
from chainrule.errors import FormatError, listing

_PIECE = 2**22


class Table(NamedTuple):
    """The contents of a CSV file: float64 `values` (rows, columns) with `names`, and the text of
    the label column (rows,). header: the names of all columns. lines: the line of each row."""

    names: tuple[str, ...]
    values: Array
    header: tuple[str, ...]
    lines: Array
    labels: Array | None = None
    label_name: str | None = None


def read_csv(
    path: PathLike,
    label: str | int | None = None,
    *,
    columns: Sequence[str] | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    allow_nonfinite: bool = False,
) -> Table:
    """The numbers in a CSV file.

    Parameters
    ----------
    label: the label column, by name or by index (negative from the end). Its cells are kept as
        text, so `007` and `7` are two labels.
    columns: the names of the features, in the order of the result. Further columns of the file are
        ignored; missing columns are an error.
    delimiter: one character; by default the one of `,` `;` tab `|` that splits all rows into the
        same number of cells.
    header: whether the first row contains names; by default it does if it differs in kind from the
        rows below, as text differs from numbers. An ambiguous first row is an error.
    allow_nonfinite: accept `nan` and `inf`.

    Raises FormatError, with line and column, for rows of unequal width, cells that are not ASCII
    decimal numbers, numbers beyond float64, bad quotes, NUL, bytes that are not UTF-8, and files
    without rows.
    """
    wanted = {*(columns or ()), *([label] if isinstance(label, str) else [])}
    cells = open_cells(path, delimiter=delimiter, header=header, wanted=wanted)
    if not cells.header and columns and len(columns) == len(cells.names):
        cells = cells._replace(names=tuple(columns))
    return read_table(cells, label, columns, allow_nonfinite)


def read_table(
    cells: Cells,
    label: str | int | None = None,
    columns: Sequence[str] | None = None,
    allow_nonfinite: bool = False,
) -> Table:
    """The numbers in an open file; see :func:`read_csv`."""
    if "" in cells.names:
        raise cells.error(
            1,
            f"column {cells.names.index('') + 1} has no name",
            instead="If a row index was written with the table, write it without.",
        )
    label_at = None if label is None else cells.find(label)
    features = _features(cells, label_at, columns)
    found = _all_at_once(cells, features, label_at)
    values, lines, labels = found or _cell_by_cell(cells, features, label_at, allow_nonfinite)
    return Table(
        tuple(cells.names[place] for place in features),
        values,
        cells.names,
        lines,
        None if label_at is None else np.array(labels),
        None if label_at is None else cells.names[label_at],
    )


def _features(cells: Cells, label_at: int | None, columns: Sequence[str] | None) -> list[int]:
    """The indices of the features."""
    if columns is None:
        return [place for place in range(len(cells.names)) if place != label_at]
    places = {name: place for place, name in enumerate(cells.names)}
    missing = [name for name in columns if name not in places]
    if missing:
        raise FormatError(
            f"{cells.path} lacks {'a column' if len(missing) == 1 else 'columns'}: "
            f"{listing(missing)}",
            given=f"columns {listing(cells.names, like=missing[0])}",
            expected=f"the columns of training: {listing(columns)}",
        )
    return [places[name] for name in columns]


# -- rows of plain numbers ---------------------------------------------------------------------

_Content = tuple[Array, Array, list[str]]
"""The values of the features, the line of each row, and the cells of the label."""


def _all_at_once(cells: Cells, features: list[int], label_at: int | None) -> _Content | None:
    """The contents of a file of finite numbers and delimiters; None for other files."""
    text, end = cells.text, cells.body
    allowed = ("0123456789+-.eE \n" + cells.delimiter).encode()
    if not text.isascii():
        return None
    first_line = text.count("\n", 0, end) + 1
    parts: list[Array] = []
    lines: list[int] = []
    labels: list[str] = []
    # In pieces: a list of all lines would take several times the size of the file.
    while end < len(text):
        begin, end = end, text.find("\n", end + _PIECE) + 1 or len(text)
        piece = text[begin:end]
        if piece.encode().translate(None, allowed):
            return None
        rows = [(n, row) for n, row in enumerate(piece.split("\n"), first_line) if row.strip()]
        first_line += piece.count("\n")
        if not rows:
            continue
        values = _numbers_of([row for _, row in rows], cells)
        if values is None:
            return None
        parts.append(values[:, _as_slice(features)])
        lines += [n for n, _ in rows]
        if label_at is not None:
            labels += [_cell(row, cells, label_at) for _, row in rows]
    return (np.concatenate(parts), np.array(lines), labels) if parts else None


def _numbers_of(rows: list[str], cells: Cells) -> Array | None:
    try:
        values = np.loadtxt(rows, np.float64, delimiter=cells.delimiter, comments=None, ndmin=2)
    except ValueError:
        return None
    fits = values.shape == (len(rows), len(cells.names)) and np.isfinite(values).all()
    return values if fits else None


def _cell(row: str, cells: Cells, at: int) -> str:
    """One cell of a row without quotes, split from the nearer end."""
    after = len(cells.names) - 1 - at
    if at <= after:
        return row.split(cells.delimiter, at + 1)[at].strip()
    return row.rsplit(cells.delimiter, after + 1)[-1 - after].strip()


def _as_slice(places: list[int]) -> list[int] | slice:
    """Adjacent columns as a slice, which avoids a copy of the whole table."""
    if places and places == list(range(places[0], places[0] + len(places))):
        return slice(places[0], places[0] + len(places))
    return places


# -- any rows ----------------------------------------------------------------------------------


def _cell_by_cell(
    cells: Cells, features: list[int], label_at: int | None, nonfinite: bool
) -> _Content:
    values, lines = array("d"), array("q")
    labels: list[str] = []
    for line, row in cells.rows():
        values.extend([number(cells, line, at, row[at], nonfinite) for at in features])
        lines.append(line)
        if label_at is not None:
            labels.append(row[label_at].strip())
    if not lines:
        line = cells.text.count("\n", 0, cells.body)
        raise cells.error(max(line, 1), "the file has a header and no rows")
    table = np.array(values, np.float64).reshape(len(lines), len(features))
    return table, np.array(lines, np.int64), labels


def number(cells: Cells, line: int, at: int, cell: str, nonfinite: bool = False) -> float:
    """The number in a cell; FormatError with line and column if it is not a number."""
    text = cell.strip(" ")
    if is_number(text, nonfinite):
        value = float(text)
        if math.isfinite(value) or is_nonfinite(text):
            return value
        problem, expected = "a number beyond float64", "at most 1.8e308 in size"
    else:
        problem = "an empty cell" if not text else "not a number"
        expected = "a decimal number such as -1.5e3"
    raise cells.error(
        line,
        f"column {at + 1} ({cells.names[at][:60]}): {problem}",
        given=repr(cell[:40]),
        expected=expected,
        instead=_hint(cells, text),
    )


def _hint(cells: Cells, text: str) -> str | None:
    if is_nonfinite(text):
        return "Pass allow_nonfinite=True to read it."
    if re.fullmatch(r"[+-]?\d+,\d+", text, re.ASCII):
        return "Write decimals with a point, not with a comma."
    signs = [sign for sign in DELIMITERS if sign in text and len(cells.names) == 1]
    if signs:
        name = DELIMITERS[signs[0]]
        return f"The file seems to use the {name}: pass delimiter={signs[0]!r}."
    return None


def label_numbers(cells: Cells, table: Table) -> Array:
    """The label column as float64 numbers; FormatError with the line of a cell that is not one."""
    at = cells.find(table.label_name or "")
    pairs = zip(table.lines.tolist(), table.labels, strict=True)  # type: ignore[arg-type]
    return np.array([number(cells, line, at, str(cell)) for line, cell in pairs])
