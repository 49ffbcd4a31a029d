"""Metrics: numbers that measure predictions, accumulated over batches.

`update` adds the outputs and the targets of a batch. `compute` returns the value for all batches.
`reset` removes them. The state of a metric is one small float64 array, so a metric can be saved
within an epoch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chainrule.errors import ArgumentError, DTypeError, listing
from chainrule.train.metrics.base import Metric, as_array
from chainrule.train.metrics.classes import (
    F1,
    Accuracy,
    ConfusionMatrix,
    Precision,
    Recall,
    TopK,
)
from chainrule.train.metrics.function import FunctionMetric
from chainrule.train.metrics.values import R2, MeanAbsoluteError, MeanSquaredError

__all__ = [
    "F1",
    "R2",
    "Accuracy",
    "ConfusionMatrix",
    "FunctionMetric",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "Recall",
    "TopK",
    "as_array",
    "as_metric",
    "direction",
    "named",
]

_KINDS = {
    kind.name: kind
    for kind in (
        Accuracy,
        ConfusionMatrix,
        Precision,
        Recall,
        F1,
        MeanSquaredError,
        MeanAbsoluteError,
        R2,
    )
}


def named(name: str) -> Metric:
    """The metric with a name, such as `accuracy` or `r2`; ArgumentError for unknown names.

    >>> named("f1")
    F1(nan)
    """
    if name not in _KINDS:
        raise ArgumentError(
            "unknown metric", given=repr(name), expected=listing(list(_KINDS), like=name)
        )
    metric: Metric = _KINDS[name]()
    return metric


def as_metric(value: Any) -> Metric:
    """A metric, a name of one, or a function (outputs, targets) -> number, as a metric."""
    if isinstance(value, str):
        return named(value)
    if isinstance(value, type) or not (isinstance(value, Metric) or callable(value)):
        raise DTypeError(
            "this is no metric",
            given=value.__name__ if isinstance(value, type) else type(value).__name__,
            expected="a name such as 'accuracy', a Metric, or a function (outputs, targets)",
            instead=f"Pass an instance: {value.__name__}()." if isinstance(value, type) else None,
        )
    return value if isinstance(value, Metric) else FunctionMetric(value)


def direction(monitor: str, metrics: Iterable[Metric] = ()) -> str:
    """Whether smaller ("min") or larger ("max") values of a loss or metric are better.

    >>> direction("valid_loss"), direction("valid_accuracy")
    ('min', 'max')
    """
    kinds = [*_KINDS.values(), *metrics]
    rises = {"loss": False, **{metric.name: metric.rises for metric in kinds}}
    name = monitor.removeprefix("valid_")
    if rises.get(name) is None:
        raise ArgumentError(
            f"it is unknown whether {monitor} should rise or fall",
            instead="Pass mode='max' or mode='min'.",
        )
    return "max" if rises[name] else "min"
