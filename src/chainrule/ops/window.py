"""Sliding windows over (N, C, *sizes), of any number of sizes: what convolution and pooling share.

Along each spatial dimension of n elements, a kernel of k taps with dilation d and stride s, and a
padding of p elements before and q after, gives ⌊(n + p + q − d·(k − 1) − 1) / s⌋ + 1 positions.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.primitive import Array, Shape, SpecLike


def layout(n: int) -> str:
    """How an input with n spatial dimensions is written."""
    return f"(N, C, {', '.join({1: 'L', 2: 'HW', 3: 'DHW'}.get(n, '*' * n))})"


def per_dimension(value: Any, n: int, name: str, least: int) -> Shape:
    """An integer for all n spatial dimensions, or one for each of them; all at least `least`."""
    numbers = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    numbers = numbers * n if len(numbers) == 1 else numbers
    whole = all(isinstance(i, (int, np.integer)) and i >= least for i in numbers)
    if len(numbers) != n or not whole:
        each = f", or one for each of the {n} dimensions" if n > 1 else ""
        raise ArgumentError(f"{name} is an integer ≥ {least}{each}", given=value)
    return tuple(map(int, numbers))


class Geometry(NamedTuple):
    """How a kernel moves: for each spatial dimension its stride, the padding (before, after), and
    the dilation; and the number of groups of channels.

    A negative padding after the input leaves elements out.
    """

    stride: Shape
    padding: tuple[tuple[int, int], ...]
    dilation: Shape
    groups: int = 1

    @classmethod
    def of(
        cls, n: int, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
    ) -> Geometry:
        """The geometry over n dimensions, from numbers or sequences of them."""
        if not isinstance(groups, int) or groups < 1:
            raise ArgumentError("groups is an integer ≥ 1", given=groups)
        return cls(
            per_dimension(stride, n, "stride", 1),
            tuple((p, p) for p in per_dimension(padding, n, "padding", 0)),
            per_dimension(dilation, n, "dilation", 1),
            groups,
        )

    @property
    def dimensions(self) -> int:
        """The number of spatial dimensions."""
        return len(self.stride)

    def positions(self, image: Shape, kernel: Shape) -> Shape:
        """How many positions the kernel has along each dimension; both shapes end in the sizes."""
        n = self.dimensions
        return _positions(self, image[-n:], kernel[-n:])

    def sizes(self, positions: Shape, kernel: Shape) -> Shape:
        """The smallest input with so many positions; ShapeError if that has no elements."""
        n = self.dimensions
        each = zip(positions[-n:], kernel[-n:], *self[:3], strict=True)
        sizes = tuple(s * (m - 1) + d * (k - 1) + 1 - sum(p) for m, k, s, p, d in each)
        if min(sizes) < 1:
            raise ShapeError(
                "the padding leaves nothing of this transposed convolution",
                given=f"input {positions}, weights {kernel}, padding {self.padding}",
                expected=f"sizes of at least 1, not {sizes}",
            )
        return sizes

    def rounded_up(self, image: Shape, kernel: Shape) -> Geometry:
        """With more padding at the end, so that the positions are rounded up, not down; but a last
        window that would begin after the input is left out, as in PyTorch."""
        widths = []
        n = self.dimensions
        for size, k, s, (p, q), d in zip(image[-n:], kernel[-n:], *self[:3], strict=True):
            room = size + p + q - d * (k - 1) - 1
            begins = -(-room // s) * s
            widths.append((p, q + begins - room if begins < size + p else q))
        return self._replace(padding=tuple(widths))


@functools.lru_cache
def _positions(geometry: Geometry, sizes: Shape, kernel: Shape) -> Shape:
    return tuple(map(positions_along, sizes, kernel, *geometry[:3]))


def positions_along(
    size: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int
) -> int:
    """How many positions a kernel has along one dimension; ShapeError when it does not fit."""
    reach = dilation * (kernel - 1) + 1
    room = size + sum(padding)
    if reach > room:
        raise ShapeError(
            f"the kernel reaches over {reach} elements, the padded input has {room}",
            given=f"kernel {kernel}, dilation {dilation}, input {size}, padding {padding}",
            expected="a smaller kernel, or more padding",
        )
    return (room - reach) // stride + 1


def require_layout(name: str, x: SpecLike, n: int, alone: bool = False) -> None:
    """The input of a window op over n dimensions has n + 2 of them, or N is missing (`alone`)."""
    if len(x.shape) != n + 2 - (alone and len(x.shape) == n + 1):
        raise ShapeError(
            f"{name} over {n} dimension{'s' * (n > 1)} works on {layout(n)}", given=x.shape,
            instead=f"Leave out N for a single example: {layout(n).replace('N, ', '')}.",
        )


# -- references ----------------------------------------------------------------------------------


def framed(x: Array, geometry: Geometry, value: float = 0) -> Array:
    """x with its padding."""
    widths = [(before, max(after, 0)) for before, after in geometry.padding]
    return np.pad(x, [(0, 0), (0, 0), *widths], constant_values=value)


def unframed(y: Array, shape: Shape, geometry: Geometry) -> Array:
    """The adjoint of `framed`: y without its padding."""
    starts = (before for before, _ in geometry.padding)
    inside: list[Any] = [slice(i, i + n) for i, n in zip(starts, shape[2:], strict=True)]
    return np.ascontiguousarray(y[(..., *inside)])


def taps(kernel: Shape, out: Shape, geometry: Geometry) -> Iterator[tuple[Shape, Any]]:
    """For each tap of the kernel: its place there, and where in a framed input it meets `out`."""
    for tap in itertools.product(*map(range, kernel)):
        starts = [i * d for i, d in zip(tap, geometry.dilation, strict=True)]
        steps = zip(starts, out, geometry.stride, strict=True)
        yield tap, (..., *[slice(i, i + s * (n - 1) + 1, s) for i, n, s in steps])
