"""A run: a folder with a config, a history, checkpoints, a model, and results."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from chainrule import nn, optim
from chainrule.data.catalog import open_like, read_inputs
from chainrule.data.dataset import ArrayDataset, Dataset
from chainrule.data.files import PathLike
from chainrule.data.schema import Schema
from chainrule.data.splits import random_split
from chainrule.errors import ArgumentError, CheckpointError, FormatError, listing
from chainrule.nn.losses import Loss
from chainrule.nn.predictions import Prediction, YesOrNo
from chainrule.ops.random import manual_seed
from chainrule.primitive import Array
from chainrule.train.callbacks import EarlyStopping, LayerStatistics
from chainrule.train.history import History
from chainrule.train.infer import outputs_of
from chainrule.train.io.atomic import write_atomic
from chainrule.train.io.files import load, save
from chainrule.train.io.strict_json import to_json
from chainrule.train.runs.architecture import build, build_from_file
from chainrule.train.runs.config import RunConfig, load_config
from chainrule.train.runs.configure import open_data
from chainrule.train.trainer import Trainer
from chainrule.train.training import Callback

OPTIMIZERS: dict[str, Any] = {
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "sgd": optim.SGD,
    "rmsprop": optim.RMSprop,
}
SCHEDULES: dict[str, Callable[[Any, float, int], Any]] = {
    "constant": lambda optimizer, lr, steps: None,
    "cosine": lambda optimizer, lr, steps: optim.CosineAnnealingLR(optimizer, T_max=steps),
    "onecycle": lambda optimizer, lr, steps: optim.OneCycleLR(
        optimizer, max_lr=lr, total_steps=steps, cycle_momentum=False
    ),
}
LOSSES: dict[str, type[Loss]] = {
    loss.__name__: loss for loss in (nn.CrossEntropyLoss, nn.BCEWithLogitsLoss, nn.MSELoss)
}


class Run:
    """The folder of a run. Use `Run.create(folder, config)` or `Run.open(folder)`."""

    def __init__(self, folder: PathLike, config: RunConfig, trusted: bool = True) -> None:
        self.folder, self.config, self.trusted = os.fspath(folder), config, trusted
        self.seconds = 0.0

    @classmethod
    def create(cls, folder: PathLike, config: RunConfig) -> Run:
        """A new run; CheckpointError if the folder already contains one."""
        folder = os.fspath(folder)
        if os.path.lexists(folder) and not os.path.isdir(folder):
            raise CheckpointError(f"{folder} is no folder", instead="Choose another --out.")
        if os.path.exists(os.path.join(folder, "config.json")):
            raise CheckpointError(
                f"{folder} holds a run already",
                instead="Continue it with --resume, or choose another --out.",
            )
        run = cls(folder, config)
        run.trainer(1, progress=False)  # an invalid config raises an error before the folder exists
        os.makedirs(folder, exist_ok=True)
        config.save(folder)
        return run

    @classmethod
    def open(cls, folder: PathLike, trust: bool = False) -> Run:
        """An existing run. trust: allow running the Python file that defines its model."""
        return cls(folder, load_config(folder), trust)

    def path(self, name: str) -> str:
        """The path of a file of this run."""
        return os.path.join(self.folder, name)

    # -- data and model ------------------------------------------------------------------------

    @cached_property
    def data(self) -> tuple[ArrayDataset, ArrayDataset]:
        """(train, test), with targets in the form that the loss expects."""
        train, test = open_data(self.config.data)
        return self._targets(train), self._targets(test)

    def parts(self) -> tuple[Dataset, Dataset | None, Dataset]:
        """(train, valid, test); valid is None for a validation fraction of 0."""
        (train, test), fraction = self.data, self.config.data.valid_fraction
        count = round(len(train) * fraction)
        if count >= len(train):
            raise ArgumentError("valid_fraction leaves nothing to train on", given=fraction)
        if count == 0:
            return train, None, test
        sizes = [len(train) - count, count]
        kept, valid = random_split(train, sizes, seed=self.config.data.seed)
        return kept, valid, test

    def _targets(self, data: ArrayDataset) -> ArrayDataset:
        """The same samples with targets in the form that the loss expects."""
        x, y = data.arrays[0], data.arrays[-1]
        if isinstance(self.predicts, YesOrNo):
            y = y.reshape(len(y), 1).astype(np.float32)
        elif self.config.target is not None:
            target = self.config.target
            y = ((y.reshape(len(y), -1) - target.mean) / target.std).astype(np.float32)
        return ArrayDataset(
            x,
            y,
            classes=data.classes,
            transform=data.transform,
            task=data.task,
            feature_names=data.feature_names,
            image=data.image,
            schema=data.schema,
        )

    def build(self) -> nn.Module:
        """The model before training, from the seed of the run."""
        manual_seed(self.config.training.seed)
        c = self.config.model
        if c.kind != "file":
            return build(c.layers)
        if not self.trusted:
            raise CheckpointError(
                f"{self.folder} names a Python file, which would be run: {c}",
                instead="If you trust it, pass --trust, or Run.open(folder, trust=True).",
            )
        shape, outputs = self.config.inputs.input_shape, self.config.outputs
        return build_from_file(str(c.path), str(c.function), str(c.sha256), shape, outputs)

    @cached_property
    def model(self) -> nn.Module:
        """The trained model."""
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
        if self.config.loss not in LOSSES:
            raise FormatError(
                f"unknown loss {self.config.loss!r:.60}", expected=listing(sorted(LOSSES))
            )
        return LOSSES[self.config.loss]()

    @property
    def predicts(self) -> Prediction:
        """The meaning of the outputs, as the loss declares it."""
        return self.loss.predicts

    # -- training ------------------------------------------------------------------------------

    def trainer(self, steps_per_epoch: int, progress: bool = True) -> Trainer:
        """The Trainer of the config, for the model before training."""
        c = self.config.training
        model = self.build()
        for name, value, known in (
            ("optimizer", c.optimizer, OPTIMIZERS),
            ("schedule", c.schedule, SCHEDULES),
        ):
            if value not in known:
                raise ArgumentError(f"unknown {name} {value!r}", expected=listing(sorted(known)))
        options = {"lr": c.lr, "weight_decay": c.weight_decay}
        if c.optimizer == "sgd":
            options["momentum"] = 0.9
        optimizer = OPTIMIZERS[c.optimizer](model.parameters(), **options)
        schedule = SCHEDULES[c.schedule](optimizer, c.lr, max(1, c.epochs * steps_per_epoch))
        callbacks: list[Callback] = [LayerStatistics()]
        if c.patience is not None:
            callbacks.append(EarlyStopping(c.patience))
        trainer = Trainer(
            model,
            self.loss,
            optimizer,
            scheduler=schedule,
            callbacks=callbacks,
            clip_norm=c.clip_norm,
            out=self.folder,
            checkpoint_every=c.checkpoint_every,
            seed=c.seed,
            progress=progress,
        )
        trust = " --trust" if self.config.model.kind == "file" else ""
        trainer.resume_hint = f"continue with: chainrule train --resume {self.folder}{trust}"
        return trainer

    def train(
        self, resume: bool = False, override: bool = False, progress: bool = True
    ) -> tuple[History, dict[str, Any] | None]:
        """Train, and return the history and the results on the test part.

        The results are None if a signal stopped training; `train(resume=True)` continues it.
        """
        train, valid, test = self.parts()
        c = self.config.training
        started = time.monotonic()
        trainer = self.trainer(-(-len(train) // c.batch_size), progress)
        history = trainer.fit(
            train, valid, c.epochs, min(c.batch_size, len(train)), resume=resume, override=override
        )
        self.seconds = time.monotonic() - started
        if history.interrupted:
            return history, None
        save(trainer.model.state_dict(), self.path("model.safetensors"))
        self.__dict__.pop("model", None)
        results = {"test": trainer.evaluate(test), "seconds": round(self.seconds, 2)}
        write_atomic(self.path("results.json"), [to_json(results, indent=2)])
        return history, results

    # -- use -----------------------------------------------------------------------------------

    def open_like(
        self,
        source: PathLike,
        label: str | None = None,
        delimiter: str | None = None,
        header: bool | None = None,
    ) -> ArrayDataset:
        """Data to evaluate on, read and preprocessed like the training data.

        label, delimiter, header: options of a table, if they differ from training.
        """
        data = self.config.data
        like = open_like(
            source,
            dataclasses.asdict(self.config.inputs),
            label=label or data.label,
            seed=data.seed,
            test_size=data.test_size,
            **self.reading(delimiter, header),
        )
        return self._targets(like)

    def evaluate(self, data: ArrayDataset) -> dict[str, Any]:
        """Loss and metrics of the trained model."""
        optimizer = optim.SGD(self.model.parameters(), lr=0.0)
        return Trainer(self.model, self.loss, optimizer, progress=False).evaluate(data)

    @cached_property
    def schema(self) -> Schema | None:
        """The schema of the training table; None for other data."""
        record = self.config.inputs.schema
        return None if record is None else Schema.from_config(record)

    def reading(self, delimiter: str | None = None, header: bool | None = None) -> dict[str, Any]:
        """The options for reading a table; by default those of training."""
        data = self.config.data
        return {
            "delimiter": delimiter or data.delimiter,
            "header": data.header if header is None else header,
        }

    def predict(
        self, path: PathLike, delimiter: str | None = None, header: bool | None = None
    ) -> list[dict[str, Any]]:
        """A record for each input in a file, with class and probabilities, or value."""
        inputs, reading = dataclasses.asdict(self.config.inputs), self.reading(delimiter, header)
        return self.records(outputs_of(self.model, read_inputs(path, inputs, **reading)))

    def records(self, outputs: Array) -> list[dict[str, Any]]:
        """Records of predictions from the outputs of the model."""
        if not self.predicts.classes:
            return [{"value": row.tolist()} for row in self.values(outputs)]
        shares, chosen = self.predicts.probabilities(outputs), self.predicts.decide(outputs)
        names = self.names(shares)
        return [
            {
                "class": names[int(best)],
                "probability": float(row[int(best)]),
                "probabilities": dict(zip(names, map(float, row), strict=True)),
            }
            for row, best in zip(shares, chosen, strict=True)
        ]

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
