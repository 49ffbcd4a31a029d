"""The meaning of text in a column: numbers in various notations, yes and no, dates.

A notation must fit all cells of a column, since `1,234` alone is ambiguous.

>>> found = find_numbers(["$1,234.50", "($5)"])
>>> found, found.read("$1,234.50"), found.read("($5)")
(Numbers(decimal='.', unit='$'), 1234.5, -5.0)
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import product
from typing import NamedTuple

from chainrule.data.cells import is_number

_AFFIXES = re.compile(
    r"(\()?([+-]?)\s?([^\w\s.,]?)\s?([+-]?)([\d.,' \xa0\u202f]*\d[.,]?)"
    r"([eE][+-]?\d+)?\s?([^\w\s.,)]?)(\))?",
    re.ASCII,
)
_DIGITS = {
    ".": re.compile(r"\d*\.?\d*|[1-9]\d{0,2}([,' \xa0\u202f])\d{3}(\1\d{3})*(\.\d*)?", re.ASCII),
    ",": re.compile(r"\d*,?\d*|[1-9]\d{0,2}([.' \xa0\u202f])\d{3}(\1\d{3})*(,\d*)?", re.ASCII),
}
_PAIRS = (("false", "true"), ("no", "yes"), ("n", "y"), ("f", "t"), ("off", "on"))
_DAYS = (
    "%Y/%m/%d",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%b %d %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b-%d-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%d-%b-%Y",
    "%Y-%m",
    "%b %Y",
    "%B %Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d-%b-%y",
)
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_FORMATS = ("iso", *(day + time for day, time in product(_DAYS, _TIMES)), "%H:%M", "%H:%M:%S")


class Numbers(NamedTuple):
    """The notation of numbers in a column: the decimal sign, and a percent or currency sign."""

    decimal: str = "."
    unit: str = ""

    def read(self, text: str) -> float | None:
        """The number in a cell; None if it has another notation or is not finite."""
        if self == _PLAIN and is_number(text):
            value = float(text)
        else:
            parts = _parts(text)
            if parts is None or not parts.fits(self.decimal) or parts.unit not in ("", self.unit):
                return None
            if self.unit == "%" and not parts.unit:
                return None
            value = parts.value(self.decimal)
        return value if math.isfinite(value) else None


_PLAIN = Numbers()


class _Parts(NamedTuple):
    negative: bool
    unit: str
    digits: str
    exponent: str

    def fits(self, decimal: str) -> bool:
        return bool(_DIGITS[decimal].fullmatch(self.digits))

    def value(self, decimal: str) -> float:
        digits = re.sub(rf"[^\d{decimal}]", "", self.digits).replace(",", ".")
        value = float(digits + self.exponent) / (100 if self.unit == "%" else 1)
        return -value if self.negative else value


def _parts(text: str) -> _Parts | None:
    """The sign, the unit, the digits with separators, and the exponent of a cell; or None."""
    match = _AFFIXES.fullmatch(text)
    if match is None:
        return None
    opened, sign, before, second, digits, exponent, after, closed = match.groups(default="")
    unit = before + after
    bracketed = bool(opened or closed)
    if (opened and not closed) or (closed and not opened) or (bool(sign) + bool(second)) > 1:
        return None
    if len(unit) > 1 or (unit and unit != "%" and unicodedata.category(unit) != "Sc"):
        return None
    if bracketed and (sign or second):
        return None
    return _Parts(bracketed or "-" in sign + second, unit, digits, exponent)


def find_numbers(texts: Iterable[str], decimal: str | None = None) -> Numbers | None:
    """The notation in which all of `texts` are numbers, or None.

    decimal: "." or ",", if both are possible; by default the point.
    """
    texts = list(texts)
    if decimal != "," and all(map(is_number, texts)):
        return _PLAIN
    parts = [found for text in texts if (found := _parts(text)) is not None]
    units = {part.unit for part in parts}
    if len(parts) < len(texts) or len(units - {""}) > 1 or ("%" in units and len(units) > 1):
        return None
    for sign in (".", ",") if decimal is None else (decimal,):
        if all(part.fits(sign) for part in parts):
            return Numbers(sign, max(units, default=""))
    return None


def looks_numeric(text: str) -> bool:
    """Whether a cell is a number in some notation."""
    return find_numbers([text]) is not None


def find_pair(texts: Iterable[str]) -> tuple[str, str] | None:
    """The lower-case words for no and yes, if all of `texts` are one of them; else None."""
    words = {text.lower() for text in texts}
    return next((pair for pair in _PAIRS if words and words <= {*pair}), None)


def read_date(text: str, form: str) -> float | None:
    """Seconds since 1970 of a date in a format of `strptime` or "iso"; None for other text."""
    try:
        when = datetime.fromisoformat(text) if form == "iso" else datetime.strptime(text, form)
    except ValueError:
        return None
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    return when.timestamp()


def date_formats(texts: Iterable[str]) -> Iterator[str]:
    """All formats in which all of `texts` are dates, the most likely first."""
    texts = list(texts)
    for form in _FORMATS:
        if texts and all(read_date(text, form) is not None for text in texts):
            yield form
