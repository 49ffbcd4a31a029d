"""Strict JSON, without NaN and duplicate keys. Errors name the file and the position."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from typing import Any

from chainrule.data.files import PathLike, open_regular
from chainrule.errors import ArgumentError, FormatError

MOST_PARTS = 2_000_000
"""The limit of objects, lists, names and items in a text. Each needs up to 250 bytes of memory."""
_LARGEST = 64 * 2**20


def to_json(value: Any, indent: int | None = None) -> bytes:
    """Strict JSON (no NaN) in UTF-8; the same value gives the same bytes.

    Raises ArgumentError for values that could not be read again: NaN, infinity, numbers with
    thousands of digits, text that UTF-8 cannot encode, deep nesting.
    """
    separators = (",", ":") if indent is None else None
    try:
        text = json.dumps(
            value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators
        )
        return (text if indent is None else text + "\n").encode("utf-8")
    except UnicodeEncodeError as error:
        problem = f"text with {error.object[error.start]!a}, half of a character, is not Unicode"
        raise ArgumentError(problem) from None
    except (ValueError, RecursionError) as error:
        raise ArgumentError(f"this cannot be written as JSON: {error}") from None


def from_json(
    data: bytes | bytearray | memoryview, where: str, most_parts: int = MOST_PARTS
) -> Any:
    """The value of strict JSON; FormatError with `where` and the position for anything else.

    Besides invalid syntax, these are refused: duplicate keys, NaN, infinity, numbers beyond
    float64, deep nesting, very long numbers, and more than `most_parts` values.
    """
    text = bytes(data)
    if (parts := count_parts(text)) > most_parts:
        raise FormatError(
            f"{where} holds {parts:,} names and items", expected=f"at most {most_parts:,}"
        )
    try:
        return json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
        )
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise FormatError(
            f"{where}: not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise FormatError(f"{where}: nested too deep") from None
    except ValueError as error:
        raise FormatError(f"{where}: {error}") from None


def count_parts(text: bytes) -> int:
    """An upper bound of the objects, lists, names and items in a text, without parsing it."""
    return len(text) - len(text.translate(None, b"{[:,"))


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {twice[:80]!r} occurs twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:40]} is too large for float64")
    return value


def read_json(path: PathLike) -> Any:
    """The value in a JSON file, read by :func:`from_json`."""
    with open_regular(path) as (file, size):
        if size > _LARGEST:
            raise FormatError(f"{os.fspath(path)} has {size:,} bytes", expected="a small JSON file")
        return from_json(file.read(), os.fspath(path))


def finite(value: Any) -> Any:
    """`value` with None in place of NaN and infinity, which JSON lacks."""
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
