"""The meter: the loss and the metrics of a pass over data, at next to no cost per step."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, CheckpointError
from chainrule.nn.module import Module
from chainrule.primitive import Array
from chainrule.train.metrics import R2, Accuracy, Metric

_TOGETHER = 1 << 14
"""Numbers in outputs that wait: enough that a call of a metric costs little for each batch, few
enough that they take no memory to speak of, however large the outputs of a model are."""


class Meter:
    """Collects the loss and the outputs of batches, and updates the metrics for many at once.

    One call of argmax for many small batches costs hardly more than for one, so a step only
    appends.

    >>> meter = Meter([Accuracy()])
    >>> meter.add(0.5, np.array([[2.0, 1.0]]), np.array([0]))
    >>> meter.results()
    {'loss': 0.5, 'accuracy': 1.0}
    """

    def __init__(self, metrics: Sequence[Metric]) -> None:
        names = [metric.name for metric in metrics]
        if len({*names, "loss"}) <= len(names):
            raise ArgumentError("two metrics have one name, or are called loss", given=names)
        self.metrics = list(metrics)
        self._waiting: list[tuple[Any, Any]] = []
        self._numbers = 0
        self._loss, self._count = 0.0, 0

    def fresh(self) -> Meter:
        """A meter with copies of the same metrics that has seen nothing."""
        other = Meter(copy.deepcopy(self.metrics))
        other.reset()
        return other

    def add(self, loss: float, outputs: Any, targets: Any) -> None:
        """Take in one batch: its mean loss, and its outputs and targets as arrays."""
        count = len(targets)
        self._loss += loss * count
        self._count += count
        if self.metrics:
            self._waiting.append((outputs, targets))
            self._numbers += np.size(outputs)
            if self._numbers >= _TOGETHER:
                self.flush()

    def flush(self) -> None:
        """Give the waiting batches to the metrics."""
        waiting, self._waiting, self._numbers = self._waiting, [], 0
        for outputs, targets in _joined(waiting):
            for metric in self.metrics:
                metric.update(outputs, targets)

    @property
    def loss(self) -> float:
        """The mean loss per sample so far."""
        return self._loss / self._count if self._count else math.nan

    def results(self) -> dict[str, Any]:
        """{"loss": ..., and each metric by name}; arrays as lists."""
        self.flush()
        values = {metric.name: metric.compute() for metric in self.metrics}
        plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}
        return {"loss": self.loss, **plain}

    def reset(self) -> None:
        """Forget everything."""
        self._waiting, self._numbers, self._loss, self._count = [], 0, 0.0, 0
        for metric in self.metrics:
            metric.reset()

    def state_dict(self) -> dict[str, Any]:
        """What was collected, to go on with later."""
        self.flush()
        metrics = {metric.name: metric.state_dict() for metric in self.metrics}
        return {"loss": self._loss, "count": self._count, "metrics": metrics}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a saved meter stood."""
        names = [metric.name for metric in self.metrics]
        if list(state["metrics"]) != names:
            raise CheckpointError(
                "the saved run had other metrics", given=names, expected=list(state["metrics"])
            )
        self._waiting, self._numbers = [], 0
        self._loss, self._count = state["loss"], state["count"]
        for metric in self.metrics:
            metric.load_state_dict(state["metrics"][metric.name])


def _joined(waiting: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """All batches as one, where they have one form."""
    if len(waiting) < 2 or len({_form(x) + _form(y) for x, y in waiting}) > 1:
        return waiting
    if not all(isinstance(part, np.ndarray) and part.ndim for part in waiting[0]):
        return waiting
    return [tuple(np.concatenate(parts) for parts in zip(*waiting, strict=True))]  # type: ignore[list-item]


def _form(part: Any) -> tuple[Any, ...]:
    return (part.dtype, part.shape[1:]) if isinstance(part, np.ndarray) else (type(part),)


def metrics_for(loss: Module) -> list[Metric]:
    """What is worth knowing beside a loss: accuracy for classes, R² for numbers."""
    name = type(loss).__name__
    if name in ("CrossEntropyLoss", "NLLLoss", "BCEWithLogitsLoss"):
        return [Accuracy()]
    if name == "BCELoss":
        return [Accuracy(threshold=0.5)]
    return [R2()] if name in ("MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss") else []


def numbers(value: Any) -> Any:
    """The array of a tensor, without the tape that led to it; anything else as it is."""
    array: Array = getattr(value, "_data", value)
    return array
