"""What registering something returns: a way to take it out again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class RemovableHandle:
    """`remove()`, a call, or the end of a `with` block takes out what was registered."""

    def __init__(self, remove: Callable[[], Any]) -> None:
        self._remove: Callable[[], Any] | None = remove

    def remove(self) -> None:
        """Take it out; a second time does nothing."""
        remove, self._remove = self._remove, None
        if remove is not None:
            remove()

    __call__ = remove

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()
