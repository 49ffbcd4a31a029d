"""The results of a sweep: scores of settings, and the models that were trained."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.nn.containers import ModuleList
from chainrule.nn.module import Module
from chainrule.train.history import Best
from chainrule.train.io.atomic import write_atomic
from chainrule.train.sweeps.settings import Setting
from chainrule.train.sweeps.trial import Trial


class Row(NamedTuple):
    """The results of one setting.

    scores: for each seed and fold, the best value of the monitored quantity; NaN if it failed.
    mean, std: of the scores. epochs: how long it was trained.
    """

    setting: Setting
    scores: list[float]
    mean: float
    std: float
    epochs: int


class Ensemble(Module):
    """The mean of the outputs of several models.

    ŷ(x) = Σᵢ fᵢ(x) / n   (Hansen and Salamon, 1990)

    >>> import chainrule as cr
    >>> both = Ensemble([cr.nn.Identity(), cr.nn.ReLU()])
    >>> both(cr.tensor([-2.0, 2.0]))
    tensor([-1.,  2.])
    """

    def __init__(self, models: Sequence[Module]) -> None:
        super().__init__()
        if not models:
            raise ArgumentError("an ensemble has at least one model")
        self.models = ModuleList(models)

    def forward(self, *inputs: Any) -> Any:
        outputs = [model(*inputs) for model in self.models]
        return sum(outputs[1:], outputs[0]) / len(outputs)


class Sweep:
    """What a sweep found. Printed, it is a table, the best setting first.

    rows: the results of each setting, the best first. best: the best setting. trials: all trials.
    monitor, mode: the quantity that is compared, and "min" or "max". folder: where it is stored.
    """

    def __init__(
        self,
        settings: Sequence[Setting],
        trials: Sequence[Trial],
        monitor: str,
        mode: str,
        folder: str,
        model_of: Callable[[Trial], Module],
    ) -> None:
        self.settings, self.trials = list(settings), list(trials)
        self.monitor, self.mode, self.folder = monitor, mode, folder
        self._model_of = model_of
        order = ranking(self.settings, self.trials, monitor, mode)
        self.rows = [self._row(place) for place in order]
        self._first = order[0]

    def _row(self, place: int) -> Row:
        own = [trial for trial in self.trials if trial.setting == place]
        scores = [score(trial, self.monitor, self.mode) for trial in own]
        mean, std = float(np.mean(scores)), float(np.std(scores))
        return Row(self.settings[place], scores, mean, std, own[0].epochs)

    @property
    def best(self) -> Setting:
        """The setting with the best mean score."""
        return dict(self.rows[0].setting)

    def models(self) -> list[Module]:
        """The trained models of the best setting, one for each seed and fold that did not fail."""
        own = [t for t in self.trials if t.setting == self._first and t.error is None]
        return [self._model_of(trial) for trial in own]

    def ensemble(self) -> Ensemble:
        """The mean of the models of the best setting."""
        return Ensemble(self.models())

    def __repr__(self) -> str:
        head = [*self.settings[0], self.monitor, "±", "epochs"]
        lines = [head]
        for row in self.rows:
            values = [shown(value) for value in row.setting.values()]
            lines.append([*values, f"{row.mean:.4g}", f"{row.std:.2g}", str(row.epochs)])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    def write_csv(self, path: str) -> str:
        """Write the table, with a row for each trial, as CSV; returns the path."""
        names = [*self.settings[0]]
        lines = [",".join([*names, "seed", "fold", "epochs", self.monitor, "error"])]
        for trial in self.trials:
            cells = [_quoted(self.settings[trial.setting][name]) for name in names]
            value = score(trial, self.monitor, self.mode)
            fold = "" if trial.fold is None else trial.fold
            number = "" if math.isnan(value) else repr(value)
            rest = [trial.seed, fold, trial.epochs, number, _quoted(trial.error or "")]
            lines.append(",".join(map(str, [*cells, *rest])))
        write_atomic(path, ["".join(f"{line}\n" for line in lines).encode()])
        return os.fspath(path)


def shown(value: Any) -> str:
    """A value of a setting, as text."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _quoted(value: Any) -> str:
    text = repr(value) if isinstance(value, float) else str(value)
    special = any(sign in text for sign in ',"\n')
    return '"' + text.replace('"', '""') + '"' if special else text


def score(trial: Trial, monitor: str, mode: str, epochs: int | None = None) -> float:
    """The best value in the first `epochs` epochs; NaN if the trial failed by then."""
    best = Best(mode)
    for record in trial.records[:epochs]:
        value = record.get(monitor)
        best.update(math.nan if value is None else value)
    return math.nan if best.value is None else best.value


def ranking(
    settings: Sequence[Setting],
    trials: Sequence[Trial],
    monitor: str,
    mode: str,
    epochs: int | None = None,
) -> list[int]:
    """The numbers of the settings that have trials, the best mean score first.

    Settings that were trained longer come before others, and those with a failed trial last.
    """
    keys = {}
    for place in range(len(settings)):
        own = [trial for trial in trials if trial.setting == place]
        if not own:
            continue
        mean = float(np.mean([score(trial, monitor, mode, epochs) for trial in own]))
        rank = mean if mode == "min" else -mean
        length = min(trial.epochs for trial in own) if epochs is None else 0
        keys[place] = (math.isnan(mean), -length, rank, place)
    return sorted(keys, key=keys.__getitem__)
