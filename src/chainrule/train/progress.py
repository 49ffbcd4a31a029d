"""Progress: one bar for the whole run on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from chainrule.train.history import line_of
from chainrule.train.notices import has_terminal, say
from chainrule.train.training import Callback, Training

_INTERVAL = 0.1
_LINES = 25
_SHOWN = ("valid_loss", "valid_accuracy", "valid_r2")


class Progress(Callback):
    """Shows the progress of training on standard error, at most ten times a second.

    On a terminal it shows one bar with the losses and the remaining time. Elsewhere (a file, a
    pipe, the log of a notebook) it prints about 25 lines per run.
    """

    order = 60

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._next = 0.0

    def on_fit_begin(self, trainer: Training) -> None:
        self._next = 0.0
        if not has_terminal():
            return
        try:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                Progress,
                TextColumn,
                TimeElapsedColumn,
                TimeRemainingColumn,
            )
        except ImportError:
            return
        self._bar = Progress(
            TextColumn("{task.fields[epoch]}", style="bold"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[numbers]}"),
            TimeElapsedColumn(),
            TextColumn("·"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            auto_refresh=False,
        )
        total = trainer.epochs * trainer.batches
        self._task = self._bar.add_task("", total=total, epoch="", numbers="")
        self._draw(self._bar.start)

    def on_step_end(self, trainer: Training) -> None:
        if self._bar is not None and (now := time.monotonic()) >= self._next:
            self._next = now + _INTERVAL
            self._show(trainer)

    def on_epoch_end(self, trainer: Training) -> None:
        if self._bar is not None:
            if trainer.finishing:
                self._show(trainer)
            return
        stride = max(1, -(-trainer.epochs // _LINES))
        if trainer.epoch % stride == 0 or trainer.epoch == trainer.epochs or trainer.finishing:
            say(line_of(trainer.record))

    def on_fit_end(self, trainer: Training) -> None:
        if self._bar is not None:
            self._draw(self._bar.stop)
            self._bar = None
        if trainer.stopped:
            say(f"stopped: {trainer.stopped}")

    def _show(self, trainer: Training) -> None:
        """Show the loss of the epoch so far, and the results of the last validation."""
        done = trainer.epoch * trainer.batches + trainer.batch
        current = min(trainer.epoch + (trainer.batch > 0), trainer.epochs)
        last = trainer.history[-1] if len(trainer.history) else {}
        shown = {"loss": trainer.meter.loss} | {k: last[k] for k in _SHOWN if k in last}
        numbers = (f"{k.replace('valid_', 'valid ')} {v:.4f}" for k, v in shown.items())
        self._draw(
            self._bar.update,
            self._task,
            completed=done,
            epoch=f"epoch {current}/{trainer.epochs}",
            numbers="  ".join(numbers),
            refresh=True,
        )

    def _draw(self, action: Callable[..., object], *arguments: Any, **options: Any) -> None:
        """Update the bar. If the terminal is closed, the bar is removed and training continues."""
        try:
            action(*arguments, **options)
        except (OSError, ValueError):
            self._bar = None
