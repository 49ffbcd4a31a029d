"""The batches that the ranks have measured, put together: all ranks get those of one process."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from chainrule import tree
from chainrule.primitive import Array
from chainrule.world import world


class Measured(NamedTuple):
    """The loss, outputs and targets of a batch, or of the part of a rank.

    place: the number of the batch. weight: the divisor of the loss; None for that of the targets.
    """

    place: int
    loss: float
    outputs: Any
    targets: Any
    weight: float | None = None


def of_all_ranks(measured: Sequence[Measured]) -> list[Measured]:
    """What all ranks have measured, in the order of the batches; the parts of a batch become one.

    Only the first of the parts with a weight counts as the loss of the batch. Outputs and targets
    are nested arrays, of a structure that this rank has seen, or single arrays.
    """
    packed = world().gather(b"".join(map(_packed, measured)))
    found = sorted((m for data in packed for m in _unpacked(data)), key=lambda m: m.place)
    form = next((m for m in measured if m.outputs is not None), Measured(0, 0.0, None, None))
    batches = []
    for place, group in groupby(found, key=lambda m: m.place):
        parts = list(group)
        outputs = _joined([m.outputs for m in parts], form.outputs)
        targets = _joined([m.targets for m in parts], form.targets)
        told = next((m for m in parts if m.weight), parts[0])
        batches.append(Measured(place, told.loss, outputs, targets, told.weight))
    return batches


def _packed(measured: Measured) -> bytes:
    """As bytes: numbers, then each array by NumPy's format, which runs no code when it is read."""
    buffer = io.BytesIO()
    found = [] if measured.outputs is None else tree.flatten(measured.outputs)
    wanted = [] if measured.outputs is None else tree.flatten(measured.targets)
    weight = math.nan if measured.weight is None else measured.weight
    numbers = [measured.place, measured.loss, weight, len(found), len(wanted)]
    for array in (np.array(numbers, np.float64), *found, *wanted):
        np.save(buffer, getattr(array, "_data", array), allow_pickle=False)
    return buffer.getvalue()


def _unpacked(data: bytes) -> list[Measured]:
    buffer, found = io.BytesIO(data), []
    while buffer.tell() < len(data):
        place, loss, weight, outputs, targets = np.load(buffer, allow_pickle=False).tolist()
        arrays = [np.load(buffer, allow_pickle=False) for _ in range(int(outputs + targets))]
        cut = int(outputs)
        divisor = None if math.isnan(weight) else weight
        found.append(Measured(int(place), loss, arrays[:cut], arrays[cut:], divisor))
    return found


def _joined(parts: Sequence[list[Array]], form: Any) -> Any:
    """The arrays of several ranks, one after the other, in a structure."""
    columns = zip(*[arrays for arrays in parts if arrays], strict=True)
    leaves = [np.concatenate(found) if found[0].ndim else found[0] for found in columns]
    if form is None or len(tree.flatten(form)) != len(leaves):
        return leaves[0] if len(leaves) == 1 else tuple(leaves)
    return tree.unflatten(form, leaves)
