"""Batches from samples: what a loader makes of a list of samples of any structure."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.ops.creation import tensor
from chainrule.ops.shape import stack
from chainrule.tensor import Tensor, from_numpy


def default_collate(batch: Sequence[Any]) -> Any:
    """One batch of samples of the same structure, as PyTorch makes it.

    Tensors and arrays are stacked, and numbers become tensors: Python floats float64, integers
    int64. Texts stay as they are. A list of tuples or of lists becomes a list of batches, and dicts
    and named tuples keep their keys and names. Raises DTypeError for other samples, such as None,
    and ShapeError for tensors or lists of different sizes.

    >>> import chainrule as cr
    >>> default_collate([(cr.ones(2), 3, "a"), (cr.zeros(2), 4, "b")])
    [tensor([[1., 1.],
            [0., 0.]]), tensor([3, 4]), ('a', 'b')]
    >>> default_collate([{"x": 0.5}, {"x": 1.5}])
    {'x': tensor([0.5, 1.5], dtype=float64)}
    """
    first = batch[0]
    if isinstance(first, (Tensor, np.ndarray)):
        return _stacked(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, np.generic):
        return from_numpy(_numeric(np.array(batch)))
    if isinstance(first, (bool, int, float)):
        return tensor(list(batch), dtype=np.dtype(np.float64) if isinstance(first, float) else None)
    if isinstance(first, Mapping):
        return _like(first, {key: default_collate([s[key] for s in batch]) for key in first})
    if not isinstance(first, Sequence):
        raise DTypeError(
            f"a batch of {type(first).__name__} samples",
            expected="tensors, arrays, numbers, texts, dicts, tuples or lists",
            instead="Give the loader a function collate_fn=... that makes a batch of samples.",
        )
    if len({len(sample) for sample in batch}) > 1:
        raise ShapeError(
            "the samples of a batch differ in length",
            given=sorted({len(sample) for sample in batch}),
            instead="Pad them, or give the loader a function collate_fn=....",
        )
    fields = [default_collate(field) for field in zip(*batch, strict=True)]
    return _like(first, fields)


def default_convert(data: Any) -> Any:
    """A sample with tensors instead of arrays; tuples become lists. For loaders without batches.

    >>> default_convert((np.ones(2), {"n": np.int64(3)}, 0.5))
    [tensor([1., 1.], dtype=float64), {'n': tensor(3)}, 0.5]
    """
    if isinstance(data, np.ndarray) and data.dtype.kind in "biuf":
        return from_numpy(data)
    if isinstance(data, np.generic) and not isinstance(data, (str, bytes)):
        return from_numpy(_numeric(np.asarray(data)))
    if isinstance(data, Mapping):
        return _like(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like(data, [default_convert(item) for item in data])
    return data


def _stacked(batch: Sequence[Any]) -> Tensor:
    shapes = {np.shape(x) for x in batch}
    if len(shapes) > 1:
        raise ShapeError(
            "the samples of a batch differ in shape",
            given=", ".join(map(str, sorted(shapes))),
            instead="Resize, crop or pad them, or give the loader a function collate_fn=....",
        )
    if isinstance(batch[0], Tensor):
        stacked: Tensor = stack(list(batch))
        return stacked
    return from_numpy(_numeric(np.stack(batch)))


def _numeric(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"a batch of {array.dtype} values", expected="numbers")
    return array


def _like(given: Any, items: Any) -> Any:
    """The items in a container like the given one: a dict, list or named tuple of the same class,
    if it can be made of them; a list for tuples."""
    if isinstance(given, tuple):
        return type(given)(*items) if hasattr(given, "_fields") else items
    make: Callable[[Any], Any] = type(given)
    try:
        if isinstance(given, (MutableMapping, MutableSequence)):
            made = copy.copy(given)
            for key, value in items.items() if isinstance(items, dict) else enumerate(items):
                made[key] = value
            return made
        return make(items)
    except TypeError:  # it cannot be copied or made of one argument
        return items
