"""The mistakes that are made most often, caught where they are made: each message says what was
given, what was expected and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def check_table(x: Array, n_columns: int, who: str) -> Array:
    """`x` as an array, if it is a table with `n_columns` columns and one example a row."""
    x = np.asarray(x)
    if x.ndim == 2 and x.shape[1] == n_columns:
        return x
    advice = ""
    if x.ndim == 1 and x.size == n_columns:
        advice = " One example is a table of one row: x.reshape(1, -1)."
    elif x.ndim > 2 and x[0].size == n_columns:
        advice = " Flatten each example: x.reshape(len(x), -1)."
    raise ValueError(f"{who} takes inputs of shape (n, {n_columns}), given {x.shape}.{advice}")


def check_columns(x: Array, n_rows: int, who: str) -> Array:
    """`x` as an array, if it is a table with `n_rows` rows and one example a column."""
    x = np.asarray(x)
    if x.ndim == 2 and x.shape[0] == n_rows:
        return x
    advice = ""
    if x.ndim == 1 and x.size == n_rows:
        advice = " One example is a table of one column: x.reshape(-1, 1)."
    elif x.ndim == 2 and x.shape[1] == n_rows:
        advice = " Each example is a column here: write x.T."
    elif x.ndim > 2 and x[0].size == n_rows:
        advice = " Flatten each example to a column: x.reshape(len(x), -1).T."
    raise ValueError(f"{who} takes inputs of shape ({n_rows}, m), given {x.shape}.{advice}")


def check_gradient(layer: Any, dvalues: Array) -> Array:
    """`dvalues` as an array, if it has the shape of the output that `layer` computed last."""
    dvalues, who = np.asarray(dvalues), type(layer).__name__
    output = getattr(layer, "output", None)
    if output is None:
        raise RuntimeError(
            f"{who}.backward needs the values of a forward pass: call forward first."
        )
    if dvalues.shape != output.shape:
        raise ValueError(
            f"{who}.backward takes the gradient of its output, of shape {output.shape}, "
            f"given {dvalues.shape}."
        )
    return dvalues


def check_same_shape(output: Array, y: Array, who: str) -> tuple[Array, Array]:
    """Outputs and targets as arrays, if they have one shape; nothing is broadcast."""
    output, y = np.asarray(output), np.asarray(y)
    if output.shape == y.shape:
        return output, y
    advice = ""
    if output.size == y.size:
        advice = (
            f" Subtracting them would broadcast to {np.broadcast_shapes(output.shape, y.shape)}:"
            f" write y.reshape{output.shape}."
            if output.shape[-1] == 1 or y.shape[-1] == 1
            else f" Write y.reshape{output.shape}."
        )
    raise ValueError(
        f"{who} takes targets of the outputs' shape {output.shape}, given {y.shape}.{advice}"
    )


def class_numbers(y: Array, n_classes: int) -> Array:
    """Labels (n,) as integers, if each is a class: 0 ... n_classes − 1."""
    y = np.asarray(y)
    numbers = y.astype(np.int64)
    wrong = (numbers != y) | (numbers < 0) | (numbers >= n_classes)
    if wrong.any():
        place = int(wrong.argmax())
        raise ValueError(
            f"Label {y[place]} at position {place}: classes are 0 to {n_classes - 1}. "
            "The network needs one output a class."
        )
    return numbers


def one_hot(y: Array, n_classes: int) -> Array:
    """Labels (n,) as rows with a single one: (n, n_classes), float64.

    >>> one_hot([0, 2], 3)
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    return np.eye(n_classes)[class_numbers(y, n_classes)]


def targets(y: Array, output: Array) -> Array:
    """Integer labels (n,) or one-hot rows (n, C) as rows (n, C) for outputs (n, C)."""
    y, output = np.asarray(y), np.asarray(output)
    if output.ndim != 2:
        raise ValueError(f"Outputs have shape (n, classes), given {output.shape}.")
    if y.shape == (len(output),):
        return one_hot(y, output.shape[1])
    if y.shape == output.shape:
        if np.any(y < 0) or not np.allclose(y.sum(1), 1):
            raise ValueError("Each row of one-hot labels holds shares that add up to 1.")
        return y
    advice = " A column is not a list: write y.ravel()." if y.shape == (len(output), 1) else ""
    raise ValueError(
        f"Labels for outputs of shape {output.shape} are integers of shape ({len(output)},) "
        f"or one-hot rows of shape {output.shape}, given {y.shape}.{advice}"
    )
