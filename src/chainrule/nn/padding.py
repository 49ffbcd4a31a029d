"""Padding of the spatial dimensions as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from chainrule.nn import functional
from chainrule.nn.spatial import Spatial
from chainrule.tensor import Tensor

Widths = int | Sequence[int]


class _Pad(Spatial):
    """Base class of padding with elements of the input."""

    shown = "padding"
    mode: ClassVar[str]

    def __init__(self, padding: Widths) -> None:
        if isinstance(padding, int):
            padding = (padding,) * (2 * self.dimensions)
        self.padding = tuple(padding)

    def forward(self, input: Tensor) -> Tensor:
        return functional.pad(input, self.padding, self.mode)


class _ReflectionPad(_Pad):
    """Base class of ReflectionPad1d, ReflectionPad2d and ReflectionPad3d."""

    text = """Add a border, the elements mirrored at the edge: (N, C, {sizes}) → (N, C, {sizes:'}).

    `padding` is one width, or (left, right, ...) of each dimension, the last one first. A negative
    width removes elements. An input without N is accepted. Raises ArgumentError for a width that
    is not smaller than the size.

    >>> import chainrule as cr
    >>> ReflectionPad{n}d(2)(cr.zeros(1, 3, {sizes:4})).shape
    (1, 3, {sizes:8})
    """
    mode = "reflect"


class ReflectionPad1d(_ReflectionPad, dimensions=1): ...


class ReflectionPad2d(_ReflectionPad, dimensions=2): ...


class ReflectionPad3d(_ReflectionPad, dimensions=3): ...


class _ReplicationPad(_Pad):
    """Base class of ReplicationPad1d, ReplicationPad2d and ReplicationPad3d."""

    text = """Add a border that repeats the edge: (N, C, {sizes}) → (N, C, {sizes:'}).

    `padding` is one width, or (left, right, ...) of each dimension, the last one first. A negative
    width removes elements. An input without N is accepted.

    >>> import chainrule as cr
    >>> ReplicationPad{n}d(2)(cr.zeros(1, 3, {sizes:4})).shape
    (1, 3, {sizes:8})
    """
    mode = "replicate"


class ReplicationPad1d(_ReplicationPad, dimensions=1): ...


class ReplicationPad2d(_ReplicationPad, dimensions=2): ...


class ReplicationPad3d(_ReplicationPad, dimensions=3): ...


class _CircularPad(_Pad):
    """Base class of CircularPad1d, CircularPad2d and CircularPad3d."""

    text = """Add a border, the elements of the other end: (N, C, {sizes}) → (N, C, {sizes:'}).

    `padding` is one width, or (left, right, ...) of each dimension, the last one first. A negative
    width removes elements. An input without N is accepted. Raises ArgumentError for a width that
    is larger than the size.

    >>> import chainrule as cr
    >>> CircularPad{n}d(2)(cr.zeros(1, 3, {sizes:4})).shape
    (1, 3, {sizes:8})
    """
    mode = "circular"


class CircularPad1d(_CircularPad, dimensions=1): ...


class CircularPad2d(_CircularPad, dimensions=2): ...


class CircularPad3d(_CircularPad, dimensions=3): ...


class _ConstantPad(_Pad):
    """Base class of ConstantPad1d, ConstantPad2d and ConstantPad3d."""

    text = """Add a border of one number: (N, C, {sizes}) → (N, C, {sizes:'}).

    `padding` is one width, or (left, right, ...) of each dimension, the last one first. A negative
    width removes elements. Inputs with other dimensions in front are accepted.

    >>> import chainrule as cr
    >>> ConstantPad{n}d(2, 3.5)(cr.zeros(1, 3, {sizes:4})).shape
    (1, 3, {sizes:8})
    """
    shown = "padding= value="
    mode = "constant"

    def __init__(self, padding: Widths, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return functional.pad(input, self.padding, self.mode, self.value)


class ConstantPad1d(_ConstantPad, dimensions=1): ...


class ConstantPad2d(_ConstantPad, dimensions=2): ...


class ConstantPad3d(_ConstantPad, dimensions=3): ...


class _ZeroPad(_ConstantPad):
    """Base class of ZeroPad1d, ZeroPad2d and ZeroPad3d."""

    text = """Add a border of zeros: (N, C, {sizes}) → (N, C, {sizes:'}).

    `padding` is one width, or (left, right, ...) of each dimension, the last one first. A negative
    width removes elements. Inputs with other dimensions in front are accepted.

    >>> import chainrule as cr
    >>> ZeroPad{n}d(2)(cr.zeros(1, 3, {sizes:4})).shape
    (1, 3, {sizes:8})
    """
    shown = "padding"

    def __init__(self, padding: Widths) -> None:
        super().__init__(padding, 0.0)


class ZeroPad1d(_ZeroPad, dimensions=1): ...


class ZeroPad2d(_ZeroPad, dimensions=2): ...


class ZeroPad3d(_ZeroPad, dimensions=3): ...
