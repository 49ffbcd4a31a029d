"""What people have as arrays that a model takes: lists, DataFrames, float64, integers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from chainrule.data.numbers import as_numbers, to_float32
from chainrule.errors import DTypeError
from chainrule.nn.module import Module
from chainrule.nn.predictions import Prediction
from chainrule.primitive import Array
from chainrule.tensor import Tensor, from_numpy
from chainrule.train.modes import evaluating


def float_dtype(model: Module) -> np.dtype[Any] | None:
    """The floating dtype of the parameters; None if they have several or none."""
    found = {p.dtype for p in model.parameters() if p.dtype.kind == "f"}
    return found.pop() if len(found) == 1 else None


def forward(model: Module, inputs: Sequence[Tensor]) -> Any:
    """The outputs of the model. Floats of another precision get that of the parameters."""
    dtype = float_dtype(model)
    if dtype is None:
        return model(*inputs)
    return model(*[x.to(dtype) if x.dtype.kind == "f" and x.dtype != dtype else x for x in inputs])


def fitted(predicts: Prediction | None, outputs: Any, targets: Any) -> Any:
    """Targets in the shape and dtype that the loss compares with the outputs, as it declares.

    Only dimensions of size 1 are added or removed: (N,) becomes (N, 1) for one output, and never
    broadcasts to (N, N).

    >>> import chainrule as cr
    >>> fitted(None, cr.zeros(3, 1), cr.ones(3)).shape
    (3, 1)
    """
    if not (isinstance(outputs, Tensor) and isinstance(targets, Tensor)):
        return targets
    shape, dtype = outputs.shape, outputs.dtype
    given = targets.dtype
    if given.kind != "f":
        if predicts is None:
            dtype = given
        elif predicts.indices:
            shape = shape[:1] + shape[2:]
            dtype = np.dtype(np.int64) if given.kind == "b" else given
    if given is not dtype and given != dtype:
        targets = targets.to(dtype)
    if targets.shape != shape and _without_ones(targets.shape) == _without_ones(shape):
        targets = targets.reshape(shape)
    return targets


def _without_ones(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]


def inputs_for(model: Module, *inputs: Any) -> list[Array]:
    """Samples as arrays (N, ...) of a dtype that the model takes.

    Floats get the dtype of the parameters. Integers stay if the model takes them, as an embedding
    does; otherwise they become floats.
    """
    arrays, dtype = [_numbers(x, "the input") for x in inputs], float_dtype(model)
    if dtype is None:
        return arrays
    arrays = [_as_float(x, dtype, "the input") if x.dtype.kind == "f" else x for x in arrays]
    if all(x.dtype.kind == "f" for x in arrays) or _takes(model, arrays):
        return arrays
    return [_as_float(x, dtype, "the input") for x in arrays]


def targets_for(model: Module, predicts: Prediction | None, y: Any) -> Array:
    """Targets as an array of the dtype that the loss declares by `predicts`.

    Class labels are int64; whole numbers among floats are labels too. Other targets are floats of
    the dtype of the parameters.
    """
    values, dtype = _numbers(y, "the target"), float_dtype(model)
    if predicts is not None and predicts.indices:
        labels = values.dtype.kind == "f" and max(values.ndim, values[0].size) == 1
        if values.dtype.kind == "b" or (labels and (values == np.rint(values)).all()):
            return values.astype(np.int64)
    floats = values.dtype.kind == "f" or not (predicts is None or predicts.indices)
    return _as_float(values, dtype, "the target") if floats and dtype is not None else values


def _numbers(value: Any, name: str) -> Array:
    """An array of numbers of a tensor, a list, or a DataFrame."""
    if isinstance(value, Tensor):
        return value.detach().numpy()
    array = np.asarray(value)
    if array.dtype == object:  # A DataFrame with columns of several dtypes.
        with suppress(TypeError, ValueError):
            array = array.astype(np.float64)
    if array.dtype.kind not in "biuf":
        raise DTypeError(
            f"{name} is text",
            given=array.dtype,
            expected="numbers",
            instead="Number the labels: y, classes = cr.data.encode_labels(y). For a table with "
            "text, use cr.data.table(frame, label=...).",
        )
    return as_numbers(array, name)


def _as_float(values: Array, dtype: np.dtype[Any], name: str) -> Array:
    if values.dtype == dtype:
        return values
    return to_float32(values, name) if dtype == np.float32 else values.astype(dtype)


def _takes(model: Module, arrays: Sequence[Array]) -> bool:
    """Whether the model accepts the dtypes of the first sample. It runs in evaluation mode."""
    with evaluating(model):
        try:
            model(*[from_numpy(x[:1]) for x in arrays])
        except DTypeError:
            return False
        except Exception:
            return True  # The training raises this error.
    return True
