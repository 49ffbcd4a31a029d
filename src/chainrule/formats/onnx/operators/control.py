"""Control flow, whose conditions and counts must be known, and sequences."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import FormatError
from chainrule.formats.onnx.operators.table import (
    Body,
    Ints,
    as_array,
    as_number,
    as_tensor,
    operator,
)
from chainrule.ops.rearrange import unbind
from chainrule.ops.shape import cat, stack
from chainrule.primitive import Array
from chainrule.tensor import Tensor


@operator("If", known=False)
def if_(condition: float, *, then_branch: Body, else_branch: Body) -> tuple[Any, ...]:
    return tuple(then_branch() if condition else else_branch())


@operator("Loop", known=False)
def loop(count: float | None, condition: Any, *states: Any, body: Body) -> tuple[Any, ...]:
    """Unrolled: the states of the last step, then what each step gives, stacked."""
    runs = True if condition is None else bool(as_number(condition))
    rows: list[list[Any]] = []
    kept, i = list(states), 0
    while runs and (count is None or i < count):
        again, *results = body(np.array(i, np.int64), np.array(runs), *kept)
        kept = results[: len(states)]
        rows.append(results[len(states) :])
        runs, i = bool(as_number(again)), i + 1
    if not rows:
        return tuple(kept)
    return (*kept, *(_stacked([*column], 0) for column in zip(*rows, strict=True)))


def _stacked(values: list[Any], dim: int) -> Any:
    if all(isinstance(value, np.ndarray) for value in values):
        return np.stack(values, dim)
    return stack([as_tensor(value) for value in values], dim)


@operator("Scan", since=9, known=False)
def scan(
    *inputs: Any,
    body: Body,
    num_scan_inputs: int,
    scan_input_axes: Ints | None = None,
    scan_input_directions: Ints | None = None,
    scan_output_axes: Ints | None = None,
    scan_output_directions: Ints | None = None,
) -> tuple[Any, ...]:
    """Unrolled over the elements of the last inputs along an axis of each."""
    first = len(inputs) - num_scan_inputs
    states: list[Any] = list(inputs[:first])
    columns = []
    for i, value in enumerate(inputs[first:]):
        axis = scan_input_axes[i] if scan_input_axes else 0
        elements = list(unbind(as_tensor(value), axis))
        backwards = scan_input_directions and scan_input_directions[i]
        columns.append(elements[::-1] if backwards else elements)
    rows: list[list[Any]] = []
    for parts in zip(*columns, strict=True):
        results = body(*states, *parts)
        states = list(results[:first])
        rows.append(results[first:])
    outputs = []
    for i, column in enumerate(zip(*rows, strict=True)):
        backwards = scan_output_directions and scan_output_directions[i]
        axis = scan_output_axes[i] if scan_output_axes else 0
        outputs.append(_stacked([*column][::-1] if backwards else [*column], axis))
    return (*states, *outputs)


# -- sequences -----------------------------------------------------------------------------------


def _sequence(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise FormatError("a sequence is expected", given=type(value).__name__)
    return value


def _position(value: Any) -> int:
    return int(as_number(value))


@operator("SequenceEmpty", known=False)
def sequence_empty(*, dtype: int = 1) -> list[Any]:
    return []


@operator("SequenceConstruct", known=False)
def sequence(*values: Any) -> list[Any]:
    return list(values)


@operator("SequenceInsert", known=False)
def sequence_insert(values: Any, value: Any, position: Any = None) -> list[Any]:
    result = list(_sequence(values))
    place = len(result) if position is None else _position(position)
    if not -len(result) <= place <= len(result):
        raise FormatError("a position outside of a sequence", given=place, expected=len(result))
    result.insert(place, value)
    return result


@operator("SequenceErase", known=False)
def sequence_erase(values: Any, position: Any = None) -> list[Any]:
    result = list(_sequence(values))
    del result[-1 if position is None else _position(position)]
    return result


@operator("SequenceAt", known=False)
def sequence_at(values: Any, position: Any) -> Any:
    return _sequence(values)[_position(position)]


@operator("SequenceLength", known=False)
def sequence_length(values: Any) -> Array:
    return np.array(len(_sequence(values)), np.int64)


@operator("ConcatFromSequence", known=False)
def concat_from_sequence(values: Any, *, axis: int, new_axis: int = 0) -> Tensor:
    parts = [as_tensor(value) for value in _sequence(values)]
    joined: Tensor = stack(parts, axis) if new_axis else cat(parts, axis)
    return joined


@operator("SplitToSequence", known=False)
def split_to_sequence(
    x: Tensor, split: Any = None, *, axis: int = 0, keepdims: int = 1
) -> list[Tensor]:
    """Parts of the given sizes, or of one size; without one, of size 1."""
    if split is None:
        parts = x.split(1, axis)
        return [part if keepdims else part.squeeze(axis) for part in parts]
    sizes = as_array(split)
    return list(x.split(int(sizes) if sizes.ndim == 0 else sizes.tolist(), axis))


@operator("Optional", known=False)
def optional(value: Any = None, *, type: Any = None) -> Any:
    return value


@operator("OptionalHasElement", known=False)
def optional_has_element(value: Any = None) -> Array:
    return np.array(value is not None)


@operator("OptionalGetElement", known=False)
def optional_get_element(value: Any) -> Any:
    if value is None:
        raise FormatError("an optional value has no element")
    return value
