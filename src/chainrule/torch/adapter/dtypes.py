"""PyTorch's element types and sizes: `torch.float32`, `torch.Size([2, 3])`, `finfo`."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from chainrule.primitive import DTYPES, DType
from chainrule.settings import get_default_dtype


class dtype:
    """An element type by PyTorch's name. `np.dtype(t)` is NumPy's, and the two compare equal.

    >>> float32 = by_name("float32")
    >>> float32, float32 == np.float32, np.dtype(float32), float32.is_floating_point
    (torch.float32, True, dtype('float32'), True)
    """

    __slots__ = ("_warned", "itemsize", "name", "stored")

    def __init__(self, name: str, stored: str | None = None, itemsize: int | None = None) -> None:
        self.name = name
        self.stored = np.dtype(stored or name)
        self.itemsize = itemsize or self.stored.itemsize
        self._warned = False

    @property
    def dtype(self) -> DType:
        """The NumPy dtype in which such numbers are kept."""
        if self.name not in (self.stored.name, *_COMPLEX) and not self._warned:
            self._warned = True
            warnings.warn(
                f"{self} is kept as torch.{self.stored}: more exact, and twice the memory",
                stacklevel=2,
            )
        return self.stored

    @property
    def is_floating_point(self) -> bool:
        return self.stored.kind == "f"

    @property
    def is_complex(self) -> bool:
        return self.stored.kind == "c"

    @property
    def is_signed(self) -> bool:
        return self.stored.kind not in "ub"

    @property
    def kind(self) -> str:
        """NumPy's letter for the kind of number."""
        return self.stored.kind

    def __eq__(self, other: object) -> bool:
        if isinstance(other, dtype):
            return self.name == other.name
        return other is not None and self.name == self.stored.name and bool(self.stored == other)

    def __hash__(self) -> int:
        return hash(self.stored)

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return by_name, (self.name,)


_COMPLEX = ("complex64", "complex128")
SHOWN = {numpy: dtype(name) for name, numpy in DTYPES.items()}
"""NumPy's dtype → PyTorch's, for the element types that tensors have."""

_OWN = {t.name: t for t in SHOWN.values()}
_OTHERS = [dtype("bfloat16", "float32", itemsize=2), *map(dtype, _COMPLEX)]
_SECOND = {
    "half": "float16",
    "float": "float32",
    "double": "float64",
    "short": "int16",
    "int": "int32",
    "long": "int64",
    "cfloat": "complex64",
    "cdouble": "complex128",
}

NAMES = _OWN | {t.name: t for t in _OTHERS}
"""Each name of a dtype → the dtype. Complex dtypes have names, but no tensors."""
NAMES |= {second: NAMES[first] for second, first in _SECOND.items()}


def by_name(name: str) -> dtype:
    """`torch.float32` for "float32"."""
    return NAMES[name]


def torch_dtype(numpy: DType) -> dtype:
    """PyTorch's object for a NumPy dtype."""
    return SHOWN[numpy]


def stored(value: Any) -> Any:
    """Convert PyTorch's dtype to NumPy's; return any other argument unchanged."""
    return value.dtype if isinstance(value, dtype) else value


class Size(tuple[Any, ...]):
    """The shape of a tensor: a tuple that prints as PyTorch's.

    >>> Size([2, 3]), Size([2, 3]).numel(), Size([2, 3]) == (2, 3), Size([2, 3])[1:]
    (torch.Size([2, 3]), 6, True, torch.Size([3]))
    """

    __slots__ = ()

    def numel(self) -> Any:
        """The number of elements."""
        return math.prod(self)

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return Size(part) if isinstance(index, slice) else part

    def __add__(self, other: Any) -> Size:
        return Size((*self, *other))

    def __radd__(self, other: Any) -> Size:
        return Size((*other, *self))

    def __mul__(self, n: Any) -> Size:
        return Size(super().__mul__(n))

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"


class finfo:
    """The limits of a floating dtype: `bits`, `eps`, `max`, `min`, `tiny`, `resolution`.

    >>> finfo(by_name("float32")).eps
    1.1920928955078125e-07
    """

    def __init__(self, type: Any = None) -> None:
        self.dtype = str(type or torch_dtype(get_default_dtype())).removeprefix("torch.")
        limits = _BFLOAT16 if self.dtype == "bfloat16" else np.finfo(np.dtype(self.dtype))
        self.bits = limits.bits
        self.resolution = float(str(limits.resolution))
        self.eps, self.max, self.min = limits.eps.item(), limits.max.item(), limits.min.item()
        self.tiny = self.smallest_normal = limits.tiny.item()

    def __repr__(self) -> str:
        shown = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        return f"finfo({', '.join(f'{n}={getattr(self, n):g}' for n in shown)}, dtype={self.dtype})"


class _BFLOAT16:
    """Eight bits of exponent, as float32 has, and seven of mantissa."""

    bits = 16
    eps, resolution = np.float64(2.0**-7), np.float64(0.01)
    max, min, tiny = (
        np.float64(3.3895313892515355e38),
        np.float64(-3.3895313892515355e38),
        (np.float64(2.0**-126)),
    )


class iinfo:
    """The limits of an integer dtype: `bits`, `max`, `min`.

    >>> iinfo(by_name("int8")).max
    127
    """

    def __init__(self, type: Any) -> None:
        limits = np.iinfo(np.dtype(type))
        self.bits, self.max, self.min = limits.bits, limits.max, limits.min
        self.dtype = str(limits.dtype)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
