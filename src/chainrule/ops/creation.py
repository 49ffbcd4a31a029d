"""Tensors made from numbers, from other libraries' arrays, or filled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.ops.random import Generator, default_generator
from chainrule.ops.shape import sizes
from chainrule.primitive import Array, Spec, allocatable
from chainrule.settings import current
from chainrule.tensor import Tensor, from_numpy

DTYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]


def spec(*shape: Any, dtype: Any = None) -> Spec:
    """The spec of a tensor, e.g. `cr.spec(64, 784)`, to trace a program with.

    >>> spec(64, 784)
    float32(64, 784)
    """
    return allocatable(sizes(shape), dtype or current().default_dtype)


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of `data`: numbers, nested lists, an array, or a tensor.

    Python floats get the default dtype (float32), integers int64; arrays keep their dtype unless
    `dtype` is given. Raises ShapeError for ragged lists and DTypeError for what is no number.

    >>> tensor([[1, 2], [3, 4.5]])
    tensor([[1. , 2. ], [3. , 4.5]])
    """
    if isinstance(data, Tensor):
        array = data._numbers("cr.tensor")
    elif hasattr(data, "__array__") and not isinstance(data, np.generic):
        array = np.asarray(data)
    else:
        array = _from_lists(data)
        if dtype is None and array.dtype == np.float64 and not isinstance(data, np.float64):
            dtype = current().default_dtype
    _check_numeric(array, data)
    target = np.dtype(dtype) if dtype is not None else array.dtype.newbyteorder("=")
    if target.name not in DTYPES:
        raise DTypeError("this dtype is not supported", given=target, expected=", ".join(DTYPES))
    with np.errstate(over="ignore"):
        copied = np.array(array, target, order="C", copy=True, subok=False)
    return Tensor(copied, requires_grad)


def _from_lists(data: Any) -> Array:
    try:
        return np.asarray(data)
    except ValueError as error:
        where = _ragged_place(data)
        raise ShapeError(
            f"the nested lists are ragged{where}", expected="equal lengths at every level"
        ) from error
    except OverflowError as error:
        raise ArgumentError(f"a number does not fit: {error}") from error


def _ragged_place(data: Any, place: str = "") -> str:
    """Where nested lists stop being regular: ` at [1]: length 3, before it 2`."""
    if not isinstance(data, (list, tuple)):
        return ""
    lengths = [len(row) if isinstance(row, (list, tuple)) else None for row in data]
    for i, length in enumerate(lengths):
        if length != lengths[0]:
            return f" at {place}[{i}]: length {length}, before it {lengths[0]}"
    found = (_ragged_place(row, f"{place}[{i}]") for i, row in enumerate(data))
    return next((text for text in found if text), "")


def _check_numeric(array: Array, data: Any) -> None:
    if array.dtype.kind in "fiub":
        return
    position, value = "", data
    if array.dtype.kind == "O" and array.size:
        bad = next(
            (i for i in np.ndindex(array.shape) if not isinstance(array[i], (bool, int, float))), ()
        )
        position, value = f" at {list(bad)}", array[bad]
    raise DTypeError(
        f"this is no tensor of numbers{position}", given=f"{type(value).__name__} ({array.dtype})",
        expected="numbers, nested lists of them, or a numeric array",
    )  # fmt: skip


def full(shape: Any, fill_value: float, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor filled with one value."""
    if dtype is None:
        is_float = isinstance(fill_value, float)
        dtype = current().default_dtype if is_float else np.asarray(fill_value).dtype
    target = allocatable(sizes([shape] if not isinstance(shape, int) else (shape,)), dtype)
    return Tensor(np.full(target.shape, fill_value, target.dtype), requires_grad)


def zeros(*shape: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros."""
    target = spec(*shape, dtype=dtype)
    return Tensor(np.zeros(target.shape, target.dtype), requires_grad)


def ones(*shape: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    target = spec(*shape, dtype=dtype)
    return Tensor(np.ones(target.shape, target.dtype), requires_grad)


def empty(*shape: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """As `zeros`: memory with undefined numbers would make results undefined too."""
    return zeros(*shape, dtype=dtype, requires_grad=requires_grad)


def zeros_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Zeros of the shape (and dtype) of x."""
    return zeros(x.shape, dtype=dtype or x.dtype)


def ones_like(x: Tensor, dtype: Any = None) -> Tensor:
    """Ones of the shape (and dtype) of x."""
    return ones(x.shape, dtype=dtype or x.dtype)


def full_like(x: Tensor, fill_value: float, dtype: Any = None) -> Tensor:
    """One value in the shape (and dtype) of x."""
    return full(x.shape, fill_value, dtype=dtype or x.dtype)


def arange(*bounds: float, dtype: Any = None) -> Tensor:
    """`arange(end)`, `arange(start, end)` or `arange(start, end, step)`, the end left out."""
    if not 1 <= len(bounds) <= 3:
        raise ArgumentError("arange takes one to three numbers", given=bounds)
    start, end, step = (0, bounds[0], 1) if len(bounds) == 1 else (*bounds, 1)[:3]
    if step == 0:
        raise ArgumentError("the step is 0")
    allocatable((max(0, int((end - start) / step)),), np.float64)
    if dtype is None and any(isinstance(b, float) for b in bounds):
        dtype = current().default_dtype
    return Tensor(np.arange(start, end, step).astype(dtype or np.int64))


def linspace(start: float, end: float, steps: int, dtype: Any = None) -> Tensor:
    """`steps` numbers evenly from start to end, both included."""
    target = spec(steps, dtype=dtype)
    return Tensor(np.linspace(start, end, steps).astype(target.dtype))


def eye(n: int, m: int | None = None, dtype: Any = None) -> Tensor:
    """The identity matrix."""
    target = spec(n, n if m is None else m, dtype=dtype)
    return Tensor(np.eye(*target.shape, dtype=target.dtype))


def rand(*shape: Any, dtype: Any = None, generator: Generator | None = None) -> Tensor:
    """U[0, 1)."""
    return (generator or default_generator).uniform(*shape, dtype=dtype)


def randn(*shape: Any, dtype: Any = None, generator: Generator | None = None) -> Tensor:
    """N(0, 1)."""
    return (generator or default_generator).normal(*shape, dtype=dtype)


def randint(
    low: int, high: int, size: Sequence[int], generator: Generator | None = None
) -> Tensor:
    """Integers of {low, …, high − 1}."""
    return (generator or default_generator).integers(low, high, sizes(size))


def randperm(n: int, generator: Generator | None = None) -> Tensor:
    """The numbers 0 … n − 1 in random order."""
    return (generator or default_generator).permutation(n)


def from_dlpack(other: Any) -> Tensor:
    """A tensor that shares the memory of another library's CPU tensor."""
    return from_numpy(np.from_dlpack(other))
