"""The folder of a run: its config, data, history and trained model, and what its outputs mean."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.data.catalog import Samples
from chainrule.data.dataset import ArrayDataset
from chainrule.data.files import PathLike
from chainrule.data.schema import Schema
from chainrule.data.splits import Subset
from chainrule.data.transforms import Transform, transform_from_config
from chainrule.errors import CheckpointError, FormatError, listing
from chainrule.nn.losses import Loss
from chainrule.nn.predictions import Prediction, YesOrNo
from chainrule.ops.random import manual_seed
from chainrule.primitive import Array
from chainrule.train.history import History
from chainrule.train.io.files import load
from chainrule.train.io.strict_json import from_json, read_json
from chainrule.train.runs.architecture import build, build_from_file
from chainrule.train.runs.config import RunConfig
from chainrule.train.runs.configure import open_data
from chainrule.train.runs.texts import build_text, open_text

LOSSES: dict[str, type[Loss]] = {
    loss.__name__: loss for loss in (nn.CrossEntropyLoss, nn.BCEWithLogitsLoss, nn.MSELoss)
}

_JUDGED = 10_000


class RunFolder:
    """What the folder of a run contains.

    folder, config: its path, and the record of `config.json`.
    trusted: whether the Python file that defines the model may be run.
    """

    def __init__(self, folder: PathLike, config: RunConfig, trusted: bool = True) -> None:
        self.folder, self.config, self.trusted = os.fspath(folder), config, trusted

    def path(self, name: str) -> str:
        """The path of a file of this run."""
        return os.path.join(self.folder, name)

    # -- data ----------------------------------------------------------------------------------

    @cached_property
    def data(self) -> tuple[Samples, Samples]:
        """(train, test), read and split as the config says."""
        if self.config.inputs.tokenizer is not None:
            return open_text(self.config.data, self.config.inputs)
        return open_data(self.config.data)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The numbers of samples to learn from, to validate on, and to test on."""
        train, test = map(len, self.data)
        valid = round(train * self.config.data.valid_fraction)
        return train - valid, valid, test

    @property
    def judged(self) -> ArrayDataset:
        """The test part in memory; of one that lies in files, at most 10,000 samples, evenly
        spread."""
        test = self.data[1]
        if isinstance(test, ArrayDataset) and not test.waits:
            return test
        return test.take(np.unique(np.linspace(0, len(test) - 1, _JUDGED).astype(int)))

    def prepared(self, data: Samples) -> Samples:
        """The same samples with targets in the form that the loss expects."""
        if isinstance(data, Subset):
            return Subset(self.prepared(data.dataset), data.indices)
        y = data.targets
        if isinstance(self.predicts, YesOrNo):
            y = y.reshape(len(y), 1).astype(np.float32)
        elif self.config.target is not None:
            target = self.config.target
            y = ((y.reshape(len(y), -1) - target.mean) / target.std).astype(np.float32)
        return data.with_targets(y)

    @cached_property
    def schema(self) -> Schema | None:
        """The role of each column of the training table; None for other data."""
        record = self.config.inputs.schema
        return None if record is None else Schema.from_config(record)

    @cached_property
    def transform(self) -> Transform | None:
        """The preprocessing of raw samples; None if there is none."""
        record = self.config.inputs.transform
        return None if record is None else transform_from_config(record)

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes, in the order of the outputs; None for regression."""
        names = self.config.inputs.classes
        return None if names is None else tuple(names)

    # -- results -------------------------------------------------------------------------------

    @property
    def history(self) -> History:
        """The records of the epochs. A last line that a kill cut short is left out."""
        path = self.path("history.jsonl")
        if not os.path.exists(path):
            return History()
        with open(path, "rb") as file:
            lines = file.read().splitlines(keepends=True)
        records = [
            from_json(line, f"{path}, line {i + 1}")
            for i, line in enumerate(lines)
            if line.endswith(b"\n")
        ]
        if not all(isinstance(r, dict) and isinstance(r.get("epoch"), int) for r in records):
            raise FormatError(f"{path} holds lines that are no epochs")
        return History([{k: part for k, part in r.items() if _numeric(k, part)} for r in records])

    @property
    def results(self) -> dict[str, Any]:
        """The record of `results.json`: the metrics of the test part; empty before the end."""
        path = self.path("results.json")
        found = read_json(path) if os.path.exists(path) else {}
        return found if isinstance(found, dict) else {}

    # -- model ---------------------------------------------------------------------------------

    def build(self) -> nn.Module:
        """The model before training, from the seed of the run."""
        manual_seed(self.config.training.seed)
        c = self.config.model
        if c.options is not None:
            return build_text(c)
        if c.kind != "file":
            return build(c.layers)
        if not self.trusted:
            raise CheckpointError(
                f"{self.folder} names a Python file, which would be run: {c}",
                instead="If you trust it, pass --trust, or cr.load_run(folder, trust=True).",
            )
        shape, outputs = self.config.inputs.input_shape, self.config.outputs
        return build_from_file(str(c.path), str(c.function), str(c.sha256), shape, outputs)

    @cached_property
    def model(self) -> nn.Module:
        """The trained model, in evaluation mode."""
        path = self.path("model.safetensors")
        if not os.path.exists(path):
            raise CheckpointError(
                f"{self.folder} has no trained model yet",
                instead=f"Finish it: chainrule train --resume {self.folder}",
            )
        model = self.build()
        state = load(path)
        if not isinstance(state, dict):
            raise FormatError(f"{path} holds no weights")
        model.load_state_dict(state)
        return model.eval()

    @cached_property
    def loss(self) -> Loss:
        """The loss that the model was trained with."""
        if self.config.loss not in LOSSES:
            raise FormatError(
                f"unknown loss {self.config.loss!r:.60}", expected=listing(sorted(LOSSES))
            )
        return LOSSES[self.config.loss]()

    @property
    def predicts(self) -> Prediction:
        """The meaning of the outputs, as the loss declares it."""
        return self.loss.predicts

    # -- the meaning of outputs ----------------------------------------------------------------

    def names(self, shares: Array) -> list[str]:
        """The names of the classes, or their numbers without names; FormatError if the number of
        outputs differs."""
        names = self.config.inputs.classes or [str(i) for i in range(shares.shape[1])]
        if len(names) != shares.shape[1]:
            raise FormatError(
                f"the model of {self.folder} tells {shares.shape[1]} classes apart",
                expected=f"{len(names)}: {listing(names)}",
            )
        return names

    def values(self, outputs: Array) -> Array:
        """The outputs of a regression in the units of the targets."""
        if self.config.target is None:
            return outputs
        std, mean = np.asarray(self.config.target.std), np.asarray(self.config.target.mean)
        return outputs.reshape(len(outputs), -1) * std + mean


def _numeric(name: str, part: Any) -> bool:
    """Whether a part of a record of the history is a number, or numbers of layers by name."""
    numbers = part.values() if name in ("gradient", "update") and isinstance(part, dict) else [part]
    return all(number is None or isinstance(number, (int, float)) for number in numbers)
