"""Tables from CSV, Parquet and Feather files and DataFrames as named columns of text.

With the extra `tables`, Arrow splits large CSV files into cells and reads Parquet. Without it,
Python's `csv` splits the cells. Both give the same text.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from importlib import import_module
from typing import Any, NamedTuple

from chainrule.data.arrow_files import ARROW, read_whole
from chainrule.data.cells import Cells, open_cells
from chainrule.data.memory import CHARACTER, check_text
from chainrule.errors import FormatError, ShapeError, listing, shortened

NUMBER, CATEGORY, DATE = "number", "category", "date"
TABLES = (".csv", ".tsv", *ARROW)
_MOST_SHOWN = 5


class Columns(NamedTuple):
    """The cells of a table by column, without surrounding spaces.

    roles: the roles that follow from the types of a DataFrame or a Parquet file. place: describes
    the position of a row in error messages.
    """

    source: str
    names: tuple[str, ...]
    texts: tuple[list[str], ...]
    roles: dict[str, str]
    place: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.texts[0])

    def column(self, name: str) -> list[str]:
        """The cells of a column."""
        return self.texts[self.names.index(name)]

    def where(self, rows: Iterable[int], name: str) -> str:
        """`line 12: '12 kg', line 19: '?'`: cells of a column with their positions."""
        texts, rows = self.column(name), list(rows)
        shown = [f"{self.place(r)}: {shortened(texts[r], 40)!r}" for r in rows[:_MOST_SHOWN]]
        more = f" and {len(rows) - len(shown)} more" if len(rows) > len(shown) else ""
        return ", ".join(shown) + more


def read_columns(
    source: Any,
    *,
    delimiter: str | None = None,
    header: bool | None = None,
    wanted: Collection[str] = (),
    names: Sequence[str] = (),
) -> Columns:
    """The columns of a CSV, TSV, Parquet or Feather file, of any library's DataFrame, or of rows.

    names: the names of the columns of an array, or of a list of rows that are no dicts.

    Raises FormatError, naming the rows, for rows of unequal width, a table without rows, and names
    that are missing or duplicate; see :func:`open_cells`.
    """
    if not isinstance(source, (str, os.PathLike)):
        return from_frame(_by_column(source, names), type(source).__name__)
    if os.fspath(source).lower().endswith(ARROW):
        return from_frame(read_whole(source), os.fspath(source))
    check_text(source, CHARACTER)
    cells = open_cells(source, delimiter=delimiter, header=header, wanted=wanted)
    return from_cells(cells)


# -- text --------------------------------------------------------------------------------------


def from_cells(cells: Cells) -> Columns:
    """The columns of an open CSV file."""
    texts = _split_by_arrow(cells) or _split(cells)
    lines: list[int] = []

    def place(row: int) -> str:
        if not lines:  # Line numbers are needed for errors only: read the file again.
            lines.extend(line for line, _ in cells.rows())
        return f"line {lines[row]}"

    return Columns(cells.path, _filled(cells.names), texts, {}, place)


def _filled(names: Sequence[str]) -> tuple[str, ...]:
    """The names. A column without a name, such as a stored row index, gets one."""
    return tuple(name or f"column{place}" for place, name in enumerate(names))


def _split(cells: Cells) -> tuple[list[str], ...]:
    width = len(cells.names)
    rows: list[list[str]] = []
    ragged: list[str] = []
    for line, row in cells.rows(check=False):
        rows.append(row)
        if len(row) != width and len(ragged) <= _MOST_SHOWN:
            ragged.append(f"line {line} has {len(row)}")
    if ragged:
        more = ", and more" if len(ragged) > _MOST_SHOWN else ""
        raise FormatError(
            f"{cells.path}: rows of another width: {', '.join(ragged[:_MOST_SHOWN])}{more}",
            expected=f"{width} cells, as the first row has",
            instead="Take out the lines that are no rows of the table, or pass delimiter=... "
            "(--delimiter) if cells are cut wrongly.",
        )
    if not rows:
        raise cells.error(1, "the file has a header and no rows")
    return tuple([cell.strip() for cell in column] for column in zip(*rows, strict=True))


def _split_by_arrow(cells: Cells) -> tuple[list[str], ...] | None:
    """The same with Arrow, if it is installed and both readers agree on the file; else None.

    They differ for quotes: Arrow appends text after a closing quote to the cell, and reads to the
    end of the file if a quote is never closed.
    """
    body = cells.text[cells.body :]
    if cells.delimiter == " " or '"' in body or not body.strip():
        return None
    try:
        arrow, csv = import_module("pyarrow"), import_module("pyarrow.csv")
    except ImportError:
        return None
    names = [str(place) for place in range(len(cells.names))]
    as_text = csv.ConvertOptions(
        column_types=dict.fromkeys(names, arrow.string()), strings_can_be_null=False
    )
    try:
        table = csv.read_csv(
            arrow.BufferReader(body.encode()),
            csv.ReadOptions(column_names=names, use_threads=False),
            csv.ParseOptions(delimiter=cells.delimiter),
            as_text,
        )
    except arrow.ArrowInvalid:
        return None  # Rows of unequal width: the other reader reports them.
    return tuple([cell.strip() for cell in column.to_pylist()] for column in table.columns)


# -- typed values ------------------------------------------------------------------------------


def _by_column(source: Any, names: Sequence[str]) -> Any:
    """Rows as a dict of columns; a DataFrame, and a dict of columns, unchanged."""
    if isinstance(source, Mapping) or hasattr(source, "columns"):
        return source
    rows = source.tolist() if hasattr(source, "tolist") else source
    if isinstance(rows, Sequence) and rows and isinstance(rows[0], Mapping):
        return {name: [row.get(name) for row in rows] for name in rows[0]}
    if not names or not isinstance(rows, Sequence) or not rows:
        return {}
    if not isinstance(rows[0], Sequence) or {len(row) for row in rows} != {len(names)}:
        given = len(rows[0]) if isinstance(rows[0], Sequence) else "a single number"
        raise ShapeError("rows of another width", given=given, expected=listing(names))
    # One dtype for all columns makes codes of a category floats: 3.0 is the text 3 again.
    cells = ([int(x) if _is_whole(x) else x for x in column] for column in zip(*rows, strict=True))
    return dict(zip(names, cells, strict=True))


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def from_frame(frame: Any, source: str) -> Columns:
    """The columns of a DataFrame of pandas, Polars or Arrow, with the roles that follow from its
    types. Values become the text that a CSV file would contain."""
    names = getattr(frame, "column_names", None) or list(getattr(frame, "columns", frame))
    if not names or len({*map(str, names)}) < len(names) or not hasattr(frame, "__getitem__"):
        raise FormatError(
            f"{source} is no table",
            expected="a path, a DataFrame whose columns have one name each, or a list of dicts",
        )
    series = [frame[name] for name in names]
    values = [
        column.to_pylist() if hasattr(column, "to_pylist") else list(column) for column in series
    ]
    if not values[0]:
        raise FormatError(f"{source} has no rows", expected="one row per sample")
    texts = tuple([cell_text(value) for value in column] for column in values)
    kinds = [str(getattr(column, "dtype", getattr(column, "type", ""))) for column in series]
    roles = {
        str(name): role
        for name, kind in zip(names, kinds, strict=True)
        if (role := role_of_type(kind)) is not None
    }
    return Columns(source, tuple(map(str, names)), texts, roles, lambda row: f"row {row}")


def cell_text(value: Any) -> str:
    try:
        missing = value is None or bool(value != value)  # NaN and NaT are not equal to themselves.
    except TypeError:  # pandas' NA has no truth value.
        missing = True
    if missing:
        return ""
    return value.isoformat() if isinstance(value, date) else str(value).strip()


def role_of_type(kind: str) -> str | None:
    """The role that follows from the name of a type. For text, the cells decide: None."""
    for role, words in (
        (CATEGORY, ("categ", "dictionary", "enum")),
        (DATE, ("date", "timestamp")),
        (NUMBER, ("int", "float", "double", "decimal", "bool", "halffloat")),
    ):
        if any(word in kind.lower() for word in words):
            return role
    return None
