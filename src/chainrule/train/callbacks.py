"""The callbacks that come with Chainrule."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from chainrule.data.files import PathLike
from chainrule.errors import ArgumentError, listing, missing_dependency
from chainrule.nn.functional.checks import check_counts
from chainrule.train.history import Best
from chainrule.train.io.atomic import write_atomic
from chainrule.train.io.strict_json import finite, to_json
from chainrule.train.metrics import direction
from chainrule.train.training import Callback, Training
from chainrule.world import world


def monitored(trainer: Training, monitor: str | None) -> str:
    """The quantity to monitor: the given one, or the validation loss, or the loss."""
    if monitor is None:
        return "valid_loss" if "valid_loss" in trainer.record else "loss"
    if not isinstance(trainer.record.get(monitor), (int, float)):
        known = [name for name, value in trainer.record.items() if isinstance(value, float)]
        raise ArgumentError(
            f"there is no number called {monitor!r} to watch", expected=listing(known, 20, monitor)
        )
    return monitor


def is_best(trainer: Training, best: Best, monitor: str | None) -> bool:
    """Whether the monitored quantity is better after this epoch than ever before."""
    name = monitored(trainer, monitor)
    if best.mode is None:
        best.mode = direction(name, trainer.meter.metrics)
    return best.update(trainer.record[name])


class EarlyStopping(Callback):
    """Stop after `patience` epochs without improvement, and restore the best weights.

    monitor: the quantity to monitor; by default `valid_loss`, or `loss` without validation data.
    mode: "min" or "max"; by default as the metric of that name declares. NaN is never better.
    """

    def __init__(
        self,
        patience: int = 5,
        monitor: str | None = None,
        *,
        mode: str | None = None,
        min_delta: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        check_counts("EarlyStopping", patience=patience)
        self.patience, self.monitor, self.restore_best = patience, monitor, restore_best
        self.best = Best(mode, min_delta)
        self.waited = 0
        self.best_epoch: int | None = None
        self.best_weights: dict[str, Any] | None = None

    def on_epoch_end(self, trainer: Training) -> None:
        if is_best(trainer, self.best, self.monitor):
            self.waited, self.best_epoch = 0, trainer.epoch
            if self.restore_best:
                self.best_weights = deepcopy(trainer.model.state_dict())
            return
        self.waited += 1
        if self.waited >= self.patience:
            trainer.stop(f"no better {monitored(trainer, self.monitor)} for {self.waited} epochs")

    def on_fit_end(self, trainer: Training) -> None:
        if self.best_weights is not None and trainer.interrupted is None:
            trainer.model.load_state_dict(self.best_weights)

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self.best.value,
            "waited": self.waited,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best.load(state["best"])
        epoch, weights = state["best_epoch"], state["best_weights"]
        self.waited = int(state["waited"])
        self.best_epoch = None if epoch is None else int(epoch)
        self.best_weights = None if weights is None else dict(weights)


class Log(Callback):
    """Base of callbacks that write a log, on the first rank. If writing fails, they warn once and
    training continues."""

    order = 50
    _broken = False

    def attempt(self, action: Callable[[], object]) -> None:
        """Write, unless writing has failed before."""
        if self._broken or world().rank:
            return
        try:
            action()
        except OSError as error:
            self._broken = True
            warnings.warn(
                f"{type(self).__name__} no longer writes: {error}; training goes on", stacklevel=2
            )


class JSONLHistory(Log):
    """Writes the record of each epoch as one line of JSON. A resumed run continues the file."""

    def __init__(self, path: PathLike) -> None:
        self.path = path

    def on_fit_begin(self, trainer: Training) -> None:
        # Drop the lines that a killed process wrote after its last checkpoint.
        self.attempt(lambda: write_atomic(self.path, [_lines(trainer.history.records)]))

    def on_epoch_end(self, trainer: Training) -> None:
        self.attempt(lambda: self._append(_lines([trainer.record])))

    def _append(self, line: bytes) -> None:
        with open(self.path, "ab") as file:
            file.write(line)


def _lines(records: list[dict[str, Any]]) -> bytes:
    return b"".join(to_json(finite(record)) + b"\n" for record in records)


class TensorBoard(Log):
    """Writes the numbers of each epoch for TensorBoard, with tensorboardX (the extra `logs`)."""

    def __init__(self, folder: PathLike) -> None:
        self.folder = folder
        self._writer: Any = None

    def on_fit_begin(self, trainer: Training) -> None:
        try:
            module = importlib.import_module("tensorboardX")
        except ImportError:
            raise missing_dependency("tensorboardX", "logs", "writing for TensorBoard") from None
        self.attempt(lambda: self._open(module, trainer.epoch + 1))

    def _open(self, module: Any, epoch: int) -> None:
        self._writer = module.SummaryWriter(str(self.folder), purge_step=epoch)

    def on_epoch_end(self, trainer: Training) -> None:
        self.attempt(lambda: self._add(trainer.record, trainer.epoch))

    def _add(self, record: dict[str, Any], epoch: int) -> None:
        for name, value in record.items():
            if isinstance(value, float):
                self._writer.add_scalar(name, value, epoch)
            elif isinstance(value, dict):
                for layer, number in value.items():
                    self._writer.add_scalar(f"{name}/{layer}", number, epoch)
        self._writer.flush()

    def on_fit_end(self, trainer: Training) -> None:
        self.attempt(lambda: self._writer.close())


class LayerStatistics(Callback):
    """Records the average size of the gradient and the update of each parameter in an epoch.

    Adds to the record `gradient`, the root mean square of ∂loss/∂w, and `update`, ‖Δw‖ / ‖w‖, for
    each parameter by its path. Only every `every`-th step is measured.
    """

    order = -10

    def __init__(self, every: int = 10) -> None:
        check_counts("LayerStatistics", every=every)
        self.every = every
        self._before: dict[str, Any] = {}
        self._sums: dict[str, list[float]] = {}
        self._count = 0

    def on_epoch_begin(self, trainer: Training) -> None:
        self._remember(trainer)

    def on_step_end(self, trainer: Training) -> None:
        if trainer.step % self.every == 0:
            self._look(trainer)
        self._remember(trainer)

    def _remember(self, trainer: Training) -> None:
        """Keep the weights before the next step. `assign` replaces arrays, so no copy is needed."""
        if (trainer.step + 1) % self.every == 0:
            self._before = {n: p._data for n, p in trainer.model.named_parameters()}

    def _look(self, trainer: Training) -> None:
        for name, parameter in trainer.model.named_parameters():
            if parameter.grad is None or name not in self._before:
                continue
            g, old = parameter.grad._data, self._before[name]
            sums = self._sums.setdefault(name, [0.0, 0.0])
            sums[0] += float(np.linalg.norm(g)) / max(g.size, 1) ** 0.5
            size = float(np.linalg.norm(old))
            sums[1] += float(np.linalg.norm(parameter._data - old)) / size if size else 0.0
        self._count += 1
        self._before = {}

    def on_epoch_end(self, trainer: Training) -> None:
        if self._count:
            for place, name in enumerate(("gradient", "update")):
                trainer.record[name] = {k: s[place] / self._count for k, s in self._sums.items()}
        self._sums, self._count = {}, 0

    def state_dict(self) -> dict[str, Any]:
        return {"sums": {k: list(s) for k, s in self._sums.items()}, "count": self._count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._sums = {k: [float(a), float(b)] for k, (a, b) in state["sums"].items()}
        self._count = int(state["count"])
