"""Makes the config of a new run, with defaults that follow from the data."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.data.catalog import Samples, open_dataset
from chainrule.data.dataset import REGRESSION
from chainrule.data.encoding import EncodeTable
from chainrule.data.framing import Framing
from chainrule.errors import ArgumentError
from chainrule.train.io.records import read_record
from chainrule.train.runs.architecture import cnn, default_hidden, mlp, own_file
from chainrule.train.runs.config import (
    DataConfig,
    InputsConfig,
    ModelConfig,
    RunConfig,
    TargetConfig,
    TrainingConfig,
    versions,
)
from chainrule.train.runs.tabular import tabular
from chainrule.train.runs.texts import is_text, text_parts

_MANY, _ENOUGH = 10_000, 2_000


def configure(
    data: DataConfig,
    *,
    model: str | None = None,
    hidden: Sequence[int] | None = None,
    name: str | None = None,
    **training: Any,
) -> RunConfig:
    """The config of a new run. Defaults follow from the data.

    model: "mlp", "cnn", "table", "gpt", "char_rnn" or FILE.py:function; by default "table" for a
    table without `hidden` widths, "gpt" for a text, else "mlp".
    """
    if is_text(data.source, model):
        return _configure_text(data, model, hidden, name, training)
    if model in (None, "mlp", "cnn"):
        data = dataclasses.replace(data, flat=model != "cnn")
    train, _ = open_data(data)
    if model is None:
        model = "mlp" if train.schema is None or hidden is not None else "table"
    shape, classes = train.input_shape, train.classes
    loss, outputs, target = _task(train)
    images = train.image is not None
    dropout = (0.1 if len(train) >= _MANY else 0.2) if images else 0.0
    chosen_model = (
        _tabular(train, outputs)
        if model == "table"
        else _model(model, shape, hidden, outputs, dropout)
    )
    defaults = _defaults(len(train), model, images)
    chosen = {**defaults, **{k: v for k, v in training.items() if v is not None}}
    inputs = {**train.describe(), "classes": classes and list(classes)}
    kind = chosen_model.function or chosen_model.kind
    return RunConfig(
        name=name or safe_name(f"{os.path.basename(os.path.normpath(data.source))}-{kind}"),
        data=data,
        inputs=read_record(InputsConfig, inputs, "the data"),
        model=chosen_model,
        loss=loss,
        outputs=outputs,
        target=target,
        framing=_framing(train),
        training=TrainingConfig(**chosen),
        versions=versions(),
    )


def _configure_text(
    data: DataConfig, model: str | None, hidden: Any, name: str | None, training: dict[str, Any]
) -> RunConfig:
    """The config of a run on a text, whose end is the test part."""
    if hidden is not None:
        raise ArgumentError("hidden is for the mlp", given=f"model {model or 'gpt'}")
    data = dataclasses.replace(data, test_size=0.1)
    inputs, chosen_model, windows = text_parts(data, model)
    epochs = min(100, max(5, 2500 * 32 // windows))
    defaults: dict[str, Any] = {"epochs": epochs, "batch_size": 32, "lr": 2e-3, "clip_norm": 1.0}
    defaults |= {"optimizer": "adamw", "weight_decay": 0.1}
    chosen = {**defaults, **{k: v for k, v in training.items() if v is not None}}
    return RunConfig(
        name=name or safe_name(f"{os.path.basename(data.source)}-{chosen_model.kind}"),
        data=data,
        inputs=inputs,
        model=chosen_model,
        loss="CrossEntropyLoss",
        outputs=(chosen_model.options or {})["vocab_size"],
        training=TrainingConfig(**chosen),
        versions=versions(),
    )


def open_data(data: DataConfig) -> tuple[Samples, Samples]:
    """(train, test) of a config."""
    return open_dataset(
        data.source,
        flat=data.flat,
        size=None if data.size is None else (data.size[0], data.size[1]),
        test_size=data.test_size,
        seed=data.seed,
        label=data.label,
        task=data.task,
        delimiter=data.delimiter,
        header=data.header,
        decimal=data.decimal,
        columns=data.columns,
        drop=data.drop,
        missing=data.missing,
    )


def _framing(train: Samples) -> Framing | None:
    """How grey training images show one figure each; None for other data."""
    if train.image is None or train.image.channels != 1:
        return None
    first = train.take(np.arange(min(_ENOUGH, len(train)))).arrays[0]
    images = first.reshape(-1, train.image.height, train.image.width)
    return Framing.fit(images / train.image.maximum)


def _task(train: Samples) -> tuple[str, int, TargetConfig | None]:
    """(loss, number of outputs, scaling of the targets) for a dataset."""
    if train.task == REGRESSION:
        y = train.targets.reshape(len(train), -1).astype(np.float64)
        std = np.where(y.std(axis=0) > 0, y.std(axis=0), 1.0)
        return "MSELoss", y.shape[1], TargetConfig(y.mean(axis=0).tolist(), std.tolist())
    classes = len(train.classes or np.unique(train.targets))
    return ("BCEWithLogitsLoss", 1, None) if classes == 2 else ("CrossEntropyLoss", classes, None)


def _model(
    model: str, shape: Sequence[int], hidden: Sequence[int] | None, outputs: int, dropout: float
) -> ModelConfig:
    if model == "mlp":
        inputs = int(np.prod(shape))
        widths = default_hidden(shape) if hidden is None else hidden
        return ModelConfig("mlp", mlp(inputs, widths, outputs, dropout))
    if hidden is not None:
        raise ArgumentError("hidden is for the mlp", given=f"model {model}")
    if model == "cnn":
        if len(shape) != 3:
            raise ArgumentError("the cnn takes images", given=f"inputs of shape {shape}")
        return ModelConfig("cnn", cnn(shape, outputs))
    path, function, digest = own_file(model)
    return ModelConfig("file", path=path, function=function, sha256=digest)


def _tabular(train: Samples, outputs: int) -> ModelConfig:
    if not isinstance(train.transform, EncodeTable):
        raise ArgumentError("the model `table` takes tables", given=f"inputs {train.input_shape}")
    blocks = train.transform.blocks
    categories = [(block.start, block.stop) for block in blocks if block.categories]
    size = {"width": 128, "blocks": 2} if len(train) >= _MANY else {}
    return ModelConfig("table", tabular(blocks[-1].stop, categories, outputs, **size))


def _defaults(samples: int, model: str, images: bool) -> dict[str, Any]:
    """Hyper-parameters chosen on validation splits of digits, breast_cancer, MNIST and tables."""
    if model == "table":
        # About 3,000 steps, except for large tables.
        batch = 32 if samples < _MANY else 128
        epochs = min(400, max(40 if samples < _MANY else 20, 3000 * batch // samples))
        decay = {"optimizer": "adamw", "weight_decay": 0.3, "patience": 20}
        return {"epochs": epochs, "batch_size": batch, "lr": 2e-3, **decay}
    if model == "cnn":
        return {"epochs": 6 if samples >= _MANY else 20, "batch_size": 64, "lr": 3e-3}
    if samples >= _MANY:
        return {"epochs": 15, "batch_size": 64, "lr": 2e-3}
    if images:
        return {"epochs": 40, "batch_size": 32, "lr": 1e-2}
    decay = {"optimizer": "adamw", "weight_decay": 0.3}
    return {"epochs": 40, "batch_size": 32, "lr": 3e-3, **decay}


def safe_name(text: str) -> str:
    """A folder name of letters, digits, dots and dashes that is neither a path nor hidden.

    >>> safe_name("../my data.csv")
    'my-data.csv'
    """
    return re.sub(r"[^\w.-]+", "-", text).strip("-.")[:80] or "run"
