"""Memory for results: arrays that are reused once no other reference to them exists."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from chainrule.primitive import Array, Shape

MOST = 16
"""The most arrays of one shape and dtype that are kept. Further ones are not reused."""
LARGEST = 2**26
"""The most bytes of one array that is kept."""


class Spares:
    """A cache of arrays of one shape and dtype. A repeated step reuses the same few arrays. So it
    neither allocates memory nor waits for the system to map pages.

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
        """An array with undefined numbers, to which no other reference exists."""
        for array in self.arrays:
            # References: the list, the loop variable and the argument of getrefcount.
            if sys.getrefcount(array) <= 3:
                return array
        return self.make()

    def make(self) -> Array:
        """A new array, which is kept for reuse within the limits."""
        array = np.empty(self._shape, self._dtype)
        if len(self.arrays) < MOST and array.nbytes <= LARGEST:
            self.arrays.append(array)
        return array
