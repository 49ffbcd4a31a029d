"""Hooks of optimizers: functions that run around a step, and around saving and loading."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from chainrule.errors import DTypeError
from chainrule.handles import HookRegistry, RemovableHandle

Hook = Callable[..., Any]
_of_all: HookRegistry[Hook] = HookRegistry()
"""The hooks of all optimizers."""


def register_optimizer_step_pre_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before each step of any optimizer."""
    return _of_all._hook("step_pre", hook)


def register_optimizer_step_post_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after each step of any optimizer."""
    return _of_all._hook("step_post", hook)


class HookedOptimizer(HookRegistry[Hook]):
    """Registers the hooks of one optimizer. Each method returns a handle that removes the hook.

    Hooks are called in the order of registration, those with `prepend` first.
    """

    step: Callable[..., Any]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "step" in vars(cls):
            cls.step = with_hooks(vars(cls)["step"])

    def register_step_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step.

        `args` and `kwargs` are the arguments of the step, with the optimizer first. The hook may
        return a pair that replaces them.
        """
        return self._hook("step_pre", hook)

    def register_step_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return self._hook("step_post", hook)

    def register_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` before `state_dict`."""
        return self._hook("state_dict_pre", hook, prepend)

    def register_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` after `state_dict`; it may return another dict."""
        return self._hook("state_dict_post", hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before loading, with a shallow copy of the dict.

        The hook may return another dict to load.
        """
        return self._hook("load_pre", hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` after loading."""
        return self._hook("load_post", hook, prepend)

    def _saved(self, save: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result of `save()`, with the hooks around it."""
        for hook in self._hooks_of("state_dict_pre"):
            hook(self)
        state_dict = save()
        for hook in self._hooks_of("state_dict_post"):
            state_dict = _replaced(state_dict, hook(self, state_dict))
        return state_dict

    def _loaded(self, state_dict: Any, load: Callable[[Any], None]) -> None:
        """Call `load(state_dict)`, with the hooks around it."""
        if isinstance(state_dict, Mapping):
            state_dict = dict(state_dict)
        for hook in self._hooks_of("load_pre"):
            state_dict = _replaced(state_dict, hook(self, state_dict))
        load(state_dict)
        for hook in self._hooks_of("load_post"):
            hook(self)


def with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """A method `step` that runs the hooks, unless a method of a subclass calls it."""

    @functools.wraps(step)
    def hooked(self: HookedOptimizer, *args: Any, **kwargs: Any) -> Any:
        if type(self).step is not hooked or not (self._hooks or _of_all._hooks):
            return step(self, *args, **kwargs)
        args = (self, *args)
        for hook in (*_of_all._hooks_of("step_pre"), *self._hooks_of("step_pre")):
            args, kwargs = _arguments(args, kwargs, hook(self, args, kwargs))
        result = step(*args, **kwargs)
        for hook in (*self._hooks_of("step_post"), *_of_all._hooks_of("step_post")):
            hook(self, args, kwargs)
        return result

    return hooked


def _arguments(
    args: tuple[Any, ...], kwargs: dict[str, Any], changed: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if changed is None:
        return args, kwargs
    if not (isinstance(changed, tuple) and len(changed) == 2):
        raise DTypeError(
            "a hook before a step returns (args, kwargs), or nothing", given=repr(changed)
        )
    return changed


def _replaced(state_dict: Any, changed: Any) -> Any:
    return state_dict if changed is None else changed
