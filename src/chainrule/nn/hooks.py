"""Hooks of modules: functions that run around `forward`, on gradients, and around state dicts."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from chainrule import tree
from chainrule.errors import ArgumentError, ShapeError
from chainrule.handles import RemovableHandle
from chainrule.nn.functional import records
from chainrule.settings import current
from chainrule.tensor import Tensor

Event = Literal[
    "forward_pre", "forward", "backward_pre", "backward",
    "state_dict_pre", "state_dict_post", "load_pre", "load_post",
]  # fmt: skip
_next_number = count().__next__


class Hook(NamedTuple):
    """A function, and when and how it is called."""

    function: Callable[..., Any]
    with_kwargs: bool = False
    always_call: bool = False


class Hooked:
    """Registers hooks; each is called in the order of registration, `prepend` puts it first.

    A forward hook that returns something replaces the arguments, or the output; a backward hook
    that returns something replaces the gradients.
    """

    _hooks: Mapping[Event, dict[int, Hook]] = MappingProxyType({})

    def _hook(self, event: Event, hook: Hook, prepend: bool = False) -> RemovableHandle:
        hooks = vars(self).setdefault("_hooks", {}).setdefault(event, {})
        number, earlier = _next_number(), [*hooks.items()] if prepend else []
        if prepend:
            hooks.clear()
        hooks[number] = hook
        hooks.update(earlier)
        return RemovableHandle(partial(hooks.pop, number, None))

    def _hooks_of(self, event: Event) -> list[Hook]:
        return [*self._hooks.get(event, {}).values()]

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before `forward`; with_kwargs: `hook(module, args, kwargs)`.

        What it returns, if anything, replaces the arguments: one or a tuple of them, or
        `(args, kwargs)`.
        """
        return self._hook("forward_pre", Hook(hook, with_kwargs), prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after `forward`; what it returns replaces the output.

        with_kwargs: `hook(module, args, kwargs, output)`. always_call: also after an error, with
        the output so far.
        """
        return self._hook("forward", Hook(hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_output)` when the gradients of the outputs are known.

        What it returns, if anything, replaces them.
        """
        return self._hook("backward_pre", Hook(hook), prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the inputs are known.

        Both are tuples, with None for what has no gradient. What it returns, if anything, replaces
        `grad_input`.
        """
        return self._hook("backward", Hook(hook), prepend)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before a state dict is made."""
        return self._hook("state_dict_pre", Hook(hook))

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)`, which may change the dict."""
        return self._hook("state_dict_post", Hook(hook))

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)` before a state dict is compared with the module; it may change
        the dict, which is a copy, and add to the lists.
        """
        return self._hook("load_pre", Hook(hook))

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after loading; it may change the lists of keys."""
        return self._hook("load_post", Hook(hook))


def run_with_hooks(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`module.forward(*args, **kwargs)` with the hooks before and after it."""
    for hook in module._hooks_of("forward_pre"):
        args, kwargs = _before(module, hook, args, kwargs)
    border = _Border(module)
    args = border.enter(args) if border.is_used else args
    y, waiting = None, module._hooks_of("forward")
    try:
        y = module.forward(*args, **kwargs)
        while waiting:
            hook = waiting.pop(0)
            given = (args, kwargs) if hook.with_kwargs else (args,)
            changed = hook.function(module, *given, y)
            y = y if changed is None else changed
    except Exception:
        for hook in waiting:
            if hook.always_call:
                _after_an_error(module, hook, args, kwargs, y)
        raise
    return border.leave(y) if border.is_used else y


def _before(
    module: Any, hook: Hook, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if not hook.with_kwargs:
        changed = hook.function(module, args)
        return args if changed is None else _as_tuple(changed), kwargs
    changed = hook.function(module, args, kwargs)
    if changed is None:
        return args, kwargs
    if not (isinstance(changed, tuple) and len(changed) == 2):
        raise ArgumentError(
            "a hook before forward that takes kwargs returns (args, kwargs), or nothing",
            given=repr(changed),
        )
    return changed


def _after_an_error(
    module: Any, hook: Hook, args: tuple[Any, ...], kwargs: dict[str, Any], y: Any
) -> None:
    """Call a hook whatever happened; an error of its own does not hide the first one."""
    try:
        hook.function(module, *((args, kwargs) if hook.with_kwargs else (args,)), y)
    except Exception as error:
        warnings.warn(f"a hook failed after an error in forward: {error!r}", stacklevel=2)


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


# -- gradients -------------------------------------------------------------------------------------

Gradients = tuple[Tensor | None, ...]


class _Border:
    """Where gradients come into a module, at its outputs, and leave it, at its inputs."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.before = module._hooks_of("backward_pre")
        self.after = module._hooks_of("backward")
        self.is_used = bool(self.before or self.after)
        self.inputs, self.has_gradients = 0, False
        self.grad_output: Gradients | None = None

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments; those that require gradients on a way of their own into the module."""
        passed = _pass(self.module, "inputs", args, self.leaving)
        self.inputs, self.has_gradients = len(args), passed is not args
        return passed

    def leave(self, y: Any) -> Any:
        """The output; tensors in it that require gradients on a way of their own out."""
        outputs = tuple(tree.flatten(y))
        passed = _pass(self.module, "outputs", outputs, self.coming)
        return y if passed is outputs else tree.unflatten(y, list(passed))

    def coming(self, gradients: Gradients) -> Gradients:
        """What the hooks make of the gradients of the outputs."""
        for hook in self.before:
            gradients = _replaced(gradients, hook.function(self.module, gradients))
        self.grad_output = gradients
        if not self.has_gradients:  # none will leave the module
            self.leaving((None,) * self.inputs)
        return gradients

    def leaving(self, gradients: Gradients) -> Gradients:
        """What the hooks make of the gradients of the inputs."""
        if self.grad_output is None:  # the outputs were not used
            return gradients
        for hook in self.after:
            changed = hook.function(self.module, gradients, self.grad_output)
            gradients = _replaced(gradients, changed)
        self.grad_output = None
        return gradients


def _pass(
    module: Any,
    side: str,
    values: tuple[Any, ...],
    function: Callable[[Gradients], Gradients],
) -> tuple[Any, ...]:
    """The values, with the tensors that require gradients taken through one op."""
    places = [i for i, x in enumerate(values) if isinstance(x, Tensor) and x.requires_grad]
    if not places or not current().gradients:
        return values
    tensors = [values[i] for i in places]
    through = _Side(module, side, len(values), tuple(places), function)
    passed = dict(zip(places, records.gradients_through(*tensors, function=through), strict=True))
    return tuple([passed.get(i, x) for i, x in enumerate(values)])


@dataclass(frozen=True)
class _Side:
    """A function of a value's gradients, as one of those that there are.

    Those of one module are equal, whatever the call, so that steps that are equal look equal.
    """

    module: Any
    side: str
    size: int
    places: tuple[int, ...]
    function: Callable[[Gradients], Gradients] = field(compare=False, repr=False)

    def __call__(self, gradients: Sequence[Tensor | None]) -> Gradients:
        known = dict(zip(self.places, gradients, strict=True))
        result = self.function(tuple([known.get(i) for i in range(self.size)]))
        return tuple([result[i] for i in self.places])


def _replaced(gradients: Gradients, changed: Any) -> Gradients:
    """The gradients that a hook returned, once it is sure that they can stand for the others."""
    if changed is None:
        return gradients
    changed = _as_tuple(changed)
    if [_spec(g) for g in changed] != [_spec(g) for g in gradients]:
        raise ShapeError(
            "a backward hook returns gradients of the same specs, or nothing",
            given=[_spec(g) for g in changed],
            expected=[_spec(g) for g in gradients],
        )
    return changed


def _spec(gradient: Tensor | None) -> Any:
    return None if gradient is None else gradient.spec
