"""A run: trains the model of a config, and uses it afterwards."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from chainrule import optim
from chainrule.data.catalog import Samples, open_like
from chainrule.data.dataset import CLASSIFICATION, ArrayDataset, Dataset
from chainrule.data.files import PathLike
from chainrule.data.framing import Framed
from chainrule.data.inputs import read_inputs, read_picture
from chainrule.data.labels import encode_labels, label_text
from chainrule.data.loader import DataLoader
from chainrule.data.splits import Subset, random_split
from chainrule.errors import ArgumentError, CheckpointError, listing
from chainrule.primitive import Array
from chainrule.tensor import Tensor
from chainrule.train.callbacks import EarlyStopping, LayerStatistics
from chainrule.train.history import History
from chainrule.train.infer import outputs_of
from chainrule.train.io.atomic import write_atomic
from chainrule.train.io.files import save
from chainrule.train.io.strict_json import finite, to_json
from chainrule.train.runs.config import RunConfig, load_config
from chainrule.train.runs.folder import RunFolder
from chainrule.train.runs.neighbours import Neighbours
from chainrule.train.runs.page import write_report
from chainrule.train.trainer import Trainer
from chainrule.train.training import Callback
from chainrule.world import world

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


def load_run(folder: PathLike, trust: bool = False) -> Run:
    """The run in a folder that `chainrule train` wrote.

    trust: allow running the Python file that defines the model, if the run names one.
    Raises CheckpointError if the folder is no run, FormatError for a damaged config.

    >>> import os, tempfile
    >>> from chainrule.train.runs.config import DataConfig
    >>> from chainrule.train.runs.configure import configure
    >>> folder = os.path.join(tempfile.mkdtemp(), "run")
    >>> _ = Run.create(folder, configure(DataConfig("moons"), epochs=20)).train(progress=False)
    >>> run = load_run(folder)
    >>> run.predict([[0.0, 1.0], [1.0, -0.5]])
    array(['upper', 'lower'], dtype='<U5')
    """
    return Run(folder, load_config(folder), trust)


class Run(RunFolder):
    """A run of `chainrule train`; `cr.load_run(folder)` opens one.

    folder, config: its path, and everything that is needed to repeat it.
    data: (train, test). transform: the preprocessing. schema: the columns of a table.
    classes: the names of the classes. history, results: the records of training.
    model: the trained model. A Trainer trains it on.

    `predict`, `predict_proba` and `evaluate` take what the training data was made of: the path of a
    file, a DataFrame, raw rows or pictures. They apply the transform. A dataset applies its own.
    """

    @classmethod
    def create(cls, folder: PathLike, config: RunConfig) -> Run:
        """A new run; CheckpointError if the folder already contains one."""
        folder = os.fspath(folder)
        if os.path.lexists(folder) and not os.path.isdir(folder):
            raise CheckpointError(f"{folder} is no folder", instead="Choose another --out.")
        if not world().rank and os.path.exists(os.path.join(folder, "config.json")):
            raise CheckpointError(
                f"{folder} holds a run already",
                instead="Continue it with --resume, or choose another --out.",
            )
        run = cls(folder, config)
        run.trainer(1, progress=False)  # an invalid config raises an error before the folder exists
        if not world().rank:
            os.makedirs(folder, exist_ok=True)
            config.save(folder)
        return run

    # -- training ------------------------------------------------------------------------------

    def parts(self) -> tuple[Dataset, Dataset | None, Dataset]:
        """(train, valid, test) with targets for the loss; valid is None for a fraction of 0."""
        (train, test), (learn, validate, _) = map(self.prepared, self.data), self.sizes
        if learn <= 0:
            fraction = self.config.data.valid_fraction
            raise ArgumentError("valid_fraction leaves nothing to train on", given=fraction)
        if validate == 0:
            return train, None, test
        parts = random_split(train, [learn, validate], seed=self.config.data.seed)
        if train.chunks is not None:  # neighbours in a file are read together
            parts = [Subset(train, np.sort(part.indices)) for part in parts]
        return parts[0], parts[1], test

    def trainer(
        self,
        steps_per_epoch: int,
        progress: bool = True,
        saves: bool = True,
        callbacks: Sequence[Callback] = (),
    ) -> Trainer:
        """The Trainer of the config, for the model before training. It `saves` into the folder.

        callbacks: further ones.
        """
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
        own: list[Callback] = [LayerStatistics(), *callbacks]
        if c.patience is not None:
            own.append(EarlyStopping(c.patience))
        trainer = Trainer(
            model,
            self.loss,
            optimizer,
            scheduler=schedule,
            callbacks=own,
            clip_norm=c.clip_norm,
            out=self.folder if saves else None,
            checkpoint_every=c.checkpoint_every,
            seed=c.seed,
            progress=progress,
            shards=c.shards,
        )
        trust = " --trust" if self.config.model.kind == "file" else ""
        trainer.resume_hint = f"continue with: chainrule train --resume {self.folder}{trust}"
        return trainer

    def train(
        self,
        resume: bool = False,
        override: bool = False,
        progress: bool = True,
        callbacks: Sequence[Callback] = (),
    ) -> tuple[History, dict[str, Any] | None]:
        """Train, and return the history and the results on the test part.

        The results are None if a signal stopped training; `train(resume=True)` continues it.
        """
        train, valid, test = self.parts()
        c = self.config.training
        started = time.monotonic()
        trainer = self.trainer(-(-len(train) // c.batch_size), progress, callbacks=callbacks)
        history = trainer.fit(
            train, valid, c.epochs, min(c.batch_size, len(train)), resume=resume, override=override
        )
        seconds = time.monotonic() - started
        if history.interrupted:
            return history, None
        results = {"test": trainer.evaluate(test), "seconds": round(seconds, 2)}
        if not world().rank:
            self._save(trainer, train, results)
        world().barrier()
        return history, results

    def _save(self, trainer: Trainer, train: Dataset, results: dict[str, Any]) -> None:
        """Write what a finished training leaves."""
        save(trainer.model.state_dict(), self.path("model.safetensors"))
        if self.config.inputs.tokenizer is None:
            kept = Neighbours.fit(train, self.config.training.seed)
            kept.save(self.path("neighbours.safetensors"))
        for name in ("model", "neighbours"):
            self.__dict__.pop(name, None)
        write_atomic(self.path("results.json"), [to_json(finite(results), indent=2)])

    # -- use -----------------------------------------------------------------------------------

    def predict(self, x: Any) -> Array:
        """The label of each sample (n,) as the training data named it; whole numbers are int64.

        Of a regression: the values in the units of the targets, (n,), or (n, outputs) for several.
        """
        outputs = self.outputs(x)
        if not self.predicts.classes:
            values = self.values(outputs)
            return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
        names = self.names(self.predicts.probabilities(outputs))
        numbers = all(name.isdecimal() and str(int(name)) == name for name in names)
        labels = np.array([int(name) for name in names] if numbers else names)
        return labels[self.predicts.decide(outputs)]

    def predict_proba(self, x: Any) -> Array:
        """The probability of each class, (n, classes); ArgumentError for a regression."""
        return self.predicts.probabilities(self.outputs(x))

    def evaluate(self, data: Any = None, y: Any = None, **reading: Any) -> dict[str, Any]:
        """Loss and metrics; by default of the test part.

        data: a dataset, the path of a file with labels, or a DataFrame with a label column.
        y: the labels of raw samples `data`, named as in training, or the values of a regression.
        reading: `label`, `delimiter` and `header` of a table, if they differ from training.
        """
        if isinstance(data, tuple) and y is None and len(data) == 2:
            data, y = data
        found: Any
        if y is not None:
            found = self._labelled(self.inputs(data), np.asarray(_plain(y)))
        elif data is None:
            found = self.data[1]
        else:
            found = data if isinstance(data, Dataset) else self.open_like(data, **reading)
        optimizer = optim.SGD(self.model.parameters(), lr=0.0)
        trainer = Trainer(self.model, self.loss, optimizer, progress=False)
        return trainer.evaluate(self.prepared(found))

    def report(self) -> str:
        """Write `report.html`, one offline page, into the folder; returns its path."""
        return write_report(self)

    def inputs(self, x: Any, **options: Any) -> Array:
        """Raw samples as inputs of the model: float32 (n, *input_shape).

        options: `delimiter` and `header` of a table; `invert`, `crop` and `size` of a picture, see
            :meth:`picture`.
        """
        if self.config.inputs.tokenizer is not None:
            raise ArgumentError(
                "a run on a text continues texts",
                instead=f"chainrule generate {self.folder} --prompt 'Once'",
            )
        reading = {name: options.pop(name, None) for name in ("delimiter", "header")}
        record, view = dataclasses.asdict(self.config.inputs), self._view(**options)
        if isinstance(x, list) and x and isinstance(x[0], (str, os.PathLike)):
            parts = [read_inputs(path, record, **self.reading(**reading), **view) for path in x]
            return np.concatenate(parts)
        return read_inputs(_plain(x), record, **self.reading(**reading), **view)

    def picture(
        self,
        source: Any,
        invert: bool | None = None,
        crop: bool | None = None,
        size: float | None = None,
    ) -> Framed:
        """The picture that the model sees of an image: pixels (C, H, W) from 0 to 1, and the steps
        that led to it.

        source: the path of an image, or an image of Pillow.
        invert: whether light and dark are exchanged; by default as the background says.
        crop: whether the figure is cropped and placed as in training; by default if the training
            pictures show one figure each, on a plain background. False resizes the whole image.
        size: the larger side of the figure in pixels; by default as in training.
        """
        image = self.config.inputs.image
        if image is None:
            raise ArgumentError("the training data of this run are no pictures", given=source)
        return read_picture(source, dataclasses.asdict(image), **self._view(invert, crop, size))

    def _view(
        self,
        invert: bool | None = None,
        crop: bool | None = None,
        size: float | None = None,
    ) -> dict[str, Any]:
        framing = None if crop is False else self.config.framing
        if framing is None and (crop or size is not None):
            raise ArgumentError(
                "the training pictures show no single figure on a plain background",
                instead="Leave out crop and size (--crop, --size).",
            )
        if framing is not None and size is not None:
            framing = dataclasses.replace(framing, size=size)
        return {"framing": framing, "invert": invert}

    def outputs(self, x: Any, **options: Any) -> Array:
        """The outputs of the model for raw samples, or for a dataset. options: of `inputs`."""
        ready = isinstance(x, (Dataset, DataLoader))
        return outputs_of(self.model, x if ready else self.inputs(x, **options))

    @cached_property
    def neighbours(self) -> Neighbours | None:
        """Training inputs that others are compared with; None for a run that has none."""
        path = self.path("neighbours.safetensors")
        return Neighbours.load(path) if os.path.exists(path) else None

    def distances(self, x: Any, **options: Any) -> Array:
        """How far each sample is from the training data: more than 1 is unusual.

        The distance to the nearest of 2,000 training samples, in units of the distance that 99 % of
        these do not exceed to their nearest other one. options: of `inputs`.
        """
        if self.neighbours is None:
            raise CheckpointError(
                f"{self.folder} holds no training samples", instead="Train the run again."
            )
        return self.neighbours.distances(self.inputs(x, **options))

    def _labelled(self, x: Array, y: Array) -> ArrayDataset:
        """A dataset of inputs, and of labels as they are named in training."""
        if self.config.inputs.task == CLASSIFICATION:
            names = np.array([label_text(str(label)) for label in y.reshape(-1)])
            y = encode_labels(names, self.classes)[0]
        return ArrayDataset(x, y, classes=self.classes, task=self.config.inputs.task)

    def open_like(
        self,
        source: Any,
        label: str | None = None,
        delimiter: str | None = None,
        header: bool | None = None,
    ) -> Samples:
        """Data to evaluate on, read and preprocessed like the training data.

        label, delimiter, header: options of a table, if they differ from training.
        """
        data = self.config.data
        return open_like(
            source,
            dataclasses.asdict(self.config.inputs),
            label=label or data.label,
            seed=data.seed,
            test_size=data.test_size,
            **self.reading(delimiter, header),
        )

    def reading(self, delimiter: str | None = None, header: bool | None = None) -> dict[str, Any]:
        """The options for reading a table; by default those of training."""
        data = self.config.data
        return {
            "delimiter": delimiter or data.delimiter,
            "header": data.header if header is None else header,
        }

    def records(self, x: Any, **options: Any) -> list[dict[str, Any]]:
        """A record for each sample, with class and probabilities, or value, as `predict` prints,
        and its distance from the training data. options: of `inputs`."""
        inputs = self.inputs(x, **options)
        records = self._records(outputs_of(self.model, inputs))
        if self.neighbours is not None:
            for record, distance in zip(records, self.neighbours.distances(inputs), strict=True):
                record["distance"] = float(distance)
        return records

    def _records(self, outputs: Array) -> list[dict[str, Any]]:
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

    def __repr__(self) -> str:
        c, test = self.config, self.results.get("test", {})
        source = os.path.basename(os.path.normpath(c.data.source))
        scores = [f"{k} {v:.4f}" for k, v in test.items() if isinstance(v, float)]
        about = ", ".join([str(c.model), source, f"{len(self.history)} epochs", *scores])
        return f"Run({self.folder!r}): {about}"


def _plain(x: Any) -> Any:
    return x.detach().numpy() if isinstance(x, Tensor) else x
