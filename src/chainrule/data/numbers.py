"""Values as arrays of numbers: checks, conversions, and samples stacked to a batch."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.data.transforms import Array
from chainrule.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError

_CHUNK_BYTES = 2**18
"""Enough that a disk reads a chunk nearly as fast as the whole file."""


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


def is_in_file(array: Array) -> bool:
    """Whether the numbers of an array lie in a file that is mapped into memory, as of `np.memmap`.

    >>> is_in_file(np.zeros(3))
    False
    """
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = base.base if hasattr(base, "base") else getattr(base, "obj", None)
    return base is not None


def native(array: Array) -> Array:
    """A contiguous array of the same numbers in this machine's byte order."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


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
    if places.dtype == np.intp:
        return places
    if places.dtype.kind not in "iu" and places.size:
        raise DTypeError("indices are integers", given=places.dtype, expected="int64")
    result = places.astype(np.intp, copy=False)
    if not np.can_cast(places.dtype, np.intp) and (result != places).any():
        raise OutOfRangeError(f"index {places[result != places][0]}", expected=f"< {sys.maxsize}")
    return result


def equal_arrays(values: tuple[Any, ...]) -> tuple[Array, ...]:
    """Values as arrays of numbers of equal length ≥ 1. Arrays in files stay there."""
    if not values:
        raise ArgumentError("a dataset needs at least one array")
    arrays = [as_numbers(value, f"array {place}") for place, value in enumerate(values)]
    lengths = [array.shape[0] if array.ndim else None for array in arrays]
    if None in lengths:
        raise ShapeError("a dataset's arrays have a first axis", given="a single number")
    if len(set(lengths)) > 1:
        raise ShapeError(
            "the arrays differ in length", given=lengths, expected="one length for all"
        )
    if lengths[0] == 0:
        raise ArgumentError("a dataset of length 0", expected="at least one sample")
    # A foreign byte order or strides would make every later read slower.
    return tuple(a if is_in_file(a) else native(a) for a in arrays)


def rows_of(array: Array, places: Array) -> Array:
    """A copy of these rows. `take` would first copy an array that is not contiguous as a whole."""
    if is_in_file(array):
        return native(array[places])
    return array.take(as_indices(places), axis=0)


def chunk_bounds(arrays: Sequence[Array]) -> Array:
    """The bounds of chunks of at least one sample, and otherwise of at most `_CHUNK_BYTES`."""
    count, sample = len(arrays[0]), sum(array[:1].nbytes for array in arrays)
    return np.append(np.arange(0, count, max(1, _CHUNK_BYTES // max(1, sample))), count)
