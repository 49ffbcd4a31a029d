"""The base class of metrics."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.nn.module import Module
from chainrule.nn.predictions import Prediction
from chainrule.primitive import Array
from chainrule.tensor import Tensor

IGNORED = -100
"""The label that is ignored, unless the loss declares another."""


class Metric(ABC):
    """A number accumulated over batches. Subclass it; `update` adds to `self.state`.

    name: the name in logs. rises: whether larger values are better; None if unknown. state: the
    accumulated numbers, one float64 array. predicts, ignored: declarations of the Trainer's loss:
    the meaning of the outputs (None if not declared), and the ignored label.

    >>> class Extremes(Metric):
    ...     name, rises = "largest error", False
    ...     def __init__(self):
    ...         self.state = np.zeros(1)
    ...     def update(self, outputs, targets):
    ...         errors = np.abs(as_array(outputs) - as_array(targets))
    ...         self.state = np.maximum(self.state, errors.max())
    ...     def compute(self):
    ...         return float(self.state[0])
    >>> metric = Extremes()
    >>> metric.update(np.array([1.0, 2.0]), np.array([1.5, 2.0]))
    >>> metric.compute()
    0.5
    """

    name: str
    rises: bool | None = True
    state: Array
    predicts: Prediction | None = None
    ignored: int = IGNORED

    @abstractmethod
    def update(self, outputs: Any, targets: Any) -> None:
        """Add one batch: tensors or arrays of equal length."""

    @abstractmethod
    def compute(self) -> Any:
        """The value for all batches since the last reset; NaN without batches."""

    def follow(self, loss: Module | None) -> None:
        """Interpret outputs and targets as a loss does. The Trainer calls it with its loss."""
        self.predicts = getattr(loss, "predicts", None)
        self.ignored = getattr(loss, "ignore_index", IGNORED)

    def reset(self) -> None:
        """Remove all batches."""
        self.state = np.zeros_like(self.state)

    def state_dict(self) -> dict[str, Any]:
        """The accumulated state, for a checkpoint."""
        return {"state": self.state.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a saved state; ShapeError for the state of another metric."""
        saved = np.array(as_array(state["state"]), np.float64)
        if not self.fits(saved.shape):
            raise ShapeError(f"not a state of {self.name}", given=f"shape {saved.shape}")
        self.state = saved

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether this is a valid shape of the state."""
        return shape == self.state.shape

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.compute()})"


def as_array(value: Any) -> Array:
    """The array of a tensor or an array-like value."""
    return value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)


def ratio(total: float, count: float) -> float:
    """total / count; NaN if count is 0."""
    return float(total / count) if count else math.nan
