"""Metrics: numbers that measure predictions, accumulated over batches.

`update` adds the outputs and the targets of a batch. `compute` returns the value for all batches.
`reset` removes them. The state of a metric is one small float64 array, so a metric can be saved
within an epoch.
"""

from __future__ import annotations

from collections.abc import Iterable

from chainrule.errors import ArgumentError, listing
from chainrule.train.metrics.base import Metric, as_array
from chainrule.train.metrics.classes import (
    F1,
    Accuracy,
    ConfusionMatrix,
    Precision,
    Recall,
    TopK,
)
from chainrule.train.metrics.values import R2, MeanAbsoluteError, MeanSquaredError

__all__ = [
    "F1",
    "R2",
    "Accuracy",
    "ConfusionMatrix",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "Recall",
    "TopK",
    "as_array",
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
        raise ArgumentError("unknown metric", given=repr(name), expected=listing(list(_KINDS), 20))
    metric: Metric = _KINDS[name]()
    return metric


def direction(monitor: str, metrics: Iterable[Metric] = ()) -> str:
    """Whether smaller ("min") or larger ("max") values of a loss or metric are better.

    >>> direction("valid_loss"), direction("valid_accuracy")
    ('min', 'max')
    """
    kinds = [*_KINDS.values(), *metrics]
    rises = {"loss": False, **{metric.name: metric.rises for metric in kinds}}
    name = monitor.removeprefix("valid_")
    if name not in rises:
        raise ArgumentError(
            f"it is unknown whether {monitor} should rise or fall",
            instead="Pass mode='max' or mode='min'.",
        )
    return "max" if rises[name] else "min"
