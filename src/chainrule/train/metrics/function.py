"""A plain function as a metric."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.tensor import Tensor, from_numpy
from chainrule.train.metrics.base import Metric, as_array

Measure = Callable[[Tensor, Tensor], Any]


class FunctionMetric(Metric):
    """function(outputs, targets) of all samples together, by the name of the function.

    The function gets tensors with the outputs and the targets of the whole set, which are kept
    until then, and returns a number. A Trainer makes this metric from a function in `metrics`.

    rises: whether larger values are better, for early stopping and the best checkpoint.

    >>> import chainrule as cr
    >>> def largest_error(outputs, targets):
    ...     return (outputs - targets).abs().max()
    >>> metric = FunctionMetric(largest_error)
    >>> metric.update(cr.tensor([1.0, 2.0]), cr.tensor([1.0, 4.0]))
    >>> metric.update(cr.tensor([3.0]), cr.tensor([3.5]))
    >>> metric.name, metric.compute()
    ('largest_error', 2.0)
    """

    def __init__(self, function: Measure, rises: bool | None = None) -> None:
        self.function, self.rises = function, rises
        self.name = getattr(function, "__name__", type(function).__name__)
        if not self.name.isidentifier():
            raise ArgumentError(
                "the function of a metric needs a name",
                given=self.name,
                instead="Define it with `def name(outputs, targets): ...`.",
            )
        self.reset()

    def reset(self) -> None:
        self.batches: list[tuple[Any, Any]] = []

    def update(self, outputs: Any, targets: Any) -> None:
        self.batches.append((as_array(outputs), as_array(targets)))

    def compute(self) -> float:
        if not self.batches:
            return math.nan
        outputs, targets = map(np.concatenate, zip(*self.batches, strict=True))
        return float(self.function(from_numpy(outputs), from_numpy(targets)))

    def state_dict(self) -> dict[str, Any]:
        if not self.batches:
            return {}
        outputs, targets = map(np.concatenate, zip(*self.batches, strict=True))
        return {"outputs": outputs, "targets": targets}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.reset()
        if state:
            self.update(state["outputs"], state["targets"])
