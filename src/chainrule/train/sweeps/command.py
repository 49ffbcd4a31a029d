"""The trainings of `chainrule sweep`: runs of the command line with other options."""

from __future__ import annotations

import dataclasses
from typing import Any

from chainrule.errors import ArgumentError, listing
from chainrule.train.runs.config import DataConfig, TrainingConfig
from chainrule.train.runs.configure import configure
from chainrule.train.runs.run import Run
from chainrule.train.sweeps.settings import LogUniform, Setting, settings_of

_FIXED = ("epochs", "batch_size", "seed", "checkpoint_every")
OPTIONS = {
    "hidden": list,
    "model": str,
    **{
        field.name: str if field.name in ("optimizer", "schedule") else float
        for field in dataclasses.fields(TrainingConfig)
        if field.name not in _FIXED
    },
    "patience": int,
}
"""What can be varied, and the type of its values."""


class RunBuild:
    """Makes the training of a run of the command line from the options of a setting.

    data: the source, and the split into training and test part. options: those that do not vary.
    With `folds`, the parts for validation come from the sweep.
    """

    def __init__(self, data: DataConfig, options: dict[str, Any], folds: int | None) -> None:
        self.data, self.options, self.folds = data, options, folds

    def __call__(self, seed: int, **setting: Any) -> tuple[Any, ...]:
        """(trainer, train, valid) of a setting."""
        config = configure(self.data, **{**self.options, **setting, "seed": seed})
        if self.folds is not None:
            config = dataclasses.replace(
                config, data=dataclasses.replace(config.data, valid_fraction=0.0)
            )
        run = Run("", config)
        train, valid, _ = run.parts()
        used = len(train) * (1 if self.folds is None else 1 - 1 / self.folds)
        steps = -(-int(used) // config.training.batch_size)
        return run.trainer(steps, progress=False, saves=False), train, valid


def values_of(text: str) -> tuple[str, Any]:
    """The name and the values of an option such as `lr=1e-3,1e-2`, `hidden=64,128x64` or
    `lr=log:1e-4:1e-1`.

    >>> values_of("hidden=64,128x64"), values_of("lr=log:1e-4:1e-1")
    (('hidden', [[64], [128, 64]]), ('lr', LogUniform(0.0001, 0.1)))
    """
    name, _, values = text.partition("=")
    name = name.strip().replace("-", "_")
    if name not in OPTIONS or not values.strip():
        raise ArgumentError(
            f"--set {text}: no option to vary",
            expected=f"NAME=VALUE,VALUE with one of the names {listing(sorted(OPTIONS), 20)}",
        )
    kind, low, high = (*values.split(":"), "", "")[:3]
    try:
        if kind == "log":
            return name, LogUniform(float(low), float(high))
        return name, [_value(name, part.strip()) for part in values.split(",")]
    except ValueError as error:
        raise ArgumentError(f"--set {text}: {error}") from None


def _value(name: str, part: str) -> Any:
    kind = OPTIONS[name]
    return [int(width) for width in part.split("x")] if kind is list else kind(part)


def command_build(
    data: DataConfig,
    space: dict[str, Any],
    samples: int | None,
    folds: int | None,
    **options: Any,
) -> tuple[RunBuild, int, int]:
    """(build, epochs, batch size) of `chainrule sweep`, with the defaults of `chainrule train`."""
    build = RunBuild(data, options, folds)
    first: Setting = settings_of(space, samples)[0]
    training = configure(data, **{**options, **first}).training
    build.options |= {"epochs": training.epochs, "batch_size": training.batch_size}
    return build, training.epochs, training.batch_size
