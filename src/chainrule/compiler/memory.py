"""Lifetimes and memory: where in one arena each value lies, while somebody still reads it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

ALIGNMENT = 64


@dataclass
class Arena:
    """First fit: a value takes the first gap that is large enough; its bytes return when it ends.

    >>> arena = Arena()
    >>> arena.take("a", 100), arena.take("b", 10)
    (0, 128)
    >>> arena.give_back("a")
    >>> arena.take("c", 60), arena.size
    (0, 192)
    """

    size: int = 0
    _taken: dict[Hashable, tuple[int, int]] = field(default_factory=dict)

    def take(self, name: Hashable, nbytes: int) -> int:
        """An offset for `nbytes` bytes."""
        needed = -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT
        start = 0
        for offset, length in sorted(self._taken.values()):
            if offset - start >= needed:
                break
            start = max(start, offset + length)
        self._taken[name] = (start, needed)
        self.size = max(self.size, start + needed)
        return start

    def hand_over(self, name: Hashable, heir: Hashable) -> None:
        """The bytes of a value are another's from now on."""
        self._taken[heir] = self._taken.pop(name)

    def give_back(self, name: Hashable) -> None:
        """The bytes of a value are free again."""
        del self._taken[name]


def last_readers(reads: Sequence[Sequence[Hashable]]) -> dict[Hashable, int]:
    """For each name, the position of the last step that reads (or writes) it."""
    return {name: i for i, names in enumerate(reads) for name in names}
