"""JSON as the standard has it: no NaN, no key twice; errors name the file and the place."""

from __future__ import annotations

import json
import math
import os
from typing import Any

from chainrule.data.files import PathLike, open_regular
from chainrule.errors import FormatError

_LARGEST = 64 * 2**20


def to_json(value: Any, indent: int | None = None) -> bytes:
    """Strict JSON (no NaN) in UTF-8; the same value gives the same bytes."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators
    )
    return (text if indent is None else text + "\n").encode("utf-8")


def from_json(data: bytes | bytearray | memoryview, where: str) -> Any:
    """The value of strict JSON; FormatError for anything else, named `where`, with the place.

    Refused beside bad syntax: keys that occur twice, NaN and Infinity, and nesting so deep or
    numbers so long that reading them would hurt.
    """
    try:
        return json.loads(
            bytes(data).decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
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


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} occurs twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def read_json(path: PathLike) -> Any:
    """The value in a JSON file, read as strictly as :func:`from_json` does."""
    with open_regular(path) as (file, size):
        if size > _LARGEST:
            raise FormatError(f"{os.fspath(path)} has {size:,} bytes", expected="a small JSON file")
        return from_json(file.read(), os.fspath(path))


def finite(value: Any) -> Any:
    """`value` with NaN and infinity, which JSON lacks, as None."""
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
