"""Typed records: dataclasses whose fields describe the contents of a file.

Each field is checked against its annotation: plain types, `X | None`, lists, dicts with text keys,
tensors, and other records. A mistake in a file is therefore an error with the name of the field.
"""

from __future__ import annotations

import dataclasses
import reprlib
import types
import typing
from typing import Any, TypeVar

import numpy as np

from chainrule.errors import ArgumentError, FormatError, listing

T = TypeVar("T")


def read_record(kind: type[T], value: Any, where: str, prefix: str = "") -> T:
    """A dataclass from a dict with exactly its fields, each of the annotated type.

    Raises FormatError, with `where` and the field, for a field that is unknown, missing, of another
    type, or refused by the dataclass.
    """
    if not isinstance(value, dict):
        what = prefix.rstrip(".") or "the record"
        raise FormatError(f"{where}: {what} is no object", given=_shown(value))
    hints = typing.get_type_hints(kind)
    if unknown := sorted(set(value) - set(hints), key=str):
        raise FormatError(
            f"{where}: unknown key {listing([f'{prefix}{k}' for k in unknown])}",
            expected=listing(sorted(hints), 20),
        )
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    needed = {f.name for f in fields if f.default is f.default_factory}
    if missing := sorted(needed - set(value)):
        raise FormatError(f"{where}: missing key {listing([prefix + k for k in missing])}")
    typed = {k: _typed(hints[k], v, where, prefix + k) for k, v in value.items()}
    try:
        return kind(**typed)
    except ArgumentError as error:
        raise FormatError(f"{where}: {prefix}{error}") from error


def check_ranges(record: object, **ranges: tuple[float, float]) -> None:
    """Raise ArgumentError unless each field is None or low ≤ value < high."""
    for name, (low, high) in ranges.items():
        value = getattr(record, name)
        if value is not None and not low <= value < high:
            raise ArgumentError(
                f"{name} is out of range", given=value, expected=f"{low} <= {name} < {high}"
            )


def _typed(hint: Any, value: Any, where: str, key: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for choice in choices:
        if dataclasses.is_dataclass(choice) and isinstance(value, dict):
            return read_record(choice, value, where, f"{key}.")  # type: ignore[arg-type]
        if type(value) is int and not -(2**63) <= value < 2**63:
            continue  # too large for a count and for a float
        if choice is float and type(value) is int:
            return float(value)
        kind, inner = typing.get_origin(choice) or choice, typing.get_args(choice)
        if kind is list and isinstance(value, list):
            return [_typed(inner[0], part, where, f"{key}[{i}]") for i, part in enumerate(value)]
        if kind is dict and isinstance(value, dict) and all(isinstance(k, str) for k in value):
            return {k: _typed(inner[1], part, where, f"{key}.{k}") for k, part in value.items()}
        if choice is Any or _is(value, kind):
            return value
    raise FormatError(
        f"{where}: {key} has the wrong type",
        given=_shown(value),
        expected=" or ".join(map(_name, choices)),
    )


def _is(value: Any, kind: type) -> bool:
    """Whether a value has a type; a bool is not a number."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _name(hint: Any) -> str:
    return "an object" if dataclasses.is_dataclass(hint) else getattr(hint, "__name__", str(hint))


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {reprlib.repr(value)}"
