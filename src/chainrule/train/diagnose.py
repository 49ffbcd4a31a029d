"""Finds the origin of a NaN or an infinity, after a step has produced one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.autograd import detect_anomaly
from chainrule.errors import NonFiniteError, listing
from chainrule.grad_mode import no_grad
from chainrule.primitive import Array
from chainrule.tensor import Tensor
from chainrule.train.arrays import fitted, forward
from chainrule.train.locate import samples_of
from chainrule.train.step import loss_of
from chainrule.train.training import Training
from chainrule.world import alone, world


def explained(
    trainer: Training, inputs: Sequence[Any], targets: Any, rows: slice | None = None
) -> NonFiniteError:
    """An error with the value that is not finite, the step, the batch, the rate, and the cause.

    rows: the rows of the batch that were given, of those that all ranks share.

    The batch is computed again, eagerly, to find the cause. The state of the model is that before
    the step, and is restored afterwards.
    """
    rates = [float(group["lr"]) for group in trainer.optimizer.param_groups]
    state = trainer.written
    before = [tensor._data for tensor in state]

    def rewind() -> None:
        for tensor, data in zip(state, before, strict=True):
            tensor._data = data

    try:
        trainer.optimizer.zero_grad()  # those of the failed step are not finite
        with alone():
            problem = _problem(trainer, inputs, targets)
            rewind()
            samples = samples_of(trainer.loader, trainer.epoch, trainer.batch, rows)
            cause = _find_cause(trainer, inputs, targets, samples)
    finally:
        rewind()
        trainer.optimizer.zero_grad()
    if cause is None:
        again = "it did not appear again when the batch was computed once more"
        cause = "it came from another rank" if world().size > 1 else again
    names = "samples unknown" if samples is None else f"samples {listing(samples.tolist())}"
    return NonFiniteError(
        f"{problem} in epoch {trainer.epoch + 1}, step {trainer.step + 1} (batch "
        f"{trainer.batch}, {names}; lr {listing(rates)}); {cause}",
        instead="The update was not made: weights and optimizer are as before this step. "
        "Check the data, lower the lr, or set clip_norm.",
    )


def _problem(trainer: Training, inputs: Sequence[Any], targets: Any) -> str:
    """Whether the loss is not finite, or a gradient of a finite loss."""
    with no_grad():
        loss = float(loss_of(trainer.model, trainer.loss, inputs, targets)[0]._data)
    return f"the loss is {loss}" if not math.isfinite(loss) else "a gradient is NaN or infinite"


def _find_cause(
    trainer: Training, inputs: Sequence[Any], targets: Any, samples: Array | None
) -> str | None:
    """A sentence on the origin of the first NaN or infinity, from computing the batch again; None
    if it does not appear again."""
    for what, value in (*(("input", x) for x in inputs), ("target", targets)):
        if (row := _bad_row(value)) is not None:
            where = f"row {row} of the batch" if samples is None else f"sample {samples[row]}"
            return f"the {what} holds it already: {where}"
    ignored = getattr(trainer.loss, "ignore_index", None)
    if ignored is not None and isinstance(targets, Tensor) and (targets._data == ignored).all():
        return f"every label of the batch is {ignored}, which is ignored: the mean is 0/0"
    for name, parameter in trainer.model.named_parameters():
        if not np.isfinite(parameter._data).all():
            return f"the weights {name} hold it already"
    return _first_layer(trainer, inputs, targets)


def _first_layer(trainer: Training, inputs: Sequence[Any], targets: Any) -> str | None:
    with detect_anomaly():
        try:
            outputs = forward(trainer.model, inputs)
        except NonFiniteError as error:
            where = "the model"
            if error.trail is not None:
                where = f"{'.'.join(['model', *error.trail.path])} ({error.trail.layer})"
            return f"first in {where}: {error.problem} from {error.given}"
        try:
            fit = fitted(getattr(trainer.loss, "predicts", None), outputs, targets)
            loss = trainer.loss(outputs, fit)
        except NonFiniteError as error:
            return f"first in the loss ({type(trainer.loss).__name__}): {error.problem}"
        try:
            loss.backward()
        except NonFiniteError as error:
            return f"first in the backward pass: {error.problem}"
    return None


def _bad_row(value: Any) -> int | None:
    data = value._data if isinstance(value, Tensor) else None
    if data is None or data.dtype.kind != "f" or not data.ndim:
        return None
    bad = ~np.isfinite(data.reshape(len(data), -1)).all(axis=1)
    return int(bad.argmax()) if bad.any() else None
