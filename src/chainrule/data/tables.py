"""CSV files: a header, one row per sample, ASCII decimal numbers; errors name line and column.

Well-formed numeric files take a fast path through `np.loadtxt`. Whatever does not fit that path
(quotes, text, any mistake) is read cell by cell, which also finds the place of the mistake.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.data.files import PathLike, looks_like_html, open_regular
from chainrule.data.transforms import Array
from chainrule.errors import ArgumentError, FormatError, listing

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NONFINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)
_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_PIECE = 2**22
_Row = tuple[int, list[str]]


class Table(NamedTuple):
    """A CSV file's content: `values` (rows, columns) of float64 under `names`, and the label
    column (rows,) as numbers, or as text where it is not numeric. header: all columns' names."""

    names: tuple[str, ...]
    values: Array
    header: tuple[str, ...]
    labels: Array | None = None
    label_name: str | None = None


class _Source(NamedTuple):
    """The text of a file and how to read it."""

    path: str
    text: str
    delimiter: str
    nonfinite: bool

    def error(self, line: int, problem: str, **details: Any) -> FormatError:
        return FormatError(f"{self.path}, line {line}: {problem}", **details)


def read_csv(
    path: PathLike,
    label: str | int | None = None,
    *,
    columns: Sequence[str] | None = None,
    delimiter: str = ",",
    header: bool | None = None,
    allow_nonfinite: bool = False,
) -> Table:
    """The numbers in a CSV file.

    Parameters
    ----------
    label: the column that is not a feature, by name or by index (negative from the end).
    columns: the names of the features wanted, in this order: a file whose columns are in another
        order is put right, further columns are ignored, missing ones are an error by name.
    delimiter: one character. header: whether the first row holds names; by default it does if
        one of its cells is no number.
    allow_nonfinite: accept `nan` and `inf`.

    Raises FormatError, with line and column, for ragged rows, cells that are not ASCII decimal
    numbers, unterminated or multi-line quotes, NUL, bytes that are not UTF-8, no rows at all.
    """
    if len(delimiter) != 1 or delimiter in '"\r\n' or delimiter.isalnum():
        raise ArgumentError("bad delimiter", given=repr(delimiter), expected="one sign such as ','")
    source = _Source(os.fspath(path), _read_text(path), delimiter, allow_nonfinite)
    names, body = _read_names(source, header, columns)
    rows = _fast_rows(source, body)
    if rows is None or (names is not None and len(names) != rows.shape[1]):
        return _read_slowly(source, body, names, label, columns)
    names = names or _numbered(rows.shape[1])
    label_at, features = _choose(source.path, names, label, columns)
    return Table(
        tuple(names[place] for place in features),
        rows[:, _as_slice(features)],
        names,
        None if label_at is None else rows[:, label_at],
        None if label_at is None else names[label_at],
    )


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"column{place}" for place in range(count))


def _as_slice(places: list[int]) -> list[int] | slice:
    """Neighbouring columns as a slice, which is read without a copy of the whole table."""
    if places == list(range(places[0], places[0] + len(places))) if places else False:
        return slice(places[0], places[0] + len(places))
    return places


def _read_text(path: PathLike) -> str:
    with open_regular(path) as (file, _):
        data = file.read()
    name = os.fspath(path)
    if not data.strip():
        raise FormatError(f"{name} is empty", expected="a header and rows of numbers")
    if hint := looks_like_html(data[:64]):
        raise FormatError(f"{name}, line 1: not a table", given=data[:40], instead=hint)
    for bad, what in ((b"\0", "a NUL byte"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16")):
        if (place := data.find(bad, 0, None if bad == b"\0" else 2)) >= 0:
            line = data.count(b"\n", 0, place) + 1
            raise FormatError(
                f"{name}, line {line}: {what} at offset {place}", expected="text in UTF-8"
            )
    try:
        text = data.decode("utf-8-sig")
        return text if "\n" in text else text.replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FormatError(
            f"{name}, line {line}: not UTF-8 at offset {error.start}",
            given=f"byte {data[error.start]:#04x}",
            expected="text in UTF-8",
            instead="Save the file as UTF-8.",
        ) from None


def _rows_of(source: _Source, begin: int, end: int | None = None) -> Iterator[_Row]:
    """(line, cells) of each row that is not blank, in the text from `begin` to `end`."""
    start = source.text.count("\n", 0, begin)
    lines = io.StringIO(source.text[begin:end], newline="")
    reader = csv.reader(lines, delimiter=source.delimiter, strict=True)
    while True:
        opened = start + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _quote_error(source, opened, str(error)) from None
        if start + reader.line_num > opened:
            raise source.error(opened, "a quoted cell runs over several lines")
        if cells:
            yield opened, cells


def _quote_error(source: _Source, opened: int, message: str) -> FormatError:
    if "unexpected end" in message:
        return source.error(opened, "the quote opened here is never closed")
    if "field limit" in message:
        return source.error(
            opened,
            f"a cell of more than {csv.field_size_limit():,} characters",
            instead="Is a quote not closed?",
        )
    return source.error(opened, f"bad quoting: {message}")


def _read_names(
    source: _Source, header: bool | None, columns: Sequence[str] | None
) -> tuple[tuple[str, ...] | None, int]:
    """The names (the header's, else `columns`), and where in the text the rows begin."""
    text = source.text
    begin = len(text) - len(text.lstrip("\r\n"))
    end = text.find("\n", begin) + 1 or len(text)
    # An odd number of quotes: the row goes on, and the whole text is needed to say where.
    stop = None if text.count('"', begin, end) % 2 else end
    line, cells = next(_rows_of(source, begin, stop))
    if header is None:
        header = not all(_is_number(cell.strip(), True) for cell in cells)
    if not header:
        return (tuple(columns) if columns else None), begin
    names = tuple(cell.strip() for cell in cells)
    hint = _separator_hint(source, cells)
    if hint and _separator_hint(source, [text[end : text.find("\n", end) + 1]]) == hint:
        raise source.error(line, "the whole row is one cell", given=cells[0][:40], instead=hint)
    if "" in names:
        raise source.error(
            line,
            f"column {names.index('') + 1} has no name",
            instead="If a row index was written with the table, write it without.",
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise source.error(line, f"the header names a column twice: {listing(twice)}")
    return names, end


def _separator_hint(source: _Source, cells: list[str]) -> str | None:
    if len(cells) > 1:
        return None
    for sign, name in _SEPARATORS.items():
        if sign != source.delimiter and sign in cells[0]:
            return f"The file seems to use the {name}: pass delimiter={sign!r}."
    return None


def _fast_rows(source: _Source, body: int) -> Array | None:
    """All rows at once (rows, columns), if the text holds digits and separators only."""
    allowed = ("0123456789+-.eE \r\n" + source.delimiter).encode()
    parts: list[Array] = []
    text = source.text
    if not text.isascii():
        return None
    # In pieces: one list of all lines would take several times the file's size.
    while body < len(text):
        end = text.find("\n", body + _PIECE) + 1 or len(text)
        piece, body = text[body:end], end
        if piece.encode().translate(None, allowed):
            return None
        if not piece.strip():
            continue
        try:
            rows = np.loadtxt(
                piece.splitlines(), np.float64, delimiter=source.delimiter, comments=None, ndmin=2
            )
        except ValueError:
            return None
        if parts and rows.shape[1] != parts[0].shape[1]:
            return None
        parts.append(rows)
    return np.concatenate(parts) if parts else None


def _is_number(cell: str, nonfinite: bool) -> bool:
    return bool(_NUMBER.fullmatch(cell) or (nonfinite and _NONFINITE.fullmatch(cell)))


def _read_slowly(
    source: _Source,
    body: int,
    names: tuple[str, ...] | None,
    label: str | int | None,
    columns: Sequence[str] | None,
) -> Table:
    rows = list(_rows_of(source, body))
    if not rows:
        line = source.text.count("\n", 0, body)
        raise source.error(line, "the file has a header and no rows")
    names = names or _numbered(len(rows[0][1]))
    for line, cells in rows:
        if len(cells) != len(names):
            raise source.error(
                line,
                f"{len(cells)} cells in a table of {len(names)} columns",
                instead=_separator_hint(source, cells),
            )
    label_at, features = _choose(source.path, names, label, columns)
    values = np.array(
        [[_number(source, line, names, at, cells[at]) for at in features] for line, cells in rows],
        np.float64,
    ).reshape(len(rows), len(features))
    labels = None if label_at is None else _labels(source, rows, names, label_at)
    label_name = None if label_at is None else names[label_at]
    return Table(tuple(names[at] for at in features), values, names, labels, label_name)


def _labels(source: _Source, rows: list[_Row], names: tuple[str, ...], at: int) -> Array:
    texts = [cells[at].strip() for _, cells in rows]
    if "" in texts:
        line = rows[texts.index("")][0]
        raise source.error(line, f"column {at + 1} ({names[at]}): the label is missing")
    if all(_is_number(text, source.nonfinite) for text in texts):
        return np.array([float(text) for text in texts])
    return np.array(texts)


def _number(source: _Source, line: int, names: tuple[str, ...], at: int, cell: str) -> float:
    text = cell.strip(" ")
    if _is_number(text, source.nonfinite):
        return float(text)
    hint = None
    if _NONFINITE.fullmatch(text):
        hint = "Pass allow_nonfinite=True to read it."
    elif re.fullmatch(r"[+-]?\d+,\d+", text, re.ASCII):
        hint = "Write decimals with a point, not with a comma."
    raise source.error(
        line,
        f"column {at + 1} ({names[at]}): {'an empty cell' if not text else 'not a number'}",
        given=repr(cell[:40]),
        expected="a decimal number such as -1.5e3",
        instead=hint,
    )


def _choose(
    path: str, names: tuple[str, ...], label: str | int | None, columns: Sequence[str] | None
) -> tuple[int | None, list[int]]:
    """The label's place and the features' places."""
    label_at = None if label is None else _find(path, names, label)
    if columns is None:
        return label_at, [place for place in range(len(names)) if place != label_at]
    places = {name: place for place, name in enumerate(names)}
    missing = [name for name in columns if name not in places]
    if missing:
        raise FormatError(
            f"{path} lacks {'a column' if len(missing) == 1 else 'columns'}: {listing(missing)}",
            given=f"columns {listing(names)}",
            expected=f"the columns of training: {listing(columns)}",
        )
    return label_at, [places[name] for name in columns]


def _find(path: str, names: tuple[str, ...], label: str | int) -> int:
    if isinstance(label, str) and label in names:
        return names.index(label)
    if isinstance(label, int) and -len(names) <= label < len(names):
        return label % len(names)
    from difflib import get_close_matches

    near = get_close_matches(str(label), names, 1)
    raise ArgumentError(
        f"{path} has no label column {label!r}",
        expected=f"one of {listing(names)}",
        instead=f"Did you mean {near[0]!r}?" if near else None,
    )
