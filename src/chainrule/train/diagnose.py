"""Finds the origin of a NaN or an infinity, after a step has produced one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.autograd import detect_anomaly
from chainrule.errors import NonFiniteError, listing
from chainrule.grad_mode import no_grad
from chainrule.tensor import Tensor
from chainrule.train.training import Training


def explained(trainer: Training, inputs: Sequence[Any], targets: Any) -> NonFiniteError:
    """An error with the value that is not finite, the step, the batch, the rate, and the cause.

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
        problem = _problem(trainer, inputs, targets)
        rewind()
        cause = _find_cause(trainer, inputs, targets)
    finally:
        rewind()
        trainer.optimizer.zero_grad()
    return NonFiniteError(
        f"{problem} in epoch {trainer.epoch + 1}, step {trainer.step + 1} (batch "
        f"{trainer.batch}, {_samples(trainer)}; lr {listing(rates)}); {cause}",
        instead="The update was not made: weights and optimizer are as before this step. "
        "Check the data, lower the lr, or set clip_norm.",
    )


def _problem(trainer: Training, inputs: Sequence[Any], targets: Any) -> str:
    """Whether the loss is not finite, or a gradient of a finite loss."""
    with no_grad():
        loss = float(trainer.loss(trainer.model(*inputs), targets)._data)
    return f"the loss is {loss}" if not math.isfinite(loss) else "a gradient is NaN or infinite"


def _samples(trainer: Training) -> str:
    loader = trainer.loader
    if loader is None:
        return "samples unknown"
    start = trainer.batch * loader.batch_size
    order = loader.order(trainer.epoch)[start : start + loader.batch_size]
    return f"samples {listing(order.tolist())}"


def _find_cause(trainer: Training, inputs: Sequence[Any], targets: Any) -> str:
    """A sentence on the origin of the first NaN or infinity, from computing the batch again."""
    for x in inputs:
        if (place := _bad_row(x)) is not None:
            return f"the input holds it already: row {place} of the batch"
    if (place := _bad_row(targets)) is not None:
        return f"the target holds it already: row {place} of the batch"
    ignored = getattr(trainer.loss, "ignore_index", None)
    if ignored is not None and isinstance(targets, Tensor) and (targets._data == ignored).all():
        return f"every label of the batch is {ignored}, which is ignored: the mean is 0/0"
    for name, parameter in trainer.model.named_parameters():
        if not np.isfinite(parameter._data).all():
            return f"the weights {name} hold it already"
    return _first_layer(trainer, inputs, targets)


def _first_layer(trainer: Training, inputs: Sequence[Any], targets: Any) -> str:
    with detect_anomaly():
        try:
            outputs = trainer.model(*inputs)
        except NonFiniteError as error:
            where = "the model"
            if error.trail is not None:
                where = f"{'.'.join(['model', *error.trail.path])} ({error.trail.layer})"
            return f"first in {where}: {error.problem} from {error.given}"
        try:
            loss = trainer.loss(outputs, targets)
        except NonFiniteError as error:
            return f"first in the loss ({type(trainer.loss).__name__}): {error.problem}"
        try:
            loss.backward()
        except NonFiniteError as error:
            return f"first in the backward pass: {error.problem}"
    return "it did not appear again when the batch was computed once more"


def _bad_row(value: Any) -> int | None:
    data = value._data if isinstance(value, Tensor) else None
    if data is None or data.dtype.kind != "f" or not data.ndim:
        return None
    bad = ~np.isfinite(data.reshape(len(data), -1)).all(axis=1)
    return int(bad.argmax()) if bad.any() else None
