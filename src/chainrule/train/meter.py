"""The meter: collects the loss and the metrics of a pass over data, with little cost per step."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, CheckpointError
from chainrule.nn.module import Module
from chainrule.primitive import Array
from chainrule.train.arrays import fitted
from chainrule.train.gathering import Measured, of_all_ranks
from chainrule.train.metrics import as_metric
from chainrule.world import world

_TOGETHER = 1 << 14
"""The largest number of buffered output elements.

The metrics are computed when the buffer is full. The limit is large enough to make the cost per
batch small, and small enough to keep the memory small for models with large outputs."""


class Meter:
    """Collects the loss and the outputs of batches, and updates the metrics for many batches at
    once.

    A step only appends to a buffer, since one call of a metric for many small batches costs hardly
    more than for one. The loss is that of all samples together, for any batch size. The mean of a
    batch is weighted by its divisor, as the loss defines it (`Loss.divisor`), or by the number of
    samples. Sums are added. Without metrics, outputs and targets are neither kept nor sent.

    With several ranks, each measures its own batches or parts of batches, and `flush`, `results`
    and `state_dict` are called by all of them: the metrics are those of one process.

    >>> meter = Meter(["accuracy"])
    >>> meter.add(0.5, np.array([[2.0, 1.0]]), np.array([0]))
    >>> meter.results()
    {'loss': 0.5, 'accuracy': 1.0}
    """

    def __init__(self, metrics: Sequence[Any], loss: Module | None = None) -> None:
        self.metrics = [as_metric(m) for m in ([metrics] if isinstance(metrics, str) else metrics)]
        names = [metric.name for metric in self.metrics]
        if len({*names, "loss"}) <= len(names):
            raise ArgumentError("two metrics have one name, or are called loss", given=names)
        for metric in self.metrics:
            metric.follow(loss)
        self._shared = world().size > 1
        self._adds_up = getattr(loss, "reduction", "mean") == "sum"
        self._divisor = len if self._adds_up else getattr(loss, "divisor", len)
        self._predicts = getattr(loss, "predicts", None)
        self._waiting: list[Measured] = []
        self._numbers = self._count = 0
        self._total, self._weight = 0.0, 0.0

    def fresh(self) -> Meter:
        """An empty meter with copies of the same metrics."""
        self.flush()
        other = copy.copy(self)
        other.metrics = copy.deepcopy(self.metrics)
        other.reset()
        return other

    def add(
        self,
        loss: float,
        outputs: Any,
        targets: Any,
        weight: float | None = None,
        place: int | None = None,
    ) -> None:
        """Add one batch: its loss, and its outputs and targets as tensors or arrays.

        weight: the divisor of the loss; by default that of the targets, in the form that the loss
        declares. place: the number of the batch, where ranks share batches.
        """
        self._count += 1
        number = self._count if place is None else place
        targets = numbers(fitted(self._predicts, outputs, targets))
        if self.metrics:
            outputs = numbers(outputs)
            self._numbers += outputs.size if isinstance(outputs, np.ndarray) else np.size(outputs)
        else:
            weight = self._divisor(targets) if weight is None else weight
            outputs, targets = None, None
            self._numbers += 1
        self._waiting.append(Measured(number, loss, outputs, targets, weight))
        if self._numbers >= _TOGETHER and not self._shared:
            self.flush()

    def flush(self) -> None:
        """Update the loss and the metrics with the buffered batches."""
        waiting, self._waiting, self._numbers = self._waiting, [], 0
        if self._shared:
            waiting = of_all_ranks(waiting)
        self._total, self._weight = self._with(waiting)
        for outputs, targets in _joined([m[2:4] for m in waiting]) if self.metrics else ():
            for metric in self.metrics:
                metric.update(outputs, targets)

    def _with(self, waiting: Sequence[Measured]) -> tuple[float, float]:
        """The sum of losses and that of weights, with further batches."""
        total, weights = self._total, self._weight
        for _, loss, _, targets, weight in waiting:
            weight = self._divisor(targets) if weight is None else weight
            if weight:  # the loss of a batch of ignored labels is 0/0
                total += loss if self._adds_up else loss * weight
                weights += weight
        return total, weights

    @property
    def loss(self) -> float:
        """The loss of all batches so far, as mean or sum; NaN without batches."""
        if not self._shared:
            self.flush()
        total, weight = self._with(self._waiting)
        if not weight:
            return math.nan
        return total if self._adds_up else total / weight

    def results(self) -> dict[str, Any]:
        """The loss and each metric by name; arrays as lists."""
        self.flush()
        values = {metric.name: metric.compute() for metric in self.metrics}
        plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}
        return {"loss": self.loss, **plain}

    def reset(self) -> None:
        """Remove all batches."""
        self._waiting, self._numbers, self._total, self._weight = [], 0, 0.0, 0.0
        self._count = 0
        for metric in self.metrics:
            metric.reset()

    def state_dict(self) -> dict[str, Any]:
        """The collected state, for a checkpoint."""
        self.flush()
        metrics = {metric.name: metric.state_dict() for metric in self.metrics}
        return {"loss": self._total, "weight": self._weight, "metrics": metrics}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a saved meter."""
        names = [metric.name for metric in self.metrics]
        if list(state["metrics"]) != names:
            raise CheckpointError(
                "the saved run had other metrics", given=names, expected=list(state["metrics"])
            )
        self._waiting, self._numbers = [], 0
        self._total, self._weight = float(state["loss"]), float(state["weight"])
        for metric in self.metrics:
            metric.load_state_dict(state["metrics"][metric.name])


def _joined(waiting: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """All batches joined into one, if they have the same form."""
    if len(waiting) < 2 or len({_form(x) + _form(y) for x, y in waiting}) > 1:
        return waiting
    if not all(isinstance(part, np.ndarray) and part.ndim for part in waiting[0]):
        return waiting
    outputs, targets = zip(*waiting, strict=True)
    return [(np.concatenate(outputs), np.concatenate(targets))]


def _form(part: Any) -> tuple[Any, ...]:
    return (part.dtype, part.shape[1:]) if isinstance(part, np.ndarray) else (type(part),)


def metrics_for(loss: Module) -> tuple[str, ...]:
    """The names of the metrics that suit a loss, as it declares them."""
    return getattr(loss, "metrics", ())


def numbers(value: Any) -> Any:
    """The array of a tensor, without its tape; other values unchanged."""
    array: Array = getattr(value, "_data", value)
    return array
