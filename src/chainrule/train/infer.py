"""Data to train on and predict for: loaders of datasets and arrays, and the outputs of a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.data.dataset import ArrayDataset, Dataset
from chainrule.data.loader import DataLoader
from chainrule.errors import DTypeError
from chainrule.nn.module import Module
from chainrule.nn.predictions import Prediction
from chainrule.primitive import Array
from chainrule.train.arrays import forward, inputs_for, targets_for
from chainrule.train.metrics import as_array
from chainrule.train.modes import evaluating

BATCH = 256


def as_loader(
    data: Any,
    model: Module,
    predicts: Prediction | None = None,
    batch_size: int | None = None,
    shuffle: bool = False,
    seed: int = 0,
    part: tuple[int, int, int] | None = None,
) -> DataLoader:
    """A loader of a dataset, or of (x, y), several inputs (x₁, x₂, y), or (x,).

    x and y are arrays, tensors, lists or DataFrames. They become arrays that the model takes, and
    targets in the form that the loss declares by `predicts`. A loader is returned unchanged.
    """
    if isinstance(data, DataLoader):
        return data
    if isinstance(data, tuple):
        inputs = data[:-1] or data
        targets = [targets_for(model, predicts, y) for y in data[len(inputs) :]]
        data = ArrayDataset(*inputs_for(model, *inputs), *targets)
    if not hasattr(data, "gather"):
        raise DTypeError(
            "this is no data to train on or evaluate",
            given=type(data).__name__,
            expected="a dataset, a DataLoader, or a pair (x, y) of arrays",
        )
    if batch_size is None:
        batch_size = min(BATCH, max(len(data), 1))
    return DataLoader(data, batch_size, shuffle, seed=seed, part=part)


def outputs_of(model: Module, x: Any) -> Array:
    """The outputs of the model for all samples of an array, a DataFrame or a dataset: (N, ...).

    If a dataset has more than one field, the last one is the target and is not an input.
    """
    data = x if isinstance(x, (Dataset, DataLoader)) else (x,)
    results = []
    with evaluating(model):
        for batch in as_loader(data, model):
            results.append(as_array(forward(model, batch[:-1] or batch)))
    return np.concatenate(results)
