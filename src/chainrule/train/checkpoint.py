"""The callback that writes checkpoints, and the choice of the checkpoint to resume from."""

from __future__ import annotations

import os
import time
import warnings
from copy import deepcopy
from typing import Any

import numpy as np

from chainrule.data.files import PathLike
from chainrule.errors import ArgumentError, CheckpointError, NonFiniteError
from chainrule.nn.functional.checks import check_counts
from chainrule.train.callbacks import is_best, monitored
from chainrule.train.history import Best
from chainrule.train.io.checkpoints import CheckpointFolder
from chainrule.train.io.files import load
from chainrule.train.state import snapshot
from chainrule.train.training import Callback, Training
from chainrule.world import world

_PAUSE = 1.0


class ModelCheckpoint(Callback):
    """Saves the state of the training regularly, and the weights of the best epoch.

    Parameters
    ----------
    folder: the folder of the checkpoints; by default `<out>/checkpoints` of the trainer.
    every: steps between checkpoints. By default one is saved after each epoch, unless the last one
        is less than a second old.
    keep_last: the number of checkpoints to keep. best: also keep `best.safetensors`, the weights of
        the epoch with the best `monitor` (by default the validation loss). NaN is never best.
    on_error: if saving fails, for example on a full disk, "warn" and continue, or "raise".
    """

    order = 90

    def __init__(
        self,
        folder: PathLike | None = None,
        *,
        every: int | None = None,
        keep_last: int = 3,
        best: bool = True,
        monitor: str | None = None,
        mode: str | None = None,
        on_error: str = "warn",
    ) -> None:
        check_counts("ModelCheckpoint", keep_last=keep_last, every=1 if every is None else every)
        if on_error not in ("warn", "raise"):
            raise ArgumentError("unknown on_error", given=on_error, expected="'warn' or 'raise'")
        self.folder = folder
        self.every, self.keep_last, self.on_error = every, keep_last, on_error
        self.best = Best(mode) if best else None
        self.monitor = monitor
        self._unsaved_best: dict[str, Any] | None = None
        self._saved_step, self._saved_at = -1, -_PAUSE

    def folders(self) -> list[PathLike]:
        return [] if self.folder is None else [self.folder]

    def checkpoints(self, trainer: Training) -> CheckpointFolder:
        """The folder of the checkpoints; ArgumentError if neither callback nor trainer has one."""
        if self.folder is not None:
            return CheckpointFolder(self.folder, self.keep_last)
        if trainer.out is None:
            raise ArgumentError(
                "where do the checkpoints go?",
                instead="Trainer(..., out='runs/one') or ModelCheckpoint('folder').",
            )
        return CheckpointFolder(os.path.join(trainer.out, "checkpoints"), self.keep_last)

    def on_fit_begin(self, trainer: Training) -> None:
        if not world().rank:
            self.checkpoints(trainer).create()

    def on_step_end(self, trainer: Training) -> None:
        if self.every is not None and trainer.step % self.every == 0:
            self.save(trainer)

    def on_epoch_end(self, trainer: Training) -> None:
        if self.best is not None and is_best(trainer, self.best, self.monitor):
            self._unsaved_best = {
                "model": deepcopy(trainer.model.state_dict()),
                "epoch": trainer.epoch,
                "monitor": monitored(trainer, self.monitor),
                "value": self.best.value,
            }
        due = self.every is not None or time.monotonic() - self._saved_at >= _PAUSE
        if world().broadcast(np.array(due or trainer.finishing)):  # ranks save together
            self.save(trainer)

    def save(self, trainer: Training) -> str | None:
        """Save now. Returns the path, or None if saving failed and `on_error` is "warn".

        Of several ranks, which all call it at the same step, the first one writes.
        """
        assert_finite(trainer)
        folder, state = self.checkpoints(trainer), snapshot(trainer)
        if world().rank:
            self._unsaved_best, self._saved_step = None, trainer.step
            return None
        try:
            if self._unsaved_best is not None:
                path = os.path.join(folder.path, "best.safetensors")
                folder.write(self._unsaved_best, path)
                self._unsaved_best = None
            path = folder.save(state, trainer.step)
        except OSError as error:
            if self.on_error == "raise":
                raise
            warnings.warn(f"no checkpoint: {error}; training goes on", stacklevel=2)
            return None
        self._saved_step, self._saved_at = trainer.step, time.monotonic()
        return path

    def state_dict(self) -> dict[str, Any]:
        return {"best": None if self.best is None else self.best.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.best is not None:
            self.best.load(state["best"])


def assert_finite(trainer: Training) -> None:
    """Raise NonFiniteError if a weight is NaN or infinite: such a state must not be saved."""
    for name, parameter in trainer.model.named_parameters():
        if not np.isfinite(parameter._data).all():
            raise NonFiniteError(
                f"the weights {name} hold NaN or infinity, and are not saved",
                instead="The last checkpoint is from before; go on from it with a smaller lr.",
            )


def find_state(trainer: Training, resume: bool | PathLike) -> Any:
    """The state to resume from: that of a path, or the newest in the folder; None to start anew.

    Raises CheckpointError if a new training would overwrite a run in the folder.
    """
    if not isinstance(resume, bool):
        return load(resume)
    saver = next((c for c in trainer.callbacks if isinstance(c, ModelCheckpoint)), None)
    if saver is None:
        if resume:
            raise ArgumentError(
                "there is no folder to resume from", instead="Trainer(..., out='runs/one')"
            )
        return None
    folder = saver.checkpoints(trainer)
    if resume:
        found = folder.newest()
        return None if found is None else found[0]
    if trainer.step == 0 and folder.files():
        raise CheckpointError(
            f"{folder.path} holds another run, which this one would overwrite",
            instead="Pass resume=True to continue it, or another folder as out.",
        )
    return None
