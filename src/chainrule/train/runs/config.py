"""A run's `config.json`: everything that is needed to repeat it, read strictly."""

from __future__ import annotations

import dataclasses
import os
import platform
import types
import typing
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.data.files import PathLike
from chainrule.errors import CheckpointError, FormatError, listing
from chainrule.train.io.atomic import write_atomic
from chainrule.train.io.strict_json import read_json, to_json

FORMAT = 1


@dataclass(frozen=True)
class DataConfig:
    """Where the data come from, how a table is read, and how the data are split.

    label to missing: what was said about a table, see `cr.data.table`.
    """

    source: str
    label: str | None = None
    task: str | None = None
    delimiter: str | None = None
    header: bool | None = None
    decimal: str | None = None
    columns: dict[str, Any] = field(default_factory=dict)
    drop: list[Any] = field(default_factory=list)
    missing: list[Any] = field(default_factory=list)
    flat: bool | None = None
    test_size: float = 0.2
    valid_fraction: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class TrainingConfig:
    """How the model is trained. `epochs` and the others are numbers, never expressions."""

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


@dataclass(frozen=True)
class RunConfig:
    """A run: data, what its inputs look like, model, loss, training, and who made it.

    inputs: the training data's `describe()`, with the preprocessing and its statistics.
    model: {"kind": "mlp" or "cnn", "layers": [...]} or {"kind": "file", "path", ...}.
    target: mean and std by which a regression's targets were standardized.
    """

    name: str
    data: DataConfig
    inputs: dict[str, Any]
    model: dict[str, Any]
    loss: str
    outputs: int
    training: TrainingConfig
    target: dict[str, Any] | None = None
    versions: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def save(self, folder: PathLike) -> None:
        """Write `config.json` into a run's folder."""
        record = to_json(dataclasses.asdict(self), indent=2)
        write_atomic(os.path.join(os.fspath(folder), "config.json"), [record])


def versions() -> dict[str, Any]:
    """What the numbers of a run may depend on."""
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
    """The config of a run's folder.

    Raises CheckpointError if the folder is no run, and FormatError, naming the key, for a key
    that is unknown, missing or of the wrong type, and for a newer format.
    """
    path = os.path.join(os.fspath(folder), "config.json")
    if not os.path.isfile(path):
        raise CheckpointError(
            f"{os.fspath(folder)} is no run: it holds no config.json",
            instead="Train one: chainrule train digits.",
        )
    value = read_json(path)
    found = value.get("format") if isinstance(value, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise FormatError(
            f"{path} has format {found}, newer than this Chainrule reads",
            expected=f"at most {FORMAT}", instead="Update Chainrule.",
        )  # fmt: skip
    config: RunConfig = _record(RunConfig, value, path, "")
    return config


def _record(kind: Any, value: Any, path: str, prefix: str) -> Any:
    """A dataclass from a dict with exactly its keys, each of the type it is annotated with."""
    if not isinstance(value, dict):
        what = prefix.rstrip(".") or "the config"
        raise FormatError(f"{path}: {what} is no object", given=repr(value)[:60])
    hints = typing.get_type_hints(kind)
    if unknown := sorted(set(value) - set(hints)):
        raise FormatError(
            f"{path}: unknown key {listing([prefix + k for k in unknown])}",
            expected=listing(sorted(hints), 20),
        )
    needed = {f.name for f in dataclasses.fields(kind) if f.default is f.default_factory}
    if missing := sorted(needed - set(value)):
        raise FormatError(f"{path}: missing key {listing([prefix + k for k in missing])}")
    return kind(**{k: _typed(hints[k], v, path, prefix + k) for k, v in value.items()})


def _typed(hint: Any, value: Any, path: str, key: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _record(hint, value, path, f"{key}.")
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for choice in choices:
        kind = typing.get_origin(choice) or choice
        if kind is float and type(value) is int:
            return float(value)
        if type(value) is kind:
            return value
    raise FormatError(
        f"{path}: {key} has the wrong type", given=repr(value)[:60],
        expected=" or ".join(getattr(c, "__name__", str(c)) for c in choices),
    )  # fmt: skip
