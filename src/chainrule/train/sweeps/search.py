"""The sweep: trials in parallel, successive halving, and resuming."""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from tempfile import mkdtemp
from typing import Any

from chainrule.data.files import PathLike
from chainrule.errors import ArgumentError, CheckpointError, missing_dependency
from chainrule.nn.module import Module
from chainrule.train.io.atomic import write_atomic
from chainrule.train.io.lock import locked
from chainrule.train.io.strict_json import read_json, to_json
from chainrule.train.metrics import direction
from chainrule.train.notices import say
from chainrule.train.sweeps.results import Sweep, ranking, score, shown
from chainrule.train.sweeps.settings import Setting, settings_of
from chainrule.train.sweeps.trial import (
    Build,
    Trial,
    Work,
    build_trial,
    isolated,
    run,
    stored,
    weights,
)


@dataclass(frozen=True)
class Plan:
    """What a sweep trains, as it is stored in `sweep.json`."""

    settings: list[Setting]
    seeds: list[int]
    folds: int | None
    epochs: int
    batch_size: int
    halving: int | None
    monitor: str
    mode: str

    def rungs(self) -> list[tuple[int, int]]:
        """(epochs, how many settings go on to them), for each rung of successive halving.

        >>> Plan([{}] * 9, [0], None, 10, 32, 3, "loss", "min").rungs()
        [(2, 9), (4, 3), (10, 1)]
        """
        counts = [len(self.settings)]
        while self.halving is not None and counts[-1] > 1:
            counts.append(-(-counts[-1] // self.halving))
        factor, last = self.halving or 1, len(counts) - 1
        return [
            (max(1, -(-self.epochs // factor ** (last - rung))), count)
            for rung, count in enumerate(counts)
        ]

    def trials(self, settings: Iterable[int]) -> list[Trial]:
        """The trials of some settings, before training."""
        folds = [None] if self.folds is None else range(self.folds)
        return [
            Trial(place, seed, fold) for place in settings for seed in self.seeds for fold in folds
        ]


def sweep(
    build: Build,
    space: Mapping[str, Any],
    *,
    seeds: int | Sequence[int] = 1,
    jobs: int = 1,
    epochs: int = 10,
    batch_size: int = 32,
    samples: int | None = None,
    folds: int | None = None,
    halving: int | None = None,
    monitor: str | None = None,
    mode: str | None = None,
    out: PathLike | None = None,
    progress: bool = False,
) -> Sweep:
    """Train `build(**setting)` for each setting of a space, and compare the settings.

    The numbers do not depend on `jobs`: each trial has its own seed and one thread. A sweep that
    was killed continues when it is called again with the same `out`.

    Parameters
    ----------
    build: makes the training of one trial: (trainer, train) or (trainer, train, valid). It gets the
        values of a setting by keyword, and `seed` if it has such a parameter. The trainer shuffles
        by this seed too.
    space: for each name a list of values, or a distribution: see :func:`settings_of`.
    seeds: how many seeds each setting is trained with, from 0 on, or their list.
    jobs: how many processes train at the same time (joblib, the extra `sweep`; a backend that
        `joblib.parallel_config` sets, such as Dask's, is used).
    samples: how many settings are drawn from a space of distributions.
    folds: cross-validation: each setting is trained `folds` times, on all parts of `train` but one.
    halving: successive halving (Jamieson and Talwalkar, 2016): all settings are trained for a few
        epochs, one in `halving` goes on for `halving` times as many, until one is left.
    monitor, mode: what is compared; by default the validation loss, or the loss without validation.
        The score of a trial is its best value.
    out: the folder of the results and weights; by default a temporary one, which is removed when
        the result is no longer used.
    progress: whether to print a line for each rung.

    Raises ArgumentError for a space without values, CheckpointError if `out` holds another sweep.

    >>> import chainrule as cr
    >>> from chainrule import nn, optim
    >>> data = cr.data.blobs(60)
    >>> def build(lr, width):
    ...     model = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 3))
    ...     optimizer = optim.SGD(model.parameters(), lr=lr)
    ...     return cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, progress=False), data
    >>> found = sweep(build, {"lr": [0.1, 1e-5], "width": [4]}, seeds=2, epochs=3)
    >>> found.best, len(found.trials), len(found.models())
    ({'lr': 0.1, 'width': 4}, 4, 2)
    """
    chosen = [*range(seeds)] if isinstance(seeds, int) else [*seeds]
    settings = settings_of(space, samples)
    _check(settings, chosen, epochs, halving, jobs)
    watched = monitor or _monitored(build, settings[0], folds)
    mode = mode or direction(watched)
    plan = Plan(settings, chosen, folds, epochs, batch_size, halving, watched, mode)
    folder = mkdtemp(prefix="chainrule-sweep-") if out is None else os.fspath(out)
    os.makedirs(os.path.join(folder, "trials"), exist_ok=True)
    with locked(folder):
        _store(plan, folder)
        trials = _climb(build, plan, folder, jobs, progress)

    def model_of(trial: Trial) -> Module:
        with isolated():
            trainer = build_trial(_work(build, plan, trial, trial.epochs, folder))[0]
        trainer.model.load_state_dict(weights(_path(folder, trial)))
        return trainer.model.eval()

    found = Sweep(settings, trials, watched, mode, folder, model_of)
    if out is None:
        weakref.finalize(found, shutil.rmtree, folder, ignore_errors=True)
    return found


def _check(
    settings: Sequence[Setting], seeds: list[int], epochs: int, halving: int | None, jobs: int
) -> None:
    for name, value, least in (
        ("the number of seeds", len(seeds), 1),
        ("epochs", epochs, 1),
        ("halving", 2 if halving is None else halving, 2),
        ("jobs", jobs, 1),
    ):
        if value < least:
            raise ArgumentError(f"{name} is too small", given=value, expected=f">= {least}")
    if len({*seeds}) < len(seeds):
        raise ArgumentError("a seed occurs twice", given=seeds)
    to_json([*settings])  # raises an error for values that cannot be stored
    if jobs > 1:
        _joblib()  # raises an error before a folder is made


def _monitored(build: Build, setting: Setting, folds: int | None) -> str:
    """The validation loss, or the loss if `build` gives no validation data."""
    work = Work(build, setting, Trial(0, 0, None), 1, 1, None, "")
    with isolated():
        valid = build_trial(work)[2]
    return "loss" if folds is None and valid is None else "valid_loss"


def _store(plan: Plan, folder: str) -> None:
    """Write the plan, or compare it with the one that is there."""
    path = os.path.join(folder, "sweep.json")
    record = asdict(plan)
    if not os.path.exists(path):
        write_atomic(path, [to_json(record, indent=2)])
        return
    before = read_json(path)
    if different := [name for name, value in record.items() if before.get(name) != value]:
        raise CheckpointError(
            f"{folder} holds another sweep: it differs in {', '.join(different)}",
            instead="Choose another folder as out (--out).",
        )


def _path(folder: str, trial: Trial) -> str:
    fold = "" if trial.fold is None else f"-fold{trial.fold}"
    return os.path.join(folder, "trials", f"{trial.setting:04d}-seed{trial.seed}{fold}")


def _work(build: Build, plan: Plan, trial: Trial, epochs: int, folder: str) -> Work:
    setting = plan.settings[trial.setting]
    path = _path(folder, trial)
    return Work(build, setting, trial, epochs, plan.batch_size, plan.folds, path)


def _climb(build: Build, plan: Plan, folder: str, jobs: int, progress: bool) -> list[Trial]:
    """All trials, after the rungs of successive halving."""
    found: dict[str, Trial] = {}
    going, reached = [*range(len(plan.settings))], 0
    for epochs, count in plan.rungs():
        if len(going) > count:
            before = [trial for trial in found.values() if trial.setting in going]
            going = ranking(plan.settings, before, plan.monitor, plan.mode, reached)[:count]
        own = {_path(folder, trial): trial for trial in plan.trials(sorted(going))}
        own = {path: stored(path) or trial for path, trial in own.items()}
        if progress:
            say(f"{len(going)} settings, {len(own)} trials up to epoch {epochs}")
        works = [
            _work(build, plan, trial, epochs, folder)
            for trial in own.values()
            if trial.epochs < epochs and trial.error is None
        ]
        own |= {_path(folder, trial): trial for trial in _in_parallel(works, jobs)}
        found, reached = {**found, **own}, epochs
        if progress:
            _say_best(plan, [*own.values()], epochs)
    return [found[path] for path in sorted(found)]


def _say_best(plan: Plan, trials: list[Trial], epochs: int) -> None:
    place = ranking(plan.settings, trials, plan.monitor, plan.mode)[0]
    values = ", ".join(f"{name} {shown(v)}" for name, v in plan.settings[place].items())
    scores = [score(t, plan.monitor, plan.mode, epochs) for t in trials if t.setting == place]
    say(f"  best: {values or 'the only setting'}: {plan.monitor} {sum(scores) / len(scores):.4g}")


def _in_parallel(works: list[Work], jobs: int) -> list[Trial]:
    if jobs == 1 or len(works) < 2:
        return [run(work) for work in works]
    joblib = _joblib()
    found: list[Trial] = joblib.Parallel(n_jobs=jobs)(joblib.delayed(run)(work) for work in works)
    return found


def _joblib() -> Any:
    try:
        return import_module("joblib")
    except ImportError:
        raise missing_dependency("joblib", "sweep", "training in several processes") from None
