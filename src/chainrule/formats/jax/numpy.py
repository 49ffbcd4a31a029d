"""NumPy's functions, as the references of ops call them, by `jax.numpy`."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


class Facade:
    """A module of NumPy's, with the functions of `jax.numpy` that have the same names.

    Types, numbers and what `jax.numpy` lacks are NumPy's: they work on known values.
    """

    def __init__(self, own: ModuleType, other: Any, changed: dict[str, Any]) -> None:
        self._own, self._other, self._changed = own, other, changed

    def __getattr__(self, name: str) -> Any:
        if name in self._changed:
            return self._changed[name]
        ours = getattr(self._own, name)
        if isinstance(ours, type) or not callable(ours):
            return ours
        return getattr(self._other, name, ours)


def _argsort(x: Any, axis: int = -1, kind: str = "stable") -> Any:
    return jnp.argsort(x, axis, stable=kind == "stable")


def _matmul(a: Any, b: Any, dtype: Any = None) -> Any:
    return jnp.matmul(a, b) if dtype is None else jnp.matmul(a.astype(dtype), b.astype(dtype))


def _polyval(coefficients: Iterable[float], x: Any) -> Any:
    """Horner's scheme; Python's numbers keep the dtype of x."""
    result = 0.0 * x
    for coefficient in coefficients:
        result = result * x + float(coefficient)
    return result


def _sliding_window_view(x: Any, window_shape: Any, axis: Any = None) -> Any:
    axes = range(x.ndim) if axis is None else np.atleast_1d(axis)
    for dim, size in zip(axes, np.atleast_1d(window_shape), strict=True):
        places = np.arange(x.shape[dim] - size + 1)[:, None] + np.arange(size)
        x = jnp.moveaxis(jnp.take(x, places, axis=int(dim)), int(dim) + 1, -1)
    return x


def _listed(function: Any) -> Any:
    """A function of several arrays that also takes an iterator of them."""

    def call(arrays: Any, *args: Any, **named: Any) -> Any:
        return function(list(arrays) if not hasattr(arrays, "shape") else arrays, *args, **named)

    return call


def _sum(x: Any, axis: Any = None, dtype: Any = None, **options: Any) -> Any:
    """JAX adds in pairs: a sum of float32 is accurate without the float64 of the reference."""
    x = jnp.asarray(x)
    wider = x.dtype == np.float32 and dtype == np.float64
    return jnp.sum(x, axis, None if wider else dtype, **options)


def put(y: Any, index: Any, value: Any) -> Any:
    """y after `y[index] = value`; y may also be a list."""
    if isinstance(y, list):
        return [value if place == index % len(y) else x for place, x in enumerate(y)]
    y, index = jnp.asarray(y), _as_index(index)
    if getattr(index, "dtype", None) == np.bool_ and np.ndim(value) == 0:
        index = index.reshape(index.shape + (1,) * (y.ndim - index.ndim))
        return jnp.where(index, jnp.asarray(value, y.dtype), y)
    return y.at[index].set(jnp.asarray(value, y.dtype))


def _as_index(index: Any) -> Any:
    """An index with arrays in place of lists."""
    if isinstance(index, tuple):
        return tuple(map(_as_index, index))
    return np.asarray(index) if isinstance(index, list) else index


_FOLDS = {"add": "add", "multiply": "multiply", "maximum": "max", "minimum": "min"}


def put_by(function: Any, y: Any, index: Any, value: Any) -> Any:
    """y after `function.at(y, index, value)`."""
    y = jnp.asarray(y)
    return getattr(y.at[_as_index(index)], _FOLDS[function.__name__])(jnp.asarray(value, y.dtype))


def is_refused(test: Any) -> bool:
    """Whether a check refuses its numbers. Numbers that are not known yet pass."""
    try:
        return bool(test())
    except (jax.errors.TracerBoolConversionError, jax.errors.ConcretizationTypeError):
        return False


LINALG = Facade(np.linalg, jnp.linalg, {})
NUMPY = Facade(
    np,
    jnp,
    {
        "argsort": _argsort,
        "ascontiguousarray": jnp.asarray,
        "concatenate": _listed(jnp.concatenate),
        "cumulative_sum": jnp.cumsum,
        "linalg": LINALG,
        "matmul": _matmul,
        "polyval": _polyval,
        "sliding_window_view": _sliding_window_view,
        "stack": _listed(jnp.stack),
        "sum": _sum,
        "vectorize": lambda function, otypes=None: function,
    },
)
