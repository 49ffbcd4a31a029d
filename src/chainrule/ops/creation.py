"""Tensors made from numbers, from other libraries' arrays, or filled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from chainrule import aliases
from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.ops.random import Generator, default_generator
from chainrule.ops.rules import allocatable, converted, quiet
from chainrule.ops.shape import sizes
from chainrule.primitive import Array, Spec, array_of, supported
from chainrule.settings import current
from chainrule.tensor import Tensor
from chainrule.tensor import from_numpy as over_array

__all__ = [
    "arange", "empty", "eye", "from_dlpack", "from_numpy", "full", "full_like", "linspace",
    "ones", "ones_like", "rand", "randint", "randn", "randperm", "spec", "tensor", "zeros",
    "zeros_like",
]


def spec(*shape: Any, dtype: Any = None) -> Spec:
    """The spec of a tensor, e.g. `cr.spec(64, 784)`, to trace a program with.

    >>> spec(64, 784)
    float32(64, 784)
    """
    return allocatable(sizes(shape), dtype or current().default_dtype)


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of `data`: numbers, nested lists, an array, or a tensor.

    Python floats get the default dtype (float32), integers int64; arrays keep their dtype unless
    `dtype` is given. Raises ShapeError for ragged lists, DTypeError for what is no number, and
    ArgumentError for a number that the dtype cannot hold.

    >>> tensor([[1, 2], [3, 4.5]])
    tensor([[1. , 2. ], [3. , 4.5]])
    """
    if isinstance(data, Tensor):
        array = data._numbers("cr.tensor")
    elif hasattr(data, "__array__") and not isinstance(data, np.generic):
        array = np.asarray(data)
    else:
        array = _from_lists(data)
        of_arrays = isinstance(_first_leaf(data), (np.floating, np.ndarray))
        if dtype is None and array.dtype == np.float64 and not of_arrays:
            dtype = current().default_dtype
    if array.dtype.kind not in "fiub":
        _refuse(data, array)
    target = supported(array.dtype if dtype is None else dtype)
    return Tensor(quiet(converted)(array, target), requires_grad)


def _from_lists(data: Any) -> Array:
    if isinstance(_first_leaf(data), Tensor):
        raise DTypeError(
            "a list of tensors is no tensor of numbers", instead="Use cr.stack(tensors)."
        )
    try:
        return np.asarray(data)
    except ValueError as error:
        where = _ragged_place(data)
        raise ShapeError(
            f"the nested lists are ragged{where}", expected="equal lengths at every level"
        ) from error


def _first_leaf(data: Any) -> Any:
    for _ in range(64):  # more dimensions than arrays can have
        if not isinstance(data, (list, tuple)) or not data:
            break
        data = data[0]
    return data


def _ragged_place(data: Any, place: str = "", depth: int = 0) -> str:
    """Where nested lists stop being regular: ` at [1]: length 3, before it 2`."""
    if not isinstance(data, (list, tuple)) or depth > 64:
        return ""
    lengths = [len(row) if isinstance(row, (list, tuple)) else None for row in data]
    for i, length in enumerate(lengths):
        if length != lengths[0]:
            sizes = ["a number" if n is None else f"length {n}" for n in (length, lengths[0])]
            return f" at {place}[{i}]: {sizes[0]}, before it {sizes[1]}"
    found = (_ragged_place(row, f"{place}[{i}]", depth + 1) for i, row in enumerate(data))
    return next((text for text in found if text), "")


def _refuse(data: Any, array: Array) -> NoReturn:
    """Say which element is no number, or too large a one."""
    source = np.asarray(data, object) if isinstance(data, (list, tuple)) else array
    for i in np.ndindex(source.shape):
        value = source[i].item() if isinstance(source[i], np.generic) else source[i]
        place = f" at {list(i)}" if i else ""
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ArgumentError(f"{value}{place} does not fit into int64")
        if not isinstance(value, (bool, int, float, np.number, np.bool_)):
            raise DTypeError(
                f"this is no tensor of numbers: {value!r}{place}",
                given=f"{type(value).__name__} ({array.dtype})",
                expected="numbers, nested lists of them, or a numeric array",
            )
    raise DTypeError("this is no tensor of numbers", given=array.dtype)


def full(shape: Any, fill_value: float, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor filled with one value."""
    if dtype is None:
        is_float = isinstance(fill_value, float)
        dtype = current().default_dtype if is_float else np.asarray(fill_value).dtype
    target = allocatable(sizes([shape] if not isinstance(shape, int) else (shape,)), dtype)
    return Tensor(np.full(target.shape, array_of(fill_value, target.dtype)), requires_grad)


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


def arange(*bounds: float, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`arange(end)`, `arange(start, end)` or `arange(start, end, step)`, the end left out."""
    if not 1 <= len(bounds) <= 3:
        raise ArgumentError("arange takes one to three numbers", given=bounds)
    start, end, step = (0, bounds[0], 1) if len(bounds) == 1 else (*bounds, 1)[:3]
    if step == 0 or not all(map(math.isfinite, (start, end, step))):
        raise ArgumentError("arange needs finite bounds and a step that is not 0", given=bounds)
    allocatable((max(0, int((end - start) / step)),), np.float64)
    if dtype is None and any(isinstance(b, float) for b in bounds):
        dtype = current().default_dtype
    numbers = quiet(converted)(np.arange(start, end, step), supported(dtype or np.int64))
    return Tensor(numbers, requires_grad)


def linspace(
    start: float, end: float, steps: int, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` numbers evenly from start to end, both included."""
    target = spec(steps, dtype=dtype)
    numbers = quiet(converted)(np.linspace(start, end, steps), target.dtype)
    return Tensor(numbers, requires_grad)


def eye(n: int, m: int | None = None, dtype: Any = None) -> Tensor:
    """The identity matrix."""
    target = spec(n, n if m is None else m, dtype=dtype)
    return Tensor(np.eye(*target.shape, dtype=target.dtype))


def rand(
    *shape: Any, dtype: Any = None, requires_grad: bool = False, generator: Generator | None = None
) -> Tensor:
    """U[0, 1)."""
    drawn = (generator or default_generator).uniform(*shape, dtype=dtype)
    return drawn.requires_grad_(requires_grad)


def randn(
    *shape: Any, dtype: Any = None, requires_grad: bool = False, generator: Generator | None = None
) -> Tensor:
    """N(0, 1)."""
    drawn = (generator or default_generator).normal(*shape, dtype=dtype)
    return drawn.requires_grad_(requires_grad)


def randint(
    low: int, high: int, size: Sequence[int], generator: Generator | None = None
) -> Tensor:
    """Integers of {low, …, high − 1}."""
    return (generator or default_generator).integers(low, high, sizes(size))


def randperm(n: int, generator: Generator | None = None) -> Tensor:
    """The numbers 0 … n − 1 in random order."""
    return (generator or default_generator).permutation(n)


def from_numpy(array: Array) -> Tensor:
    """A tensor that shows the memory of `array`, which Chainrule never writes.

    A change of the array is seen in the tensor. A write into the tensor would have to change the
    array, and raises GradientError. Arrays that are byte-swapped are converted.

    >>> import numpy as np
    >>> from_numpy(np.array([1.0, 2.0], np.float32))
    tensor([1., 2.])
    """
    x = over_array(array)
    aliases.mark_foreign(x)
    return x


def from_dlpack(other: Any) -> Tensor:
    """A tensor that shares the memory of another library's CPU tensor."""
    return from_numpy(np.from_dlpack(other))
