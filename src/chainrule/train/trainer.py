"""The Trainer: the loop over epochs and steps, with validation, checkpoints and callbacks."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from chainrule.data.files import PathLike
from chainrule.data.loader import DataLoader
from chainrule.errors import ArgumentError, NonFiniteError
from chainrule.nn.module import Module
from chainrule.optim import Optimizer, ReduceLROnPlateau
from chainrule.tensor import Tensor, from_numpy
from chainrule.train.agreement import EVERY, check_start, check_state, exchange_stops
from chainrule.train.callbacks import JSONLHistory
from chainrule.train.checkpoint import ModelCheckpoint, find_state
from chainrule.train.diagnose import explained
from chainrule.train.history import History, Record
from chainrule.train.io.lock import locked
from chainrule.train.locate import samples_of
from chainrule.train.metrics import Metric
from chainrule.train.notices import say
from chainrule.train.progress import Progress
from chainrule.train.signals import Interrupts
from chainrule.train.state import restore, snapshot
from chainrule.train.training import TURNS, Callback, Parts, Training, check_choice, check_parts
from chainrule.world import world

_NONFINITE = ("raise", "stop", "skip")
_FIXED = ("out", "checkpoint_every", "progress", "shards")


class Trainer(Training):
    """Trains a model: each batch is one optimizer step on loss(model(x), y).

    Parameters
    ----------
    model, loss, optimizer: as in a hand-written loop.
    metrics: by default those that suit the loss: accuracy for classes, R² for numbers.
    callbacks: see :class:`Callback`.
    scheduler: a schedule of the learning rate, advanced after each step, or after each epoch with
        `schedule_every="epoch"`.
    clip_norm: the largest norm of all gradients together; larger gradients are scaled down.
    out: a folder for the history and the checkpoints; one process at a time may train in it.
    checkpoint_every: steps between checkpoints; by default one after an epoch.
    seed: the seed of the order of the data. Weights and dropout follow `cr.manual_seed`.
    on_nonfinite: if the loss or a gradient is NaN or infinite, the update is not made. Then "raise"
        NonFiniteError, "stop" training with a warning, or "skip" the batch.
    checkpoint_on_error: whether to save also when an exception ends training.
    progress: whether to show a bar, or lines without a terminal.
    compiled: whether to compile each step with `cr.compile`. A step that cannot be captured runs
        eagerly, and a line gives the reason.
    shards: cut each batch into this many parts with their own gradients, random numbers and batch
        statistics. The ranks of a job share them, see `chainrule.distributed`: the result has the
        same bits for any number of ranks that divides the shards. By default as many as ranks, and
        no parts for one process.

    >>> import chainrule as cr
    >>> from chainrule import nn, optim
    >>> data = cr.data.ArrayDataset([[0.0], [1.0], [2.0], [3.0]], [[1.0], [3.0], [5.0], [7.0]])
    >>> model = nn.Linear(1, 1)
    >>> trainer = Trainer(
    ...     model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1), progress=False)
    >>> history = trainer.fit(data, epochs=200, batch_size=4)
    >>> history["loss"][-1] < 1e-3, trainer.predict([[10.0]]).round(1)
    (True, array([[21.]], dtype=float32))
    """

    def __init__(
        self,
        model: Module,
        loss: Module,
        optimizer: Optimizer,
        *,
        metrics: Sequence[Metric | str] | None = None,
        callbacks: Sequence[Callback] = (),
        scheduler: Any = None,
        schedule_every: str = "step",
        clip_norm: float | None = None,
        out: PathLike | None = None,
        checkpoint_every: int | None = None,
        seed: int = 0,
        on_nonfinite: str = "raise",
        checkpoint_on_error: bool = False,
        progress: bool = True,
        compiled: bool = True,
        shards: int | None = None,
    ) -> None:
        parts = Parts(model, loss, optimizer, scheduler, schedule_every, clip_norm, compiled)
        super().__init__(parts, metrics, None if out is None else os.fspath(out), shards)
        self.seed, self.on_nonfinite = seed, on_nonfinite
        self.checkpoint_on_error = checkpoint_on_error
        self.callbacks = self._with_defaults(callbacks, checkpoint_every, progress)
        self.resume_hint = "call fit again with resume=True"
        check_parts(self)

    _watched = Training._watched | {*_FIXED, "on_nonfinite"}

    def _checked(self, name: str, value: Any) -> Any:
        if name in _FIXED:
            raise ArgumentError(
                f"{name} is fixed when the Trainer is made",
                given=repr(value),
                instead=f"Make another one: Trainer(..., {name}=...), or change its callbacks.",
            )
        if name == "on_nonfinite":
            check_choice(name, value, _NONFINITE)
        return super()._checked(name, value)

    def _with_defaults(
        self, callbacks: Sequence[Callback], every: int | None, progress: bool
    ) -> list[Callback]:
        own: list[Callback] = [Progress()] if progress and not world().rank else []
        if self.out is not None:
            own += [JSONLHistory(os.path.join(self.out, "history.jsonl"))]
            own += [ModelCheckpoint(every=every)]
        missing = [x for x in own if not any(isinstance(c, type(x)) for c in callbacks)]
        return _ordered([*callbacks, *missing])

    # -- training ------------------------------------------------------------------------------

    def fit(
        self,
        train: Any,
        valid: Any = None,
        epochs: int = 1,
        batch_size: int = 32,
        *,
        shuffle: bool = True,
        resume: bool | PathLike = False,
        override: bool = False,
        progress: bool | None = None,
    ) -> History:
        """Train for `epochs` epochs with validation after each; returns the history.

        train, valid: datasets, loaders, or pairs (x, y) of arrays, lists or DataFrames. A second
        call continues training.

        progress: whether this call shows a bar; by default as the Trainer was made.

        resume: True resumes from the newest checkpoint in `out`, or starts anew if there is none. A
        path resumes from that checkpoint. The result has the same bits as without interruption.
        `epochs` then includes the finished epochs. If the setup differs from the saved one (batch
        size, length of the data, learning rate, ...), CheckpointError is raised; `override=True`
        uses the new setup.

        Ctrl-C and SIGTERM finish the step, save, and return the history so far, with `interrupted`
        set. A second Ctrl-C stops immediately.
        """
        part = None if self.sharding is None else self.sharding.part
        loader = self._loader(train, batch_size, shuffle, self.seed, part)
        if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 0:
            raise ArgumentError("epochs is a whole number", given=repr(epochs), expected=">= 0")
        validation = None if valid is None else self._loader(valid)
        check_parts(self)
        with self._prepared(progress) as interrupts:
            self._interrupts = interrupts
            self._start(loader, epochs, resume, override)
            try:
                if world().size > 1:
                    check_start(self, self.shards or 1)
                self._call("on_fit_begin")
                while self.epoch < self.epochs and not self.finishing:
                    if not self._run_epoch(loader, validation):
                        break
                self._finish()
            except BaseException as error:
                self._fail(error)
                raise
        return self.history

    @contextmanager
    def _prepared(self, progress: bool | None) -> Iterator[Interrupts]:
        """Lock the folders, record signals, set training mode and the bar during the block."""
        callbacks = self.callbacks
        if progress is not None:
            bars = [c for c in callbacks if isinstance(c, Progress)] or [Progress()]
            others = [c for c in callbacks if not isinstance(c, Progress)]
            shown = progress and not world().rank
            self.callbacks = _ordered([*others, *(bars if shown else [])])
        with ExitStack() as stack:
            stack.callback(setattr, self, "callbacks", callbacks)
            own = [] if self.out is None else [self.out]
            folders = [*own, *(folder for c in self.callbacks for folder in c.folders())]
            for folder in dict.fromkeys(map(os.path.realpath, [] if world().rank else folders)):
                os.makedirs(folder, exist_ok=True)
                stack.enter_context(locked(folder))
            modes = [(module, module.training) for module in self.model.modules()]
            self.model.train()
            try:
                yield stack.enter_context(Interrupts(shared=world().size > 1))
            finally:
                for module, mode in modes:
                    module.training = mode

    def _start(
        self, loader: DataLoader, epochs: int, resume: bool | PathLike, override: bool
    ) -> None:
        previous, self.loader = self.loader, loader
        state = find_state(self, resume)
        if state is not None:
            restore(self, state, override)
        else:
            self.first_epoch, self.stopped = self.epoch, None
            if self.batch and previous is not None and _cut(previous) != _cut(loader):
                self.batch = 0  # the interrupted epoch has other batches now: start it again
        self.epochs, self.batches = self.first_epoch + epochs, len(loader)
        self.history.metrics = self.meter.metrics
        self.interrupted, self._agreed = None, False
        self.history.interrupted = self.history.stopped = None

    def _run_epoch(self, loader: DataLoader, valid: DataLoader | None) -> bool:
        """Run one epoch or the rest of it; False if a signal interrupted it."""
        started = time.monotonic()
        if self.batch == 0:
            self.meter.reset()
        self.record = {}
        loader.set_epoch(self.epoch, self.batch)
        self._call("on_epoch_begin")
        hooks = [c.on_step_end for c in self.callbacks if _defines(c, "on_step_end")]
        interrupts = self._interrupts
        self._forget("written")
        for batch in loader:
            self._step(batch)
            for hook in hooks:
                hook(self)
            if self._ended():
                break
        if self.finishing and self.batch < self.batches:
            return False
        record: Record = {"epoch": self.epoch + 1, "step": self.step, **self.meter.results()}
        if valid is not None:
            results = self._evaluate(valid, interrupts)
            if results is None:
                return False
            record |= {f"valid_{name}": value for name, value in results.items()}
        record["lr"] = float(self.optimizer.param_groups[0]["lr"])
        self._close_epoch(record, started)
        return True

    def _step(self, batch: tuple[Tensor, ...]) -> None:
        """Make one update and record it. If it fails, the state is unchanged."""
        rows: slice | None = None
        sharded: tuple[Any, ...] = ()
        if self.sharding is not None:
            share = self.sharding.share(batch, self.loss, self.loader, self.batch)
            batch, rows = share.batch, share.rows
            sharded = share.places, share.weights, self._asks()
        inputs, targets = batch[:-1] or batch, batch[-1]
        state = self.written
        before = [tensor._data for tensor in state]
        try:
            loss, outputs, *shared = self.training_step(inputs, targets, *sharded)
        except BaseException as error:
            for tensor, data in zip(state, before, strict=True):
                tensor._data = data
            if not isinstance(error, NonFiniteError):
                samples = samples_of(self.loader, self.epoch, self.batch, rows)
                self._raise(error, batch, samples)
            self._not_finite(explained(self, inputs, targets, rows))
            return
        self.step += 1
        self.batch += 1
        self._last = (loss, outputs)
        if shared:
            self._share_results(loss, outputs, targets, *shared)
        else:
            self.meter.add(float(loss._data), outputs, targets)

    def _share_results(
        self, loss: Tensor, outputs: Any, targets: Any, count: Tensor, asked: Tensor
    ) -> None:
        """Record a sharded step, and hear what other ranks ask."""
        weight = 0.0 if world().rank else float(count._data)
        self.meter.add(float(loss._data), outputs, targets, weight, self.batch)
        if world().size > 1:
            if self.batch % TURNS == 0:
                self.meter.flush()
            if self.step % EVERY == 0:
                check_state(self)
            if asked._data:
                self._agree()

    def _asks(self) -> Tensor:
        """1 if this rank wants to stop, which the other ranks hear in the step; else 0."""
        wants = self._interrupts.noted is not None or self.stopped is not None
        return from_numpy(np.array(wants, np.float32))

    def _agree(self) -> None:
        """Take over the first signal and the first reason to stop of all ranks."""
        if world().size > 1:
            noted, self.stopped = exchange_stops(self._interrupts.noted, self.stopped)
            self._interrupts.pending = noted
            self._agreed = noted is not None or self.stopped is not None

    def _ended(self) -> bool:
        """Whether the epoch ends after this step. Ranks end it together."""
        if world().size > 1:
            return self._agreed
        return self._interrupts.pending is not None or self.stopped is not None

    def _not_finite(self, error: NonFiniteError) -> None:
        if self.on_nonfinite == "raise":
            raise error
        warnings.warn(str(error), stacklevel=4)
        if self.on_nonfinite == "stop":
            self.stop(error.problem)
            self._agree()  # the sum over ranks is not finite on any of them
        else:
            self.batch += 1

    def _close_epoch(self, record: Record, started: float) -> None:
        if self.scheduler is not None and self.schedule_every == "epoch":
            watched = record.get("valid_loss", record["loss"])
            plateau = isinstance(self.scheduler, ReduceLROnPlateau)
            self.scheduler.step(*[watched] if plateau else [])
        self.epoch, self.batch = self.epoch + 1, 0
        self.record = record
        record["seconds"] = round(time.monotonic() - started, 3)
        self.history.append(record)
        self._call("on_epoch_end")
        self._agree()

    def _finish(self) -> None:
        """End training, also after a signal."""
        signal, message = self._interrupts.pending, None
        if signal is not None and not (self.epoch == self.epochs or self.stopped):
            self.interrupted = self.history.interrupted = signal
            path = self._save()
            saved = f"saved to {path}; {self.resume_hint}" if path else "not saved (no `out`)"
            message = f"{signal}: stopped after step {self.step}, {saved}"
        self.history.stopped = self.stopped
        self._call("on_fit_end")  # The bar ends before the message.
        world().barrier()  # the files of the first rank are written
        if message:
            say(message)

    def _fail(self, error: BaseException) -> None:
        """Let callbacks release their resources; the error is raised unchanged."""
        self.interrupted = type(error).__name__
        error.add_note(f"in epoch {self.epoch + 1}, after step {self.step} of the training")
        try:
            if self.checkpoint_on_error and world().size == 1:  # other ranks may be elsewhere
                self._save()
            self._call("on_fit_end")
        except Exception as second:
            error.add_note(f"and then, while closing: {second!r}")

    def _save(self) -> str | None:
        savers = [c for c in self.callbacks if isinstance(c, ModelCheckpoint)]
        return next((path for c in savers if (path := c.save(self))), None)

    def _call(self, moment: str) -> None:
        for callback in self.callbacks:
            getattr(callback, moment)(self)

    # -- state ---------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The complete state of the training, which `cr.save` can write to a file."""
        return snapshot(self)

    def load_state_dict(self, state: dict[str, Any], override: bool = False) -> None:
        """Restore a saved state, so that the next `fit` continues from it. Unchanged on error."""
        restore(self, state, override)


def _cut(loader: DataLoader) -> dict[str, Any]:
    """The settings of a loader that determine its batches."""
    place = ("epoch", "batch")
    return {name: value for name, value in loader.state_dict().items() if name not in place}


def _ordered(callbacks: list[Callback]) -> list[Callback]:
    return sorted(callbacks, key=lambda callback: callback.order)


def _defines(callback: Callback, moment: str) -> bool:
    return getattr(type(callback), moment) is not getattr(Callback, moment)
