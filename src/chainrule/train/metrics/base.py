"""What every metric is: a number accumulated over batches."""

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
"""The label that does not count, unless the loss says another."""


class Metric(ABC):
    """A number accumulated over batches. Subclass it: `update` adds to `self.state`.

    name: how it is called in logs. rises: whether a larger value is better. state: everything
    accumulated, one float64 array.
    predicts, ignored: what the loss of its Trainer declares: the meaning of the outputs (None if
    it declares none), and the label that does not count.
    """

    name: str
    rises: bool = True
    state: Array
    predicts: Prediction | None = None
    ignored: int = IGNORED

    @abstractmethod
    def update(self, outputs: Any, targets: Any) -> None:
        """Take in one batch: tensors or arrays of equal length."""

    @abstractmethod
    def compute(self) -> Any:
        """The value for everything since the last reset; NaN if there was nothing."""

    def follow(self, loss: Module | None) -> None:
        """Read outputs and targets as a loss does; the Trainer calls it with its own."""
        self.predicts = getattr(loss, "predicts", None)
        self.ignored = getattr(loss, "ignore_index", IGNORED)

    def reset(self) -> None:
        """Forget everything."""
        self.state = np.zeros_like(self.state)

    def state_dict(self) -> dict[str, Any]:
        """What was accumulated, to go on with later."""
        return {"state": self.state.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a saved metric stood; ShapeError for the state of another metric."""
        saved = np.array(as_array(state["state"]), np.float64)
        if not self.fits(saved.shape):
            raise ShapeError(f"not a state of {self.name}", given=f"shape {saved.shape}")
        self.state = saved

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether a state may have this shape."""
        return shape == self.state.shape

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.compute()})"


def as_array(value: Any) -> Array:
    """The numbers of a tensor or anything array-like."""
    return value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)


def ratio(total: float, count: float) -> float:
    """total / count; NaN of nothing."""
    return float(total / count) if count else math.nan
