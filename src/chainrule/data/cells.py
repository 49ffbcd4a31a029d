"""The text of a CSV file as rows of cells in named columns. Errors name the line.

The delimiter and the presence of a header are detected from the file. If they are ambiguous, an
error asks for them. Lines may end in LF, CR or CRLF, also within one file.
"""

from __future__ import annotations

import csv
import os
import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from enum import Enum, auto
from itertools import islice
from typing import Any, NamedTuple

from chainrule.data.files import PathLike, looks_like_html, open_regular
from chainrule.data.memory import check_text
from chainrule.errors import ArgumentError, FormatError, listing

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}
MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "?"})
"""Cells, in lower case, that mean a missing value."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NONFINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"\d{1,18}", re.ASCII)
_PEEK = 20
_COPIES = 3
"""The file as bytes, as text, and as numbers."""
Row = tuple[int, list[str]]


def is_number(cell: str, nonfinite: bool = False) -> bool:
    """Whether a cell is an ASCII decimal number, or `nan` or `inf` where these are allowed.

    >>> is_number("-1.5e3"), is_number("1_000"), is_number("nan"), is_number("nan", True)
    (True, False, False, True)
    """
    return bool(_NUMBER.fullmatch(cell) or (nonfinite and _NONFINITE.fullmatch(cell)))


def is_nonfinite(cell: str) -> bool:
    """Whether a cell is `nan` or an infinity, with or without a sign."""
    return bool(_NONFINITE.fullmatch(cell))


def is_missing(cell: str) -> bool:
    """Whether a cell means a missing value: it is empty, or one of `MISSING`."""
    return cell.strip().lower() in MISSING


class Cells(NamedTuple):
    """An open CSV file: its text with LF line ends, and the offset at which the rows begin.

    names: the names in the header, or column0, column1, ... if `header` is false.
    """

    path: str
    text: str
    delimiter: str
    header: bool
    names: tuple[str, ...]
    body: int

    def rows(self, check: bool = True) -> Iterator[Row]:
        """(line, cells) of each row that is not blank; FormatError for a row of another width."""
        width = len(self.names)
        for line, cells in _rows(self.path, self.text, self.delimiter, self.body):
            if check and len(cells) != width:
                raise self.error(line, f"{len(cells)} cells in a table of {width} columns")
            yield line, cells

    def error(self, line: int, problem: str, **details: Any) -> FormatError:
        """An error that names a line of the file."""
        return FormatError(f"{self.path}, line {line}: {problem}", **details)

    def find(self, label: str | int) -> int:
        """The index of a column that is given by name or by index."""
        if isinstance(label, str) and label in self.names:
            return self.names.index(label)
        if isinstance(label, int) and -len(self.names) <= label < len(self.names):
            return label % len(self.names)
        from difflib import get_close_matches

        near = get_close_matches(str(label), self.names, 1)
        raise ArgumentError(
            f"{self.path} has no label column {label!r}",
            expected=f"one of {listing(self.names, like=str(label))}",
            instead=f"Did you mean {near[0]!r}?" if near else None,
        )


def open_cells(
    path: PathLike,
    *,
    delimiter: str | None = None,
    header: bool | None = None,
    wanted: Collection[str] = (),
) -> Cells:
    """Open a CSV file: decode it, detect its delimiter and the names of its columns.

    Parameters
    ----------
    delimiter: one character. By default the one of `,` `;` tab `|` that splits all rows into the
        same number of cells, or runs of spaces if these do.
    header: whether the first row contains names. By default it does if it differs in kind from the
        rows below in some column. An ambiguous first row is an error.
    wanted: names that the caller needs. A first row with all of them is a header.
    """
    if delimiter is not None and not _can_separate(delimiter):
        raise ArgumentError("bad delimiter", given=repr(delimiter), expected="one sign such as ','")
    name, text = os.fspath(path), _read_text(path)
    sign = _find_delimiter(name, text) if delimiter is None else delimiter
    begin = 0 if header is False else _end_of_preamble(name, text, sign)
    (line, first), *below = islice(_rows(name, text, sign, begin), _PEEK + 1)
    first = _without_quotes([cell.strip() for cell in first])
    if not first[-1] and below and {len(row) for _, row in below} == {len(first) - 1}:
        first.pop()  # The header ends in a delimiter, and the rows do not.
    if header is None:
        header = _holds_names(f"{name}, line {line}", first, [row for _, row in below], wanted)
    if not header:
        names = tuple(f"column{place}" for place in range(len(first)))
        return Cells(name, text, sign, False, names, 0)
    if _has_row_names(first, [row for _, row in below]):
        first = ["", *first]
    _check_names(f"{name}, line {line}", first)
    return Cells(name, text, sign, True, tuple(first), _end_of_first_row(text, sign, begin))


def _can_separate(sign: str) -> bool:
    return len(sign) == 1 and sign not in '"\r\n+-.' and not sign.isalnum()


def _read_text(path: PathLike) -> str:
    """The file as text with LF line ends."""
    check_text(path, _COPIES)
    with open_regular(path) as (file, _):
        data = file.read()
    name = os.fspath(path)
    if not data.strip():
        raise FormatError(f"{name} is empty", expected="a header and rows of numbers")
    if hint := looks_like_html(data[:64]):
        raise FormatError(f"{name}, line 1: not a table", given=data[:40], instead=hint)
    for bad, what in ((b"\0", "a NUL byte"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16")):
        if (place := data.find(bad, 0, None if bad == b"\0" else 2)) >= 0:
            raise FormatError(
                f"{name}, line {_line_at(data, place)}: {what} at offset {place}",
                expected="text in UTF-8",
            )
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{name}, line {_line_at(data, error.start)}: not UTF-8 at offset {error.start}",
            given=f"byte {data[error.start]:#04x}",
            expected="text in UTF-8",
            instead="Save the file as UTF-8.",
        ) from None


def _line_at(data: bytes, place: int) -> int:
    """The number of the line that contains a byte; lines end in LF, CR or CRLF."""
    before = data[:place]
    return before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n") + 1


def _lines(text: str, begin: int = 0) -> Iterator[str]:
    while begin < len(text):
        end = text.find("\n", begin) + 1 or len(text)
        yield text[begin:end]
        begin = end


def _reader(lines: Iterator[str], delimiter: str) -> Any:
    """The reader of Python's `csv`. Runs of spaces count as one delimiter, and spaces may precede a
    quote."""
    if delimiter == " ":
        lines = (line.rstrip(" \n") + "\n" for line in lines)
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)


def _rows(path: str, text: str, delimiter: str, begin: int) -> Iterator[Row]:
    """(line, cells) of each row that is not blank, starting at the offset `begin`."""
    start = text.count("\n", 0, begin)
    reader = _reader(_lines(text, begin), delimiter)
    while True:
        opened = start + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _quote_error(f"{path}, line {opened}", str(error)) from None
        if cells:
            yield opened, cells


def _end_of_first_row(text: str, delimiter: str, begin: int) -> int:
    """The offset after the first row from the offset `begin` that is not blank."""
    end = begin

    def read() -> Iterator[str]:
        nonlocal end
        for line in _lines(text, begin):
            end += len(line)
            yield line

    next(row for row in _reader(read(), delimiter) if row)
    return end


def _quote_error(where: str, message: str) -> FormatError:
    if "unexpected end" in message:
        return FormatError(f"{where}: the quote opened here is never closed")
    if "field limit" in message:
        return FormatError(
            f"{where}: a cell of more than {csv.field_size_limit():,} characters",
            instead="Is a quote not closed?",
        )
    return FormatError(f"{where}: bad quoting: {message}")


# -- detection of delimiter, first row and header ----------------------------------------------


def _end_of_preamble(name: str, text: str, sign: str) -> int:
    """The offset of the header in a file with lines of prose before the table; else 0.

    The header and all rows below have one width, the header is text and some row is not, and each
    line before has fewer cells.
    """
    try:
        rows = [*islice(_rows(name, text, sign, 0), 2 * _PEEK)]
    except FormatError:
        return 0
    width = len(rows[-1][1])
    start = len(rows)
    while start and len(rows[start - 1][1]) == width:
        start -= 1
    if start and rows[start - 1][1][-1].strip() == "" and len(rows[start - 1][1]) == width + 1:
        start -= 1
    before, table = rows[:start], rows[start:]
    if not before or len(table) < 3 or max(len(row) for _, row in before) >= width:
        return 0
    (line, header), *below = table
    kinds = {_kind(cell.strip()) for _, row in below for cell in row}
    if {*map(_kind, map(str.strip, header))} != {_Kind.TEXT} or kinds == {_Kind.TEXT}:
        return 0
    warnings.warn(
        f"{name}: the table begins in line {line}, with rows of {width} cells; the lines before "
        "are left out",
        stacklevel=4,
    )
    return sum(map(len, islice(_lines(text), line - 1)))


def _find_delimiter(name: str, text: str) -> str:
    """The character that splits all of the first rows into the same number of cells, at least
    two."""
    fitting = [sign for sign in DELIMITERS if _cuts_alike(name, text, sign)]
    if len(fitting) > 1:
        fitting = [sign for sign in fitting if sign != " "]
    if len(fitting) > 1:
        found = " and the ".join(DELIMITERS[sign] for sign in fitting)
        raise ArgumentError(
            f"{name}: the {found} could both separate the cells",
            instead=f"Pass one: delimiter={fitting[0]!r} (--delimiter on the command line).",
        )
    if fitting:
        return fitting[0]
    lines = list(islice(_lines(text), _PEEK))
    seen = {sign: sum(sign in line for line in lines) for sign in DELIMITERS if sign != " "}
    likely = max(seen, key=seen.__getitem__)
    return likely if 2 * seen[likely] > len(lines) else ","


def _cuts_alike(name: str, text: str, sign: str) -> bool:
    try:
        first, *below = (len(row) for _, row in islice(_rows(name, text, sign, 0), _PEEK))
    except FormatError:
        return False
    widths = {first, *below}
    return first > 1 and (len(widths) == 1 or {*below} == {first + 1})


class _Kind(Enum):
    TEXT = auto()
    WHOLE = auto()
    DECIMAL = auto()


def _kind(cell: str) -> _Kind:
    if not is_number(cell, nonfinite=True):
        return _Kind.TEXT
    return _Kind.WHOLE if _WHOLE.fullmatch(cell) else _Kind.DECIMAL


def _holds_names(
    where: str, first: list[str], below: list[list[str]], wanted: Collection[str]
) -> bool:
    """Whether the first row is a header, from its own cells and from the rows below."""
    kinds = [_kind(cell) for cell in first]
    if wanted and set(wanted) <= set(first):
        return True
    if not below or set(kinds) == {_Kind.TEXT}:
        return _Kind.TEXT in kinds
    if _Kind.TEXT not in kinds and (_Kind.DECIMAL in kinds or len(set(first)) < len(first)):
        return False  # Names are text or whole numbers, and all different.
    others = [row for row in below if len(row) == len(first)]
    differs = any(map(_differs, kinds, zip(*others, strict=True)))
    if _Kind.TEXT in kinds:
        if differs:
            return True
        raise _names_or_sample(where, first)
    numbers = [int(cell) for cell in first]
    if differs or (_counts(numbers) and not any(_counts(_wholes(row)) for row in others)):
        warnings.warn(
            f"{where}: the numbers {listing(first)} are read as the columns' names; pass "
            "header=True to say so, header=False (--no-header) if they are a sample",
            stacklevel=4,
        )
        return True
    if len(numbers) > 1 and numbers in (sorted(numbers), sorted(numbers, reverse=True)):
        raise _names_or_sample(where, first)
    return False


def _differs(kind: _Kind, below: Sequence[str]) -> bool:
    """Whether a cell differs in kind (text, number, whole number) from all cells below it."""
    kinds = {_kind(cell) for cell in map(str.strip, below) if not is_missing(cell)}
    if not kinds:
        return False
    if kind is _Kind.TEXT:
        return _Kind.TEXT not in kinds
    return kinds == {_Kind.TEXT} or (kind is _Kind.WHOLE and kinds == {_Kind.DECIMAL})


def _counts(numbers: list[int]) -> bool:
    """Whether at least three numbers increase by one: 0, 1, 2 or 2019, 2020, 2021."""
    return len(numbers) > 2 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _wholes(row: list[str]) -> list[int]:
    return [int(cell) for cell in map(str.strip, row) if _WHOLE.fullmatch(cell)]


def _names_or_sample(where: str, first: list[str]) -> ArgumentError:
    return ArgumentError(
        f"{where}: is this row the columns' names or a sample?",
        given=listing(first),
        instead="Pass header=True or header=False (--header, --no-header on the command line).",
    )


def _has_row_names(names: list[str], below: list[list[str]]) -> bool:
    """Whether the header has no name for the first column, as files of R with row names.

    The rows then have one cell more than the header, and their first cells are different texts or
    1, 2, 3, ....
    """
    if min(len(names), len(below)) < 2 or {len(row) for row in below} != {len(names) + 1}:
        return False
    firsts = [row[0].strip() for row in below]
    named = len({*firsts}) == len(firsts) and not any(map(is_number, firsts))
    counted = firsts == [str(place) for place in range(1, len(firsts) + 1)]
    return (named or counted) and any(row[-1].strip() for row in below)


def _without_quotes(names: list[str]) -> list[str]:
    """The names without single quotes, which CSV does not treat as quotes."""
    if all(len(name) > 2 and name[0] == name[-1] == "'" for name in names):
        return [name[1:-1] for name in names]
    return names


def _check_names(where: str, names: list[str]) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1 and name]:
        raise FormatError(f"{where}: the header names a column twice: {listing(twice)}")
