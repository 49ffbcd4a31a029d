"""A test of learning rates: one rate a step, from small to large."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from chainrule.data.files import PathLike
from chainrule.errors import ArgumentError
from chainrule.nn.functional.checks import check_counts
from chainrule.primitive import Array
from chainrule.train.drawing import TRAIN, VALID, drawing
from chainrule.train.io.atomic import write_atomic
from chainrule.train.state import restore, snapshot
from chainrule.train.training import Callback, Training

_SMOOTHING = 0.9
_DIVERGED = 4.0


class LearningRateFinder(Callback):
    """Tries learning rates from `low` to `high` in one `fit`, then restores the training.

    Each rate is larger by a constant factor. `fit` ends after `steps` steps, or when
    the loss exceeds four times its least value. Weights, optimizer, random state and history are
    then as before.

    rates, losses: the rates that were tried, and the smoothed loss after each.
    suggestion: the rate at which the loss falls fastest.

    Source: L. N. Smith (2017), arXiv:1506.01186.

    >>> import chainrule as cr
    >>> from chainrule import nn, optim, train
    >>> _ = cr.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    >>> finder = LearningRateFinder()
    >>> trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1),
    ...                      callbacks=[finder], progress=False)
    >>> _ = trainer.fit(cr.data.digits()[0], epochs=3)
    >>> 0.01 < finder.suggestion < 10, trainer.step
    (True, 0)
    """

    order = -20

    def __init__(self, low: float = 1e-6, high: float = 10.0, steps: int = 100) -> None:
        check_counts("LearningRateFinder", steps=steps)
        if not 0 < low < high < float("inf"):
            raise ArgumentError("the rates rise from low to high", given=(low, high))
        self.low, self.high, self.steps = low, high, steps
        self._rates: list[float] = []
        self._losses: list[float] = []
        self._before: tuple[Any, str] | None = None

    @property
    def rates(self) -> Array:
        """The rates that were tried."""
        return np.array(self._rates)

    @property
    def losses(self) -> Array:
        """The loss after each rate: an exponential average, corrected for its start."""
        return np.array(self._losses)

    @property
    def suggestion(self) -> float:
        """The rate at which the loss falls fastest over ln(rate); ArgumentError before `fit`."""
        if len(self._rates) < 3:
            raise ArgumentError(
                "fewer than three rates were tried", instead="Run trainer.fit(train) first."
            )
        slopes = np.gradient(self.losses, np.log(self.rates))
        return float(self.rates[int(slopes.argmin())])

    def on_fit_begin(self, trainer: Training) -> None:
        if trainer.scheduler is not None:
            raise ArgumentError(
                "a schedule and LearningRateFinder both set the rate",
                instead="Find the rate with a Trainer without scheduler.",
            )
        self._rates, self._losses, self._average = [], [], 0.0
        self._before = snapshot(trainer), trainer.on_nonfinite
        trainer.on_nonfinite = "stop"
        count = min(self.steps, trainer.epochs * trainer.batches)
        self._factor = (self.high / self.low) ** (1 / max(1, count - 1))
        self._count = count
        self._set(trainer, self.low)

    def on_step_end(self, trainer: Training) -> None:
        rate = float(trainer.optimizer.param_groups[0]["lr"])
        self._average = _SMOOTHING * self._average + (1 - _SMOOTHING) * trainer.loss_value
        loss = self._average / (1 - _SMOOTHING ** (len(self._rates) + 1))
        self._rates.append(rate)
        self._losses.append(loss)
        if len(self._rates) == self._count or loss > _DIVERGED * min(self._losses):
            trainer.stop(f"{len(self._rates)} learning rates tried")
        else:
            self._set(trainer, rate * self._factor)

    def on_fit_end(self, trainer: Training) -> None:
        if self._before is not None:
            state, trainer.on_nonfinite = self._before
            restore(trainer, state)
            self._before = None

    @staticmethod
    def _set(trainer: Training, rate: float) -> None:
        for group in trainer.optimizer.param_groups:
            group["lr"] = rate

    def plot(self, path: PathLike | None = None) -> str:
        """The loss over the rate as SVG, also written to `path`. Needs the extra `plot`."""
        suggestion = self.suggestion
        with drawing(5.6, 3.4) as (figure, result):
            axes: Any = figure.subplots()
            axes.plot(self.rates, self.losses, color=TRAIN)
            axes.axvline(suggestion, color=VALID, linewidth=1, label=f"suggestion {suggestion:.2g}")
            axes.set(xscale="log", xlabel="learning rate", ylabel="loss (smoothed)")
            axes.legend()
        if path is not None:
            write_atomic(os.fspath(path), [result[0].encode()])
        return result[0]

    def _repr_svg_(self) -> str:
        return self.plot()
