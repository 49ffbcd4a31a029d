"""Tensors made from numbers, from other libraries' arrays, or filled."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from chainrule import aliases
from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.op_methods import method
from chainrule.ops.rules import allocatable, converted, quiet
from chainrule.ops.shape import sizes
from chainrule.primitive import Array, Spec, array_of, supported
from chainrule.settings import current
from chainrule.tensor import Tensor
from chainrule.tensor import from_numpy as over_array

__all__ = [
    "arange", "as_tensor", "empty", "empty_like", "eye", "from_dlpack", "from_numpy", "full",
    "full_like", "linspace", "logspace", "ones", "ones_like", "spec", "tensor", "zeros",
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
        array = np.asarray(data)
    except ValueError as error:
        where = _ragged_place(data)
        raise ShapeError(
            f"the nested lists are ragged{where}", expected="equal lengths at every level"
        ) from error
    of_numbers = not isinstance(_first_leaf(data), (np.generic, np.ndarray))
    # Python's integers are int64 on every machine; NumPy gives them the index type.
    return array.astype(np.int64) if of_numbers and array.dtype == np.intp != np.int64 else array


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


def as_tensor(data: Any, dtype: Any = None) -> Tensor:
    """`data` as a tensor, without a copy where that is possible.

    A tensor of the dtype is returned as it is. An array of the dtype is shared, as by `from_numpy`.

    >>> import numpy as np
    >>> array = np.array([1.0, 2.0], np.float32)
    >>> x = as_tensor(array)
    >>> array[0] = 5
    >>> x
    tensor([5., 2.])
    """
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(np.dtype(dtype))
    if isinstance(data, np.ndarray) and (dtype is None or data.dtype == np.dtype(dtype)):
        return from_numpy(data)
    return tensor(data, dtype)


# -- filled ----------------------------------------------------------------------------------------


def full(size: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor filled with one value."""
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    if dtype is None:
        is_float = isinstance(fill_value, float)
        dtype = current().default_dtype if is_float else np.asarray(fill_value).dtype
    target = allocatable(sizes([size] if not isinstance(size, int) else (size,)), dtype)
    return Tensor(np.full(target.shape, array_of(fill_value, target.dtype)), requires_grad)


def zeros(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros."""
    target = spec(*size, dtype=dtype)
    return Tensor(np.zeros(target.shape, target.dtype), requires_grad)


def ones(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    target = spec(*size, dtype=dtype)
    return Tensor(np.ones(target.shape, target.dtype), requires_grad)


def empty(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """As `zeros`: memory with undefined numbers would make results undefined too."""
    return zeros(*size, dtype=dtype, requires_grad=requires_grad)


def zeros_like(input: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape (and dtype) of x."""
    return zeros(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def ones_like(input: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape (and dtype) of x."""
    return ones(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def empty_like(input: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """As `zeros_like`."""
    return zeros_like(input, dtype, requires_grad)


def full_like(
    input: Tensor, fill_value: Any, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """One value in the shape (and dtype) of x."""
    return full(input.shape, fill_value, dtype or input.dtype, requires_grad)


def eye(n: int, m: int | None = None, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """The identity matrix."""
    target = spec(n, n if m is None else m, dtype=dtype)
    return Tensor(np.eye(*target.shape, dtype=target.dtype), requires_grad)


# -- ranges ----------------------------------------------------------------------------------------


def arange(
    start: Any = None,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`arange(end)`, `arange(start, end)` or `arange(start, end, step)`, the end left out.

    >>> arange(1, 2, 0.25)
    tensor([1.  , 1.25, 1.5 , 1.75])
    """
    if end is None:
        start, end = 0, start
    if end is None:
        raise ArgumentError("arange needs an end", instead="arange(10)")
    start = 0 if start is None else start
    start, end, step = bounds = [b.item() if hasattr(b, "item") else b for b in (start, end, step)]
    if step == 0 or not all(map(math.isfinite, bounds)):
        raise ArgumentError("arange needs finite bounds and a step that is not 0", given=bounds)
    if dtype is None and any(isinstance(b, float) for b in bounds):
        dtype = current().default_dtype
    count = max(0, math.ceil((end - start) / step))
    target = allocatable((count,), dtype or np.int64)
    numbers = start + np.arange(count) * step
    return Tensor(quiet(converted)(numbers, target.dtype), requires_grad)


def linspace(
    start: Any, end: Any, steps: int, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` numbers evenly from start to end, both included.

    >>> linspace(0, 1, 5)
    tensor([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    return Tensor(_between(start, end, spec(steps, dtype=dtype)), requires_grad)


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """base to the power of `steps` numbers evenly from start to end.

    >>> logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    target = spec(steps, dtype=dtype)
    powers = np.power(float(base), _between(start, end, Spec(target.shape, np.float64)))
    return Tensor(quiet(converted)(powers, target.dtype), requires_grad)


def _between(start: Any, end: Any, target: Spec) -> Array:
    """Numbers evenly from start to end: as PyTorch, with a step of the dtype, from both ends."""
    steps, kind = target.size, target.dtype.type if target.dtype.kind == "f" else np.float64
    first, last = kind(start), kind(end)
    width = np.float64((last - first) / kind(max(steps - 1, 1)))
    i = np.arange(steps)
    rising, falling = first + width * i, last - width * (steps - 1 - i)
    numbers = np.where(i < (steps + (steps == 1)) // 2, rising, falling)
    return quiet(converted)(numbers, target.dtype)


# -- as another tensor, or another library's -------------------------------------------------------


def _of_its_dtype(make: Callable[..., Tensor]) -> None:
    """Give Tensor the method `new_make`, which makes by default a tensor of the same dtype."""

    def new(input: Tensor, *args: Any, dtype: Any = None, **options: Any) -> Tensor:
        return make(*args, dtype=dtype or input.dtype, **options)

    tensor = next(iter(inspect.signature(new).parameters.values()))
    like = inspect.signature(make)
    new.__dict__["__signature__"] = like.replace(parameters=[tensor, *like.parameters.values()])
    new.__name__, new.__qualname__ = f"new_{make.__name__}", f"Tensor.new_{make.__name__}"
    new.__doc__ = f"As `cr.{make.__name__}`, by default in the dtype of this tensor."
    method(new)


for _make in (empty, full, ones, tensor, zeros):
    _of_its_dtype(_make)


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
