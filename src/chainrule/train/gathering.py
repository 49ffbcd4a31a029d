"""The batches that the ranks have measured, put together: all ranks get those of one process."""

from __future__ import annotations

import json
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
    packed = world().gather(_packed(measured))
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


def _packed(measured: Sequence[Measured]) -> bytes:
    """As bytes: a head in JSON with the numbers, dtypes and shapes, and then all arrays."""
    head, data = [], []
    for place, loss, outputs, targets, weight in measured:
        parts = [] if outputs is None else [tree.flatten(outputs), tree.flatten(targets)]
        arrays = [[np.asarray(getattr(x, "_data", x)) for x in part] for part in parts]
        forms = [[(x.dtype.str, x.shape) for x in part] for part in arrays]
        head.append((place, loss, weight, *(forms or ([], []))))
        data += [x.tobytes() for part in arrays for x in part]
    text = json.dumps(head).encode()
    return b"".join([len(text).to_bytes(8, "little"), text, *data])


def _unpacked(data: bytes) -> list[Measured]:
    end = 8 + int.from_bytes(data[:8], "little")

    def read(dtype: str, shape: Sequence[int]) -> Array:
        nonlocal end
        count = math.prod(shape)
        array = np.frombuffer(data, dtype, count, end).reshape(shape)
        end += array.nbytes
        return array

    return [
        Measured(place, loss, [read(*f) for f in outputs], [read(*f) for f in targets], weight)
        for place, loss, weight, outputs, targets in json.loads(data[8:end])
    ]


def _joined(parts: Sequence[list[Array]], form: Any) -> Any:
    """The arrays of several ranks, one after the other, in a structure."""
    columns = zip(*[arrays for arrays in parts if arrays], strict=True)
    leaves = [np.concatenate(found) if found[0].ndim else found[0] for found in columns]
    if form is None or len(tree.flatten(form)) != len(leaves):
        return leaves[0] if len(leaves) == 1 else tuple(leaves)
    return tree.unflatten(form, leaves)
