"""The complete state of a training as one tree: saving and restoring it.

The state contains everything that determines the next step: weights, buffers, optimizer, schedule,
random state, position in the data, metrics of the current epoch, callbacks and history. A training
that was killed and resumes from it computes the same bits as one without interruption.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from chainrule.errors import ArgumentError, ChainruleError, CheckpointError
from chainrule.ops.creation import tensor
from chainrule.ops.random import default_generator
from chainrule.settings import use
from chainrule.tensor import Tensor, from_numpy
from chainrule.train.io.records import check_ranges, read_record
from chainrule.train.training import Training

KIND, VERSION = "chainrule training", 1


@dataclass
class Setup:
    """The setup of a training. A resumed training must have the same setup."""

    model: str
    loss: str
    optimizer: str
    scheduler: str | None
    clip_norm: float | None
    groups: list[dict[str, Any]]
    shards: int | None = None


@dataclass
class Position:
    """Numbers of finished epochs, batches of the current epoch, and updates."""

    epoch: int
    batch: int
    step: int
    first_epoch: int

    def __post_init__(self) -> None:
        everywhere = (0, 2**63)
        check_ranges(
            self, epoch=everywhere, batch=everywhere, step=everywhere, first_epoch=everywhere
        )


@dataclass
class CallbackState:
    """The class and the state of a callback."""

    name: str
    state: dict[str, Any]


@dataclass
class State:
    """The contents of a checkpoint."""

    kind: str
    version: int
    setup: Setup
    position: Position
    stopped: str | None
    model: dict[str, Any]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any] | None
    random: Tensor
    loader: dict[str, Any] | None
    meter: dict[str, Any]
    history: list[dict[str, Any]]
    callbacks: list[CallbackState]


def setup_of(trainer: Training) -> dict[str, Any]:
    """The setup of a training, as plain values."""
    scheduler = trainer.scheduler
    return {
        "model": type(trainer.model).__name__,
        "loss": type(trainer.loss).__name__,
        "optimizer": type(trainer.optimizer).__name__,
        "scheduler": None if scheduler is None else type(scheduler).__name__,
        "clip_norm": trainer.clip_norm,
        "groups": trainer.options,
        "shards": trainer.shards,
    }


def snapshot(trainer: Training) -> dict[str, Any]:
    """The state between two steps. Its tensors share their arrays with the model: no copy."""
    loader = trainer.loader
    place = {"epoch": trainer.epoch, "batch": trainer.batch}
    return {
        "kind": KIND,
        "version": VERSION,
        "setup": setup_of(trainer),
        "position": {**place, "step": trainer.step, "first_epoch": trainer.first_epoch},
        "stopped": trainer.stopped,
        "model": deepcopy(trainer.model.state_dict()),
        "optimizer": trainer.optimizer.state_dict(),
        "scheduler": None if trainer.scheduler is None else trainer.scheduler.state_dict(),
        "random": from_numpy(default_generator.state._data),
        "loader": None if loader is None else {**loader.state_dict(), **place},
        "meter": trainer.meter.state_dict(),
        "history": [dict(record) for record in trainer.history],
        "callbacks": [
            {"name": type(c).__name__, "state": c.state_dict()} for c in trainer.callbacks
        ],
    }


def restore(trainer: Training, state: Any, override: bool = False) -> None:
    """Restore a saved state into a trainer; the trainer is unchanged on error.

    Raises FormatError for invalid states, and CheckpointError for a state of another kind, of a
    newer version, or of a training with another setup, naming each difference. With `override`, the
    new
    setup is used: the optimizer keeps the trainer's options, and the epoch starts again if the
    batches differ.
    """
    _check_kind(state)
    saved = read_record(State, state, "the saved training")
    problems = _differences(trainer, saved)
    before = read_record(State, snapshot(trainer), "this training")
    try:
        moved = _place_loader(trainer, saved.loader, problems)
        if problems and not override:
            raise CheckpointError(
                f"the saved training was set up differently: {'; '.join(problems)}",
                instead="Set it up as before, or pass override=True to go on with the new setup.",
            )
        if override:
            saved = replace(saved, scheduler=_rescheduled(trainer, saved, moved))
        _apply(trainer, saved)
        if override:
            _keep_options(trainer, saved.setup.groups)
        if moved:
            trainer.batch = 0
            trainer.meter.reset()
    except BaseException:
        _apply(trainer, before)
        raise


def _check_kind(state: Any) -> None:
    if not isinstance(state, dict) or state.get("kind") != KIND:
        raise CheckpointError(
            "this is not the state of a training",
            expected="a file step-….safetensors of a run",
            instead="Load weights with model.load_state_dict(cr.load(path)).",
        )
    if state.get("version") != VERSION:
        raise CheckpointError(
            f"the training was saved in version {state.get('version')}",
            expected=f"version {VERSION}, which this Chainrule reads",
        )


def _differences(trainer: Training, saved: State) -> list[str]:
    here, setup = setup_of(trainer), vars(saved.setup)
    problems = [
        f"{name} was {setup[name]} and is {here[name]}"
        for name in ("model", "loss", "optimizer", "scheduler", "clip_norm", "shards")
        if setup[name] != here[name]
    ]
    for old, new in zip(saved.setup.groups, here["groups"], strict=False):
        problems += [
            f"{k} was {old.get(k)} and is {new.get(k)}"
            for k in sorted({*old, *new})
            if old.get(k) != new.get(k)
        ]
    return problems


def _place_loader(trainer: Training, saved: dict[str, Any] | None, problems: list[str]) -> bool:
    """Move the loader to the saved position; True if that is impossible, since its batches
    differ."""
    if trainer.loader is None or saved is None:
        return False
    try:
        with _loading("loader"):
            trainer.loader.load_state_dict(saved)
    except ArgumentError as error:
        problems.append(error.problem)
        return True
    return False


def _apply(trainer: Training, saved: State) -> None:
    with _loading("model"):
        trainer.model.load_state_dict(saved.model)
    with _loading("optimizer"):
        trainer.optimizer.load_state_dict(saved.optimizer)
    if trainer.scheduler is not None and saved.scheduler is not None:
        with _loading("scheduler"):
            trainer.scheduler.load_state_dict(saved.scheduler)
    with use(gradients=False):
        default_generator.state.assign(saved.random)
    with _loading("meter"):
        trainer.meter.load_state_dict(saved.meter)
    _apply_callbacks(trainer, saved.callbacks)
    trainer.epoch, trainer.batch = saved.position.epoch, saved.position.batch
    trainer.step, trainer.first_epoch = saved.position.step, saved.position.first_epoch
    trainer.stopped = saved.stopped
    trainer.history.records = [dict(record) for record in saved.history]


@contextmanager
def _loading(part: str) -> Iterator[None]:
    """Raise CheckpointError, naming the part, if its state does not have the expected form."""
    try:
        yield
    except ChainruleError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise CheckpointError(
            f"the saved state of the {part} does not fit: {type(error).__name__}: {error}"
        ) from error


def _apply_callbacks(trainer: Training, saved: list[CallbackState]) -> None:
    """Restore the states of callbacks, matched by class and then by order."""
    waiting = list(trainer.callbacks)
    for name, state in ((one.name, one.state) for one in saved):
        found = next((c for c in waiting if type(c).__name__ == name), None)
        if found is not None:
            waiting.remove(found)
            with _loading(f"callback {name}"):
                found.load_state_dict(state)
        elif state:
            raise CheckpointError(
                f"the saved training had a {name}, whose state would be lost",
                instead=f"Pass callbacks=[{name}(...)] as before.",
            )


def _keep_options(trainer: Training, saved: list[dict[str, Any]]) -> None:
    """Reset the options of the optimizer to those that the trainer was set up with."""
    for group, old, new in zip(
        trainer.optimizer.param_groups, saved, trainer.options, strict=False
    ):
        for name, value in new.items():
            if name in group.tensors and old.get(name) != value:
                group[name] = value


def _rescheduled(trainer: Training, saved: State, moved: bool) -> dict[str, Any] | None:
    """The saved position in the schedule with the trainer's options; None for another class.

    moved: whether the batches differ. A step of the schedule is then another share of an epoch, so
    the position is the number of new batches in the finished epochs.
    """
    old = saved.scheduler
    if trainer.scheduler is None or old is None:
        return None
    own: dict[str, Any] = trainer.scheduler.state_dict()
    with _loading("scheduler"):
        if own["scheduler"] != old["scheduler"] or own["state"].keys() != old["state"].keys():
            return None
        state = dict(old["state"])
        by_step = trainer.schedule_every == "step" and "last_epoch" in state
        if moved and by_step and trainer.loader is not None:
            state["last_epoch"] = tensor(saved.position.epoch * len(trainer.loader))
        return {**own, "state": state}
