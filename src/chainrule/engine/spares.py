"""Memory for results: arrays that are handed out again once nobody else holds them."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from chainrule.primitive import Array, Shape

MOST = 3


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

    __slots__ = ("_arrays", "_dtype", "_shape")

    def __init__(self, shape: Shape, dtype: Any) -> None:
        self._shape, self._dtype = shape, dtype
        self._arrays: list[Array] = []

    def take(self) -> Array:
        """An array with undefined numbers that is nobody else's."""
        for array in self._arrays:
            # The list, the loop's name and the argument of getrefcount hold it.
            if sys.getrefcount(array) <= 3:
                return array
        array = np.empty(self._shape, self._dtype)
        if len(self._arrays) < MOST:
            self._arrays.append(array)
        return array
