"""Predictions: a model applied to arrays or datasets, in batches, in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule.data.dataset import ArrayDataset, Dataset
from chainrule.data.loader import DataLoader
from chainrule.errors import DTypeError
from chainrule.grad_mode import no_grad
from chainrule.nn.module import Module
from chainrule.primitive import Array
from chainrule.tensor import Tensor
from chainrule.train.metrics import as_array

BATCH = 256


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Use evaluation mode without gradients in a block, and restore the modes afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def as_loader(
    data: Any, batch_size: int | None = None, shuffle: bool = False, seed: int = 0
) -> DataLoader:
    """A loader for a dataset or a pair of arrays (x, y); a loader is returned unchanged."""
    if isinstance(data, DataLoader):
        return data
    if isinstance(data, tuple):
        data = ArrayDataset(*map(_plain, data))
    if not hasattr(data, "gather"):
        raise DTypeError(
            "this is no data to train on or evaluate",
            given=type(data).__name__,
            expected="a dataset, a DataLoader, or a pair (x, y) of arrays",
        )
    if batch_size is None:
        batch_size = min(BATCH, max(len(data), 1))
    return DataLoader(data, batch_size, shuffle, seed=seed)


def outputs_of(model: Module, x: Any) -> Array:
    """The outputs of the model for all samples of an array, a tensor or a dataset: (N, ...).

    If a dataset has more than one field, the last one is the target and is not an input.
    """
    data = x if isinstance(x, (Dataset, DataLoader)) else (x,)
    results = []
    with evaluating(model):
        for batch in as_loader(data):
            results.append(as_array(model(*(batch[:-1] or batch))))
    return np.concatenate(results)


def _plain(x: Any) -> Any:
    """The value as an array for a dataset, which converts lists of Python floats to float32."""
    return as_array(x) if isinstance(x, Tensor) else x
