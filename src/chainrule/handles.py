"""Hooks: functions that are registered for an event, and the handles that remove them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from types import MappingProxyType
from typing import Any, Generic, TypeVar

H = TypeVar("H")
_next_number = count().__next__


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


class HookRegistry(Generic[H]):
    """Mixin: keeps the hooks of an object for each event, in the order of their calls.

    >>> registry = HookRegistry()
    >>> handle = registry._hook("end", print)
    >>> [hook("the end") for hook in registry._hooks_of("end")]
    the end
    [None]
    """

    _hooks: Mapping[str, dict[int, H]] = MappingProxyType({})

    def _hook(self, event: str, hook: H, prepend: bool = False) -> RemovableHandle:
        """Add a hook after the others, or with `prepend` before them."""
        hooks = vars(self).setdefault("_hooks", {}).setdefault(event, {})
        number, earlier = _next_number(), [*hooks.items()] if prepend else []
        if prepend:
            hooks.clear()
        hooks[number] = hook
        hooks.update(earlier)
        return RemovableHandle(partial(hooks.pop, number, None))

    def _hooks_of(self, event: str) -> list[H]:
        return [*self._hooks.get(event, {}).values()]
