"""The `config.json` of a run: everything that is needed to repeat it, as typed records."""

from __future__ import annotations

import dataclasses
import math
import os
import platform
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.data.files import PathLike
from chainrule.data.framing import Framing
from chainrule.errors import ArgumentError, CheckpointError, FormatError, listing
from chainrule.train.io.atomic import write_atomic
from chainrule.train.io.records import check_ranges, read_record
from chainrule.train.io.strict_json import read_json, to_json

FORMAT = 1
_MANY, _LARGEST = 2**31, 2**13


@dataclass(frozen=True)
class DataConfig:
    """The source of the data, the options of a table, and the split.

    label to missing: the options of a table, see `cr.data.table`. size: (height, width) of the
    images of a folder. vocab_size: the number of byte pairs of a text.
    """

    source: str
    label: str | None = None
    task: str | None = None
    delimiter: str | None = None
    header: bool | None = None
    decimal: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    drop: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    flat: bool | None = None
    size: list[int] | None = None
    vocab_size: int | None = None
    test_size: float = 0.2
    valid_fraction: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        check_ranges(self, test_size=(0, 1), valid_fraction=(0, 1), seed=(0, 2**63))
        if self.size is not None and not (
            len(self.size) == 2 and all(1 <= side <= _LARGEST for side in self.size)
        ):
            raise ArgumentError("size is a height and a width", given=self.size)


@dataclass(frozen=True)
class TrainingConfig:
    """The options of the training."""

    epochs: int
    batch_size: int
    lr: float
    optimizer: str = "adam"
    schedule: str = "onecycle"
    weight_decay: float = 0.0
    clip_norm: float | None = None
    patience: int | None = None
    checkpoint_every: int | None = None
    seed: int = 0
    shards: int | None = None

    def __post_init__(self) -> None:
        check_ranges(
            self,
            epochs=(0, _MANY),
            batch_size=(1, _MANY),
            lr=(0, math.inf),
            weight_decay=(0, math.inf),
            clip_norm=(5e-324, math.inf),
            patience=(1, _MANY),
            checkpoint_every=(1, _MANY),
            seed=(0, 2**63),
            shards=(1, _MANY),
        )


@dataclass(frozen=True)
class ImageConfig:
    """The format of the training images, see :class:`~chainrule.data.dataset.ImageFormat`."""

    channels: int
    height: int
    width: int
    maximum: float

    def __post_init__(self) -> None:
        check_ranges(self, channels=(1, 5), height=(1, _MANY), width=(1, _MANY))


@dataclass(frozen=True)
class InputsConfig:
    """The record of `describe()` of the training data, with the preprocessing and statistics."""

    task: str | None
    classes: list[str] | None
    feature_names: list[str] | None
    image: ImageConfig | None
    schema: dict[str, Any] | None
    input_shape: list[int]
    transform: dict[str, Any] | None
    tokenizer: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not (all(n >= 1 for n in self.input_shape) and math.prod(self.input_shape) < _MANY):
            raise ArgumentError("input_shape is out of range", given=self.input_shape)


@dataclass(frozen=True)
class ModelConfig:
    """A model as a list of layers (kind "mlp" or "cnn"), as a function in a Python file, or as one
    of the models for texts with its options."""

    kind: str
    layers: list[dict[str, Any]] | None = None
    path: str | None = None
    function: str | None = None
    sha256: str | None = None
    options: dict[str, int] | None = None

    def __post_init__(self) -> None:
        needed: tuple[str, ...] = ("layers",) if self.options is None else ("options",)
        if self.kind == "file":
            needed = ("path", "function", "sha256")
        if missing := [name for name in needed if getattr(self, name) is None]:
            raise ArgumentError(f"a model of kind {self.kind!r:.40} needs {listing(missing)}")

    def __str__(self) -> str:
        return f"{self.path}:{self.function}" if self.kind == "file" else self.kind


@dataclass(frozen=True)
class TargetConfig:
    """The mean and the standard deviation with which targets of a regression are standardized."""

    mean: list[float]
    std: list[float]


@dataclass(frozen=True)
class RunConfig:
    """The config of a run: data, inputs, model, loss, training, and versions.

    target: the scale of the targets of a regression. framing: how the training pictures show their
    figures.
    """

    name: str
    data: DataConfig
    inputs: InputsConfig
    model: ModelConfig
    loss: str
    outputs: int
    training: TrainingConfig
    target: TargetConfig | None = None
    framing: Framing | None = None
    versions: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def __post_init__(self) -> None:
        check_ranges(self, outputs=(1, _MANY))
        classes, target = self.inputs.classes, self.target
        if classes is not None and target is None and len(classes) != max(self.outputs, 2):
            raise ArgumentError(f"{len(classes)} classes do not fit {self.outputs} outputs")
        if target is not None and not len(target.mean) == len(target.std) == self.outputs:
            raise ArgumentError("target does not fit the number of outputs", given=self.outputs)

    def save(self, folder: PathLike) -> None:
        """Write `config.json` into a run's folder."""
        record = to_json(dataclasses.asdict(self), indent=2)
        write_atomic(os.path.join(os.fspath(folder), "config.json"), [record])


def versions() -> dict[str, str]:
    """The versions on which the numbers of a run may depend."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        own = version("chainrule")
    except PackageNotFoundError:
        own = "unknown"
    return {
        "chainrule": own,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }


def load_config(folder: PathLike) -> RunConfig:
    """The config in the folder of a run.

    Raises CheckpointError if the folder is not a run. Raises FormatError with the key for a key
    that is unknown, missing or of the wrong type, and for a newer format.
    """
    path = os.path.join(os.fspath(folder), "config.json")
    if not os.path.isfile(path):
        best = os.path.join(os.fspath(folder), "checkpoints", "best.safetensors")
        trained = os.path.isdir(os.path.dirname(best))
        raise CheckpointError(
            f"{os.fspath(folder)} is no run: it has no config.json",
            instead=f"A Trainer's weights: model.load_state_dict(cr.load({best!r})['model'])."
            if trained
            else "Train one: chainrule train digits.",
        )
    value = read_json(path)
    found = value.get("format") if isinstance(value, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise FormatError(
            f"{path} has format {found}, newer than this Chainrule reads",
            expected=f"at most {FORMAT}",
            instead="Update Chainrule.",
        )
    return read_record(RunConfig, value, path)
