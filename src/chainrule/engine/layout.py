"""Memory layouts: shapes with strides, and the native calls that use them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.primitive import Array, DType, Shape

FLOAT32, FLOAT64, BOOL = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.bool_)
FLOATS = (FLOAT32, FLOAT64)
KNOWN = {np.dtype(t).str for t in (np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_)}


class Layout(NamedTuple):
    """The memory layout of an array: its shape, dtype, and strides in bytes."""

    shape: Shape
    dtype: DType
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def repeats(self) -> bool:
        """Whether the array shows an element several times."""
        return any(n > 1 and not stride for n, stride in zip(self.shape, self.strides, strict=True))

    def permuted(self, order: Sequence[int]) -> Layout:
        """The same memory with its dimensions in another order."""
        return Layout(
            tuple(self.shape[d] for d in order), self.dtype, tuple(self.strides[d] for d in order)
        )

    def reshaped(self, shape: Shape) -> Layout | None:
        """The same memory in another shape, or None if its strides do not allow that."""
        if self.in_order():
            return in_order(shape, self.dtype)
        runs: list[tuple[int, int]] = []  # (number of elements, stride) of each uniform part
        for n, stride in zip(self.shape, self.strides, strict=True):
            if runs and runs[-1][1] == n * stride:
                runs[-1] = (runs[-1][0] * n, stride)
            elif n > 1:
                runs.append((n, stride))
        strides = [self.dtype.itemsize] * len(shape)
        left, step = runs.pop()
        for d in range(len(shape) - 1, -1, -1):
            if shape[d] == 1:
                continue
            if left == 1:
                left, step = runs.pop()
            if left % shape[d]:
                return None
            strides[d], step, left = step, step * shape[d], left // shape[d]
        return Layout(tuple(shape), self.dtype, tuple(strides))

    def in_order(self) -> bool:
        """Whether the elements are contiguous, in C order."""
        expected = self.dtype.itemsize
        if 0 in self.shape:
            return True
        for n, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if n != 1 and stride != expected:
                return False
            expected *= n
        return True


def in_order(shape: Shape, dtype: Any) -> Layout:
    """The layout of a new array: contiguous, in C order."""
    dtype = np.dtype(dtype)
    strides, step = [], dtype.itemsize
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return Layout(tuple(shape), dtype, tuple(reversed(strides)))


def layout_of(array: Array) -> Layout:
    """The layout of an array. An empty array counts as contiguous, whatever its strides."""
    if not array.size:
        return in_order(array.shape, array.dtype)
    return Layout(array.shape, array.dtype, array.strides)


def grouped(shape: Shape, dims: Iterable[int]) -> tuple[int, int, int] | None:
    """A contiguous array as (outer, n, inner), where n is the size of adjacent dimensions `dims`.

    None if there is no such dimension, or another one with a size above 1 between them.
    """
    chosen = sorted(dims)
    if not chosen:
        return None
    first, last = chosen[0], chosen[-1] + 1
    if any(shape[d] != 1 for d in range(first, last) if d not in chosen):
        return None
    return math.prod(shape[:first]), math.prod(shape[first:last]), math.prod(shape[last:])


def broadcast_to(layout: Layout, shape: Shape) -> Layout:
    """The layout broadcast to a larger shape, with stride 0, as in NumPy."""
    extra = len(shape) - len(layout.shape)
    strides = [0] * extra + [
        0 if n == 1 else stride for n, stride in zip(layout.shape, layout.strides, strict=True)
    ]
    return Layout(shape, layout.dtype, tuple(strides))


class NativeCall(NamedTuple):
    """One call of a kernel: its name, its parameters as numbers, and its operands.

    For each operand of the kernel, `inputs` and `outputs` have the number of the input or output of
    the instruction, and the layout in which the kernel reads or writes it.
    """

    kernel: str
    ints: tuple[int, ...]
    floats: tuple[float, ...]
    inputs: tuple[tuple[int, Layout], ...]
    outputs: tuple[tuple[int, Layout], ...]


def native_call(
    kernel: str,
    inputs: Iterable[Layout],
    outputs: Iterable[Layout],
    ints: Iterable[int] = (),
    floats: Iterable[float] = (),
) -> NativeCall:
    """A call whose operands are those of the instruction, in order, with these layouts."""
    return NativeCall(
        kernel, tuple(ints), tuple(floats), tuple(enumerate(inputs)), tuple(enumerate(outputs))
    )
