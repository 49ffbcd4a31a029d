"""The whole state of a training as one tree, and the way back from it.

Everything that decides the next step is in it: weights, buffers, optimizer, schedule, random
state, place in the data, metrics of the epoch so far, callbacks and history. So a training that
was killed and goes on from here computes the same bits as one that never stopped.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from chainrule.errors import ArgumentError, CheckpointError
from chainrule.ops.random import default_generator
from chainrule.settings import use
from chainrule.tensor import Tensor, from_numpy
from chainrule.train.training import Training

KIND, VERSION = "chainrule training", 1


def setup_of(trainer: Training) -> dict[str, Any]:
    """What a training was set up with, as plain values; a resumed one must be set up alike."""
    scheduler = trainer.scheduler
    return {
        "model": type(trainer.model).__name__,
        "loss": type(trainer.loss).__name__,
        "optimizer": type(trainer.optimizer).__name__,
        "scheduler": None if scheduler is None else type(scheduler).__name__,
        "clip_norm": trainer.clip_norm,
        "groups": trainer.options,
    }


def snapshot(trainer: Training) -> dict[str, Any]:
    """The state between two steps; the tensors in it are snapshots that cost no copy."""
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
        "callbacks": [[type(c).__name__, c.state_dict()] for c in trainer.callbacks],
    }


def restore(trainer: Training, state: Any, override: bool = False) -> None:
    """Put a trainer into a saved state; on any error it stays as it is.

    Raises CheckpointError if the state is of another kind, of a newer version, or of a training
    that was set up differently, naming each difference. With `override` the new setup holds: the
    options of the optimizer are the trainer's own, and if batches are cut differently, the epoch
    starts again.
    """
    _check_kind(state)
    problems = _differences(trainer, state)
    before = snapshot(trainer)
    try:
        moved = _place_loader(trainer, state["loader"], override, problems)
        if problems and not override:
            raise CheckpointError(
                f"the saved training was set up differently: {'; '.join(problems)}",
                instead="Set it up as before, or pass override=True to go on with the new setup.",
            )
        if override:
            state = {**state, "scheduler": _rescheduled(trainer, state["scheduler"])}
        _apply(trainer, state)
        if override:
            _keep_options(trainer, state["setup"]["groups"])
        if moved:
            trainer.batch = 0
            trainer.meter.reset()
    except BaseException:
        _apply(trainer, before)
        raise


def _check_kind(state: Any) -> None:
    if not isinstance(state, dict) or state.get("kind") != KIND:
        raise CheckpointError(
            "this is not the state of a training", expected="a file step-….safetensors of a run",
            instead="Load weights with model.load_state_dict(cr.load(path)).",
        )  # fmt: skip
    if state.get("version") != VERSION:
        raise CheckpointError(
            f"the training was saved in version {state.get('version')}",
            expected=f"version {VERSION}, which this Chainrule reads",
        )


def _differences(trainer: Training, state: dict[str, Any]) -> list[str]:
    saved, here = state["setup"], setup_of(trainer)
    problems = [
        f"{name} was {saved[name]} and is {here[name]}"
        for name in ("model", "loss", "optimizer", "scheduler", "clip_norm")
        if saved[name] != here[name]
    ]
    for old, new in zip(saved["groups"], here["groups"], strict=False):
        problems += [
            f"{k} was {old.get(k)} and is {new.get(k)}"
            for k in sorted({*old, *new})
            if old.get(k) != new.get(k)
        ]
    return problems


def _place_loader(
    trainer: Training, saved: dict[str, Any] | None, override: bool, problems: list[str]
) -> bool:
    """Move the loader to the saved place; True if its batches differ, so that it cannot be."""
    if trainer.loader is None or saved is None:
        return False
    try:
        trainer.loader.load_state_dict(saved)
    except ArgumentError as error:
        problems.append(error.problem)
        return True
    return False


def _apply(trainer: Training, state: dict[str, Any]) -> None:
    position = state["position"]
    trainer.model.load_state_dict(state["model"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    if trainer.scheduler is not None and state["scheduler"] is not None:
        trainer.scheduler.load_state_dict(state["scheduler"])
    with use(gradients=False):
        default_generator.state.assign(_tensor(state["random"]))
    trainer.meter.load_state_dict(state["meter"])
    trainer.epoch, trainer.batch = position["epoch"], position["batch"]
    trainer.step, trainer.first_epoch = position["step"], position["first_epoch"]
    trainer.stopped = state["stopped"]
    trainer.history.records = [dict(record) for record in state["history"]]
    _apply_callbacks(trainer, state["callbacks"])


def _apply_callbacks(trainer: Training, saved: list[Any]) -> None:
    """Give each callback the state of the one of its class, the first to the first and so on."""
    waiting = list(trainer.callbacks)
    for name, state in saved:
        found = next((c for c in waiting if type(c).__name__ == name), None)
        if found is not None:
            waiting.remove(found)
            found.load_state_dict(state)
        elif state:
            raise CheckpointError(
                f"the saved training had a {name}, whose state would be lost",
                instead=f"Pass callbacks=[{name}(...)] as before.",
            )


def _keep_options(trainer: Training, saved: list[dict[str, Any]]) -> None:
    """Options of the optimizer that were set up differently are the trainer's own again."""
    here = trainer.options
    for group, old, new in zip(trainer.optimizer.param_groups, saved, here, strict=True):
        for name, value in new.items():
            if name in group.tensors and old.get(name) != value:
                group[name] = value


def _rescheduled(trainer: Training, saved: Any) -> Any:
    """The saved place in the schedule under the trainer's own options; None for another class."""
    if trainer.scheduler is None or saved is None:
        return None
    own = trainer.scheduler.state_dict()
    if own["scheduler"] != saved["scheduler"] or own["state"].keys() != saved["state"].keys():
        return None
    return {**own, "state": saved["state"]}


def _tensor(value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise CheckpointError("the random state is no tensor", given=type(value).__name__)
    return value
