"""The part of a training that callbacks use: its parts and its progress; and the callbacks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, NoReturn

from chainrule import tree
from chainrule.data.files import PathLike
from chainrule.data.loader import DataLoader
from chainrule.errors import ArgumentError, DTypeError, listing
from chainrule.nn.module import Module
from chainrule.nn.predictions import VALUES, Prediction
from chainrule.ops.random import default_generator
from chainrule.optim import Optimizer
from chainrule.primitive import Array
from chainrule.tensor import Tensor
from chainrule.train.history import History, Record
from chainrule.train.infer import as_loader, outputs_of
from chainrule.train.locate import located, samples_of
from chainrule.train.losses import as_loss
from chainrule.train.meter import Meter, metrics_for
from chainrule.train.metrics import Metric
from chainrule.train.modes import evaluating
from chainrule.train.shards import ShardedStep, Sharding
from chainrule.train.signals import Interrupts
from chainrule.train.step import CompiledStep, EvaluationStep, Step, TrainingStep
from chainrule.world import alone, world

TURNS = 64
"""Batches after which ranks tell each other what they have measured."""


class Parts(NamedTuple):
    """The parts from which the steps of a training are built. Each can be replaced."""

    model: Module
    loss: Module
    optimizer: Optimizer
    scheduler: Any
    schedule_every: str
    clip_norm: float | None
    compiled: bool


class Training:
    """The parts and the progress of a training, as callbacks receive them.

    A part that is replaced (`trainer.clip_norm = 1.0`) is used from the next step on.

    epoch, batch, step: finished epochs, finished batches of the current epoch, and all updates.
    epochs, batches: the number of epochs after which `fit` ends, and of batches in an epoch.
    record: the numbers of the current epoch. history: the records of the epochs before.
    stopped: the reason for an early end. interrupted: the signal or error that ended training.
    loss_value, outputs: the loss of the last step as a number, and the outputs of its batch.
    """

    model: Module
    loss: Module
    optimizer: Optimizer
    scheduler: Any
    schedule_every: str
    clip_norm: float | None
    compiled: bool
    on_nonfinite: str

    def __init__(
        self,
        parts: Parts,
        metrics: Sequence[Metric | str] | None,
        out: str | None,
        shards: int | None = None,
    ) -> None:
        ranks = world().size
        self.sharding = None if shards is None and ranks == 1 else Sharding(shards or ranks)
        for name, part in parts._asdict().items():
            setattr(self, name, part)
        self.metrics = metrics
        self._out = out
        self.callbacks: list[Callback] = []
        self.history = History()
        self.record: Record = {}
        self.epoch, self.batch, self.step, self.first_epoch = 0, 0, 0, 0
        self.epochs, self.batches = 0, 0
        self.stopped: str | None = None
        self.interrupted: str | None = None
        self.loader: DataLoader | None = None
        self._interrupts = Interrupts()
        self._last: tuple[Any, Any] | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._watched:
            value = self._checked(name, value)
        object.__setattr__(self, name, value)

    _watched: ClassVar[frozenset[str]] = frozenset({*Parts._fields, "metrics"})
    """The attributes for which `_checked` is called."""

    def _checked(self, name: str, value: Any) -> Any:
        """A new value of a watched attribute. What was built from the old one is built again."""
        if name in Parts._fields:
            value = as_loss(value) if name == "loss" else value
            check_part(name, value)
            self._forget("training_step", "evaluation_step", "written")
        if name in ("loss", "metrics"):
            self._forget("meter")
        if name == "optimizer":
            self.options = [group.options() for group in value.param_groups]
        return value

    def _forget(self, *names: str) -> None:
        for name in names:
            self.__dict__.pop(name, None)

    def __getstate__(self) -> dict[str, Any]:
        """The state without the compiled steps, which copies and pickles build again."""
        made = ("training_step", "evaluation_step", "written")
        state = {name: value for name, value in vars(self).items() if name not in made}
        return {**state, "_last": None}

    @property
    def shards(self) -> int | None:
        """The number of parts of each batch; None if it is not cut."""
        return None if self.sharding is None else self.sharding.shards

    @property
    def out(self) -> str | None:
        """The folder of this training, or None."""
        return self._out

    @property
    def loss_value(self) -> float:
        """The loss of the last step; NaN before the first one."""
        return math.nan if self._last is None else float(self._last[0]._data)

    @property
    def outputs(self) -> Any:
        """The outputs of the model in the last step, without a tape; None before the first one."""
        return None if self._last is None else tree.map_leaves(_detached, self._last[1])

    # -- built from the parts ------------------------------------------------------------------

    @cached_property
    def training_step(self) -> Step:
        """The training step for the current parts; ArgumentError if they do not fit together."""
        check_parts(self)
        schedule = self.scheduler if self.schedule_every == "step" else None
        parts = self.model, self.loss, self.optimizer, schedule, self.clip_norm
        sharding = self.sharding
        step = TrainingStep(*parts) if sharding is None else ShardedStep(*parts, sharding=sharding)
        return CompiledStep(step) if self.compiled else step

    @cached_property
    def evaluation_step(self) -> Step:
        """The evaluation step for the current parts."""
        step = EvaluationStep(self.model, self.loss)
        return CompiledStep(step) if self.compiled else step

    @cached_property
    def written(self) -> list[Tensor]:
        """The tensors that a forward pass writes. The state of the update is written later."""
        return [*self.model.buffers(), default_generator.state]

    @cached_property
    def meter(self) -> Meter:
        """The loss and the metrics of the current epoch."""
        return Meter(metrics_for(self.loss) if self.metrics is None else self.metrics, self.loss)

    @property
    def predicts(self) -> Prediction:
        """The meaning of the outputs, as the loss declares it."""
        return getattr(self.loss, "predicts", VALUES)

    # -- the end -------------------------------------------------------------------------------

    def stop(self, reason: str) -> None:
        """End training after the current step or epoch. Callbacks call it."""
        self.stopped = reason

    @property
    def finishing(self) -> bool:
        """Whether training ends now: after the last epoch, by `stop`, or by a signal."""
        asked = self.stopped is not None or self._interrupts.pending is not None
        return asked or self.epoch >= self.epochs

    # -- use -----------------------------------------------------------------------------------

    def evaluate(self, data: Any, batch_size: int | None = None) -> dict[str, Any]:
        """Loss and metrics of a dataset, a loader, or a pair of arrays, in evaluation mode.

        They are those of the whole set, for any batch size.
        """
        return self._evaluate(self._loader(data, batch_size), None) or {}

    def _loader(self, data: Any, *options: Any) -> DataLoader:
        return as_loader(data, self.model, getattr(self.loss, "predicts", None), *options)

    def _evaluate(self, loader: DataLoader, interrupts: Interrupts | None) -> Record | None:
        """The record of a pass over the data; None if a signal interrupted it. Ranks take turns."""
        meter, ranks = self.meter.fresh(), world()
        with evaluating(self.model):
            for place, batch in enumerate(loader):
                if ranks.size > 1 and place and place % TURNS == 0:
                    meter.flush()
                if place % ranks.size == ranks.rank:
                    self._evaluate_batch(meter, loader, place, batch)
                if interrupts is not None and interrupts.pending is not None:
                    return None
        return meter.results()

    def _evaluate_batch(
        self, meter: Meter, loader: DataLoader, place: int, batch: Sequence[Any]
    ) -> None:
        inputs, targets = batch[:-1] or batch, batch[-1]
        try:
            with alone() if world().size > 1 else nullcontext():
                loss, outputs = self.evaluation_step(inputs, targets)
        except Exception as error:
            self._raise(error, batch, samples_of(loader, loader.epoch, place))
        meter.add(float(loss._data), outputs, targets, place=place)

    def _raise(self, error: BaseException, batch: Sequence[Any], samples: Array | None) -> NoReturn:
        """Raise the error of a step, which names the sample of the data that causes it."""
        found = located(error, self.model, self.loss, batch[:-1] or batch, batch[-1], samples)
        if found is error:
            raise error
        raise found from None

    def predict(self, x: Any) -> Array:
        """The class indices int64 (N,), or the outputs of a regression. `x`: an array or
        dataset."""
        return self.predicts.decide(outputs_of(self.model, x))

    def predict_proba(self, x: Any) -> Array:
        """The probability of each class, (N, C); ArgumentError if the model predicts values."""
        return self.predicts.probabilities(outputs_of(self.model, x))


class Callback:
    """Base of callbacks. Subclass it and define the methods that you need.

    Each method receives the trainer, with `epoch`, `step`, `record` (the numbers of the current
    epoch), `history`, `model` and `optimizer`. `trainer.stop(reason)` ends training. Exceptions of
    a callback are raised unchanged.

    order: callbacks are called in ascending order. Callbacks that add to the record have values
    below 0, callbacks that write it 50 and more.

    >>> class Halve(Callback):
    ...     def on_epoch_end(self, trainer):
    ...         trainer.optimizer.param_groups[0]["lr"] *= 0.5
    """

    order: int = 0

    def folders(self) -> list[PathLike]:
        """Folders that this callback writes in. They are locked while `fit` runs."""
        return []

    def on_fit_begin(self, trainer: Training) -> None:
        """Before the first epoch of this `fit`."""

    def on_epoch_begin(self, trainer: Training) -> None:
        """Before an epoch, also before the rest of a resumed one."""

    def on_step_end(self, trainer: Training) -> None:
        """After each update. Callbacks that do not define it add no cost per step."""

    def on_epoch_end(self, trainer: Training) -> None:
        """After an epoch and its validation. `trainer.record` contains its numbers."""

    def on_fit_end(self, trainer: Training) -> None:
        """After the last epoch, also if training was stopped."""

    def state_dict(self) -> dict[str, Any]:
        """The state to save in checkpoints, as tensors and plain values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


_KINDS = {"model": Module, "loss": Module, "optimizer": Optimizer}


def check_part(name: str, value: Any) -> None:
    """Check that a part has the right type."""
    kind = _KINDS.get(name)
    if kind is not None and not isinstance(value, kind):
        hint = f"Pass an instance: nn.{value.__name__}()." if isinstance(value, type) else None
        raise DTypeError(
            f"Trainer's {name} is no {kind.__name__}",
            given=repr(value)[:60],
            expected=f"a {kind.__name__}",
            instead=hint,
        )
    if name == "schedule_every":
        check_choice(name, value, ("step", "epoch"))
    if name == "clip_norm" and value is not None and not value > 0:
        raise ArgumentError("clip_norm must be positive", given=value)


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise ArgumentError unless the value is one of the choices."""
    if value not in choices:
        raise ArgumentError(f"unknown {name}", given=repr(value), expected=listing(choices))


def check_parts(training: Training) -> None:
    """Check that the parts belong to each other."""
    optimizer = training.optimizer
    own = {id(p) for p in training.model.parameters()}
    foreign = [
        i
        for i, p in enumerate(p for g in optimizer.param_groups for p in g.params)
        if id(p) not in own
    ]
    if foreign:
        raise ArgumentError(
            f"the optimizer holds parameters that are not the model's: {listing(foreign)}",
            instead="Make it from this model: optim.Adam(model.parameters()).",
        )
    if getattr(training.scheduler, "optimizer", optimizer) is not optimizer:
        raise ArgumentError(
            "the scheduler moves the learning rates of another optimizer",
            instead="Make it from this one: scheduler = ...(trainer.optimizer, ...).",
        )
    ranks = world().size
    joint = [n for n, m in training.model.named_modules() if getattr(m, "over_ranks", False)]
    if joint and training.shards not in (None, ranks):
        raise ArgumentError(
            "a layer over all ranks needs one shard a rank",
            given=f"layer {listing(joint)}, {training.shards} shards on {ranks} ranks",
            instead=f"Use shards={ranks}, or BatchNorm, whose statistics are those of a shard.",
        )
