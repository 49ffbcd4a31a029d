"""Functions of `torch` that make tensors, under names for which the package has others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.linalg import slogdet
from chainrule.ops.compare import where
from chainrule.ops.creation import arange, as_tensor, empty, from_numpy, tensor
from chainrule.settings import get_default_dtype
from chainrule.tensor import Tensor
from chainrule.torch.adapter.dtypes import stored
from chainrule.torch.adapter.placement import require_cpu


def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`as_tensor`, or `tensor` with `copy=True`."""
    require_cpu(device)
    made = tensor(obj, stored(dtype)) if copy else as_tensor(obj, stored(dtype))
    return made.requires_grad_() if requires_grad else made


def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of one number, by default of the default dtype."""
    require_cpu(device)
    return tensor(s, stored(dtype) or get_default_dtype())


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A tensor over the memory of an object such as `bytes`."""
    shared = from_numpy(np.frombuffer(buffer, stored(dtype), count, offset))
    return shared.requires_grad_() if requires_grad else shared


def range(start: Any = 0, end: Any = None, step: Any = 1, *, dtype: Any = None) -> Tensor:
    """start + i·step for all i up to and with the end; PyTorch advises `arange` instead."""
    if end is None:
        start, end = 0, start
    count = max(0, math.floor((end - start) / step) + 1)
    numbers = arange(count, dtype=np.float64) * float(step) + float(start)
    return numbers.to(stored(dtype) or get_default_dtype())


def empty_permuted(size: Any, physical_layout: Any, *, dtype: Any = None) -> Tensor:
    """As `empty`: memory layout has no meaning here."""
    return empty(size, dtype=stored(dtype))


def empty_strided(size: Any, stride: Any, *, dtype: Any = None) -> Tensor:
    """As `empty`: memory layout has no meaning here."""
    return empty(size, dtype=stored(dtype))


def real(input: Tensor) -> Tensor:
    """Return the tensor: its numbers are real."""
    return input


def logdet(input: Tensor) -> Tensor:
    """ln of the determinant, NaN where that is negative."""
    sign, size = slogdet(input)
    return where(sign < 0, math.nan, size)


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of each number as a row: from xᴺ⁻¹ down to 1, or from 1 up."""
    powers = arange(len(x) if N is None else N)
    columns = x.unsqueeze(-1) ** (powers if increasing else powers.flip(0))
    return columns


__all__ = [
    "asarray",
    "empty_permuted",
    "empty_strided",
    "frombuffer",
    "logdet",
    "range",
    "real",
    "scalar_tensor",
    "vander",
]
