"""One trial of a sweep: a setting with a seed and a fold, trained up to some epoch."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from chainrule.data.dataset import CLASSIFICATION, ArrayDataset
from chainrule.data.seeds import SPLIT, stream
from chainrule.data.splits import Subset
from chainrule.engine import num_threads, set_num_threads
from chainrule.errors import ArgumentError, NonFiniteError
from chainrule.ops.random import default_generator, manual_seed
from chainrule.primitive import Array
from chainrule.train.io.atomic import write_atomic
from chainrule.train.io.files import load, save
from chainrule.train.io.records import read_record
from chainrule.train.io.strict_json import finite, read_json, to_json
from chainrule.train.state import snapshot
from chainrule.train.sweeps.settings import Setting
from chainrule.train.trainer import Trainer
from chainrule.train.training import Callback, Training

Build = Callable[..., Any]


@dataclass(frozen=True)
class Trial:
    """What one trial has done so far.

    setting: the number of its setting. epochs: the finished epochs, or all of them if it stopped.
    records: the history. error: why it failed, or None.
    """

    setting: int
    seed: int
    fold: int | None
    epochs: int = 0
    records: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None


class Work(NamedTuple):
    """A trial to train on, up to `epochs`, in a worker. `path` is that of its files, without
    extension."""

    build: Build
    setting: Setting
    trial: Trial
    epochs: int
    batch_size: int
    folds: int | None
    path: str


@contextmanager
def isolated() -> Iterator[None]:
    """One thread during the block; then the random state and the threads are as before."""
    random, threads = default_generator.state.detach().numpy().copy(), num_threads()
    set_num_threads(1)
    try:
        yield
    finally:
        default_generator.state.assign(random)
        set_num_threads(threads)


def run(work: Work) -> Trial:
    """Train until `work.epochs`, and store the trial and the state of its training.

    One thread runs it, and it starts from its own seed. Its numbers are therefore the same in any
    process. A loss that is NaN or infinite ends the trial; other errors are raised.
    """
    trial = work.trial
    with isolated():
        trainer, train, valid = build_trial(work)
        trainer.callbacks = [*trainer.callbacks, _Keep(work.path)]
        resume = _state(work.path) if trial.epochs else False
        records, failure = [], None
        try:
            history = trainer.fit(
                train, valid, work.epochs, work.batch_size, resume=resume, progress=False
            )
        except NonFiniteError as error:
            failure = str(error)
        else:
            if history.interrupted:
                raise KeyboardInterrupt
            records = [dict(record) for record in history]
            save(trainer.model.state_dict(), _weights(work.path))
    found = replace(trial, epochs=work.epochs, records=records, error=failure)
    write_atomic(work.path + ".json", [to_json(finite(asdict(found)))])
    return found


def stored(path: str) -> Trial | None:
    """The trial that was stored there, or None."""
    file = path + ".json"
    return read_record(Trial, read_json(file), file) if os.path.exists(file) else None


def _state(path: str) -> str:
    return path + "-state.safetensors"


def _weights(path: str) -> str:
    return path + ".safetensors"


class _Keep(Callback):
    """Saves the state after the last epoch, from which a later rung continues. The weights of the
    end may be others: EarlyStopping restores the best ones."""

    order = 90

    def __init__(self, path: str) -> None:
        self.path = path

    def on_epoch_end(self, trainer: Training) -> None:
        if trainer.epoch == trainer.epochs or trainer.stopped is not None:
            save(snapshot(trainer), _state(self.path))


def weights(path: str) -> dict[str, Any]:
    """The weights with which a stored trial ended."""
    found: dict[str, Any] = load(_weights(path))
    return found


def build_trial(work: Work) -> tuple[Trainer, Any, Any]:
    """(trainer, train, valid), as `build` makes them from the setting and the seed."""
    trial, options = work.trial, dict(work.setting)
    if "seed" in inspect.signature(work.build).parameters:
        options.setdefault("seed", trial.seed)
    manual_seed(trial.seed)
    made = work.build(**options)
    if not (isinstance(made, tuple) and len(made) in (2, 3) and isinstance(made[0], Trainer)):
        raise ArgumentError(
            "build gave no training",
            given=repr(made)[:60],
            expected="(trainer, train) or (trainer, train, valid)",
        )
    trainer, train, valid = (*made, None)[:3]
    if trainer.out is not None:
        raise ArgumentError(
            "the trainer of a sweep writes no files of its own",
            given=f"out={trainer.out!r}",
            instead="Leave out=... away; the sweep has one.",
        )
    trainer.seed = trial.seed
    if trial.fold is None or work.folds is None:
        return trainer, train, valid
    if valid is not None:
        raise ArgumentError("folds take their validation data from train", expected="one dataset")
    data = ArrayDataset(*train) if isinstance(train, tuple) else train
    inside, outside = fold_of(data, trial.fold, work.folds)
    return trainer, Subset(data, inside), Subset(data, outside)


def fold_of(data: Any, fold: int, folds: int) -> tuple[Array, Array]:
    """(train, valid): the indices outside and inside one of `folds` parts of nearly equal size.

    The parts depend on the data alone, so all settings are compared on the same ones. Each class
    has the same share in all parts.

    >>> fold_of(ArrayDataset([0.0] * 6, [0, 0, 0, 1, 1, 1]), fold=0, folds=3)[1].size
    2
    """
    n = len(data)
    if not 2 <= folds <= n:
        raise ArgumentError("folds is out of range", given=folds, expected=f"2 to {n}")
    order = stream(0, SPLIT).permutation(n)
    if getattr(data, "task", None) == CLASSIFICATION and hasattr(data, "targets"):
        labels = np.reshape(data.targets, (n, -1))[:, 0]
        order = order[np.argsort(labels[order], kind="stable")]
    part = np.empty(n, np.int64)
    part[order] = np.arange(n) % folds
    return np.flatnonzero(part != fold), np.flatnonzero(part == fold)
