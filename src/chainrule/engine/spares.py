"""Memory for results: arrays that are handed out again once nobody else holds them."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from chainrule.primitive import Array, Shape

MOST = 16
"""Arrays of one kind that are looked after; a step that holds more gets the others anew."""
LARGEST, ALL_TOGETHER = 2**26, 2**28
"""Bytes of one array, and of all, that are kept while nobody uses them."""


class Spares:
    """Arrays of one shape and dtype. A step that repeats takes the same few again and again, so it
    neither asks the system for memory nor waits for pages to appear.

    >>> spares = Spares((2,), np.float32)
    >>> first = spares.take()
    >>> spares.take() is first
    False
    >>> held = id(first)
    >>> del first
    >>> id(spares.take()) == held
    True
    """

    __slots__ = ("_dtype", "_shape", "arrays")

    def __init__(self, shape: Shape, dtype: Any) -> None:
        self._shape, self._dtype = shape, dtype
        self.arrays: list[Array] = []

    def take(self) -> Array:
        """An array with undefined numbers that is nobody else's."""
        for array in self.arrays:
            # The list, the loop's name and the argument of getrefcount hold it.
            if sys.getrefcount(array) <= 3:
                return array
        return self.make()

    def make(self) -> Array:
        """A new array, to be handed out again later."""
        array = np.empty(self._shape, self._dtype)
        if len(self.arrays) < MOST and array.nbytes <= LARGEST:
            self.arrays.append(array)
        return array

    @property
    def nbytes(self) -> int:
        return sum([array.nbytes for array in self.arrays])


_shared: dict[tuple[Shape, Any], Spares] = {}


def shared_spares(shape: Shape, dtype: Any) -> Spares:
    """The spares of this kind that all plain evaluation shares.

    Programs whose sizes change all the time would gather spares without end, so a new kind lets go
    of all when they have become too much.
    """
    spares = _shared.get((shape, dtype))
    if spares is None:
        if sum([other.nbytes for other in _shared.values()]) > ALL_TOGETHER:
            for other in _shared.values():
                other.arrays.clear()
            _shared.clear()
        spares = _shared[shape, dtype] = Spares(shape, dtype)
    return spares
