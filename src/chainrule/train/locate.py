"""Finds the sample of the data set that makes a step fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.data.loader import DataLoader
from chainrule.errors import ArgumentError, ChainruleError, DTypeError, ShapeError
from chainrule.nn.module import Module
from chainrule.primitive import Array
from chainrule.tensor import Tensor
from chainrule.train.modes import evaluating
from chainrule.train.step import loss_of
from chainrule.world import alone


def samples_of(
    loader: DataLoader | None, epoch: int, batch: int, rows: slice | None = None
) -> Array | None:
    """The numbers of the samples of a batch in the data set, or of some rows of it; None if the
    order is not known."""
    if loader is None:
        return None
    try:
        order = loader.order(epoch)
    except ArgumentError:
        return None
    size = loader.batch_size or 1
    return order[batch * size : (batch + 1) * size][slice(None) if rows is None else rows]


def located(
    error: BaseException,
    model: Module,
    loss: Module,
    inputs: Sequence[Any],
    targets: Any,
    samples: Array | None,
) -> BaseException:
    """The error of a step, which names the sample of the data set that causes it.

    The batch is computed again eagerly, since errors of an eager step say more. Then the batch is
    halved until one sample is left that fails by itself. Errors of shapes and dtypes, which all
    samples share, are returned without a sample.
    """

    def fails(rows: slice) -> Exception | None:
        part = [x[rows] if isinstance(x, Tensor) else x for x in (*inputs, targets)]
        try:
            loss_of(model, loss, part[:-1], part[-1])
        except Exception as again:
            return again
        return None

    if not isinstance(error, ChainruleError):
        return error  # of the user's own code, which is not run again
    with evaluating(model), alone():
        found = fails(slice(None))
        if not isinstance(found, ChainruleError):
            return error
        if samples is None or isinstance(found, (ShapeError, DTypeError)):
            return found
        start, stop = 0, len(samples)
        while stop - start > 1:
            middle = (start + stop) // 2
            if fails(slice(start, middle)):
                stop = middle
            elif fails(slice(middle, stop)):
                start = middle
            else:
                return found
    where = f"sample {samples[start]} of the data (row {start} of its batch)"
    found.problem = f"{where}: {found.problem}"
    return found
