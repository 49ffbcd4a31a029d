"""Text of C programs: indented lines, loops, numbers, and the elements of arrays."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import DTypeError, listing
from chainrule.primitive import Array, DType, Shape

TYPES = {
    "float32": "float",
    "float64": "double",
    "int64": "int64_t",
    "int32": "int32_t",
    "int16": "int16_t",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "bool": "uint8_t",
}
"""The C types of elements."""

WIDTH = 96


def c_type(dtype: DType) -> str:
    """The C type of a dtype; DTypeError if there is none."""
    if dtype.name not in TYPES:
        raise DTypeError("C99 has no type for it", given=dtype, expected=listing([*TYPES]))
    return TYPES[dtype.name]


def literal(x: Any, dtype: DType) -> str:
    """A number in C, with all its digits.

    >>> literal(0.1, np.dtype("float32")), literal(2, np.dtype("float32"))
    ('0.1f', '2.0f')
    """
    if dtype.kind != "f":
        return str(int(x))
    suffix = "f" if dtype == np.float32 else ""
    number = dtype.type(x)
    if np.isnan(number):
        return "NAN"
    if np.isinf(number):
        return "INFINITY" if number > 0 else "-INFINITY"
    text = np.format_float_positional(number, trim="0")
    if len(text) > 12:
        text = np.format_float_scientific(number, trim="0")
    return text + suffix


class Place(NamedTuple):
    """Where the elements of an array are: in the C array `name`, from `offset`, by strides.

    Strides count elements. A view has the name of its base.
    """

    name: str
    shape: Shape
    dtype: DType
    strides: tuple[int, ...]
    offset: int = 0

    @classmethod
    def new(cls, name: str, shape: Shape, dtype: DType) -> Place:
        """A contiguous array."""
        strides = [math.prod(shape[d + 1 :]) for d in range(len(shape))]
        return cls(name, tuple(shape), dtype, tuple(strides))

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def at(self, indices: Sequence[str]) -> str:
        """The element at these indices, which are expressions in C.

        >>> Place.new("x", (3, 1, 4), np.dtype("float32")).at(["i", "j", "2"])
        'x[4 * i + 2]'
        """
        known, terms = self.offset, []
        for index, n, stride in zip(indices, self.shape, self.strides, strict=True):
            if n == 1 or stride == 0 or index == "0":
                continue
            if index.isdigit():
                known += stride * int(index)
            else:
                index = index if index.isidentifier() else f"({index})"
                terms.append(index if stride == 1 else f"{stride} * {index}")
        if known or not terms:
            terms.append(str(known))
        return f"{self.name}[{' + '.join(terms)}]"

    def seen_as(self, shape: Shape) -> Place:
        """Broadcast to a larger shape."""
        more = len(shape) - len(self.shape)
        strides = [0 if n == 1 else s for n, s in zip(self.shape, self.strides, strict=True)]
        return self._replace(shape=tuple(shape), strides=(0,) * more + tuple(strides))

    def phantom(self) -> tuple[Array, int]:
        """An array with this layout but without memory of its own, and its address."""
        item = self.dtype.itemsize
        base = np.empty(1, self.dtype)
        strides = [s * item for s in self.strides]
        array = np.lib.stride_tricks.as_strided(base, self.shape, strides)
        return array, base.__array_interface__["data"][0]


class Writer:
    """Lines of C with their indentation."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 0
        self._counter = 0

    def line(self, text: str = "") -> None:
        self.lines.append("    " * self.depth + text if text else "")

    def comment(self, text: str) -> None:
        """A comment, which may have several lines."""
        first, *rest = text.replace("*/", "* /").splitlines()
        self.line(f"/* {first}" + (" */" if not rest else ""))
        for i, line in enumerate(rest):
            self.line(f"   {line}" + (" */" if i == len(rest) - 1 else ""))

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        self.line(f"{head} {{" if head else "{")
        self.depth += 1
        yield
        self.depth -= 1
        self.line("}")

    @contextmanager
    def loops(
        self, shape: Sequence[int], names: Sequence[str] = "ijklmnpqr"
    ) -> Iterator[list[str]]:
        """Nested loops over all positions of a shape; gives the indices. There is no loop over a
        dimension of size 1, whose index is "0"."""
        indices = []
        for d, n in enumerate(shape):
            if n == 1:
                indices.append("0")
                continue
            name = names[d] if d < len(names) else f"i{d}"
            self.line(f"for (int {name} = 0; {name} < {n}; ++{name}) {{")
            self.depth += 1
            indices.append(name)
        yield indices
        for _ in [n for n in shape if n != 1]:
            self.depth -= 1
            self.line("}")

    def name(self, stem: str) -> str:
        """A name that was not given before."""
        self._counter += 1
        return f"{stem}{self._counter}"

    def array(self, head: str, values: Array, dtype: DType, rows: bool = False) -> None:
        """`head = {...};` with the values in lines; with `rows`, each row in braces of its own."""
        parts = list(values) if rows else [values]
        self.line(f"{head} = {{")
        for part in parts:
            texts = [literal(x, dtype) for x in part.ravel()] or ["0"]
            body = textwrap.wrap(", ".join(texts), WIDTH - 4)
            if rows:
                body[0] = "{" + body[0]
                body[-1] += "},"
            self.lines += ["    " + line for line in body]
        self.line("};")
