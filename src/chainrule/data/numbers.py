"""Values as arrays of numbers: checks, conversions, and samples stacked to a batch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.data.transforms import Array
from chainrule.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError


def stacked(rows: Sequence[tuple[Any, ...]], names: Sequence[str], owner: str) -> tuple[Array, ...]:
    """Samples as one array for each field. Raises ShapeError, with the name of the sample, if their
    fields differ."""
    return tuple(_column(rows, names, owner, field) for field in range(len(rows[0])))


def _column(rows: Sequence[tuple[Any, ...]], names: Sequence[str], owner: str, field: int) -> Array:
    first: Array | None = None
    column = []
    for name, row in zip(names, rows, strict=True):
        if len(row) != len(rows[0]):
            raise ShapeError(
                f"sample {name} of {owner} has {len(row)} fields",
                expected=f"{len(rows[0])}, as sample {names[0]} has",
            )
        value = as_numbers(row[field], f"sample {name}, field {field}")
        first = value if first is None else first
        if value.shape != first.shape:
            raise ShapeError(
                f"sample {name} of {owner} has another shape in field {field}",
                given=value.shape,
                expected=f"{first.shape}, as sample {names[0]} has",
                instead="Samples of one batch are stacked: resize, crop or pad them.",
            )
        column.append(value)
    return np.stack(column)


def as_numbers(value: Any, name: str) -> Array:
    """`value` as an array of bools, integers or floats; Python floats become float32."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise ShapeError(f"{name} is ragged", expected="rows of equal length") from None
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{name} is not numeric", given=array.dtype, expected="numbers")
    if array.dtype == np.float64 and not hasattr(value, "dtype"):
        array = to_float32(array, name)
    return array


def to_float32(values: Array, name: str) -> Array:
    """`values` as float32; ArgumentError for a finite number that would become infinite."""
    with np.errstate(over="ignore"):
        result = values.astype(np.float32)
    lost = np.isinf(result) & np.isfinite(values)
    if lost.any():
        place = np.unravel_index(int(lost.argmax()), lost.shape)
        raise ArgumentError(
            f"{name} holds a number beyond float32",
            given=f"{values[place]} at position {', '.join(map(str, place))}",
            expected="at most 3.4e38 in size",
            instead="Divide the numbers by a constant, or pass a float64 array.",
        )
    return result


def as_indices(indices: Any) -> Array:
    """Indices as an array of the platform's index type, which can have 32 bits.

    >>> as_indices([2, 0]).dtype == np.intp, as_indices([]).shape
    (True, (0,))
    """
    places = np.asarray(indices)
    if places.dtype.kind not in "iu" and places.size:
        raise DTypeError("indices are integers", given=places.dtype, expected="int64")
    result = places.astype(np.intp)
    if not np.can_cast(places.dtype, np.intp) and (result != places).any():
        raise OutOfRangeError(f"index {places[result != places][0]}", expected=f"< {sys.maxsize}")
    return result
