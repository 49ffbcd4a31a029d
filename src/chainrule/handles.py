"""The handle that registering a hook returns; it removes the hook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class RemovableHandle:
    """Removes a hook: by `remove()`, by calling the handle, or at the end of a `with` block.

    >>> hooks = ["hook"]
    >>> handle = RemovableHandle(hooks.clear)
    >>> handle.remove()
    >>> hooks
    []
    """

    def __init__(self, remove: Callable[[], Any]) -> None:
        self._remove: Callable[[], Any] | None = remove

    def remove(self) -> None:
        """Remove the hook. Further calls do nothing."""
        remove, self._remove = self._remove, None
        if remove is not None:
            remove()

    __call__ = remove

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()
