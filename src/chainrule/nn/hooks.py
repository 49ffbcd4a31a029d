"""Hooks of modules: functions that run around `forward`, on gradients, and around state dicts."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chainrule import tree
from chainrule.errors import ArgumentError, ShapeError
from chainrule.handles import HookRegistry, RemovableHandle
from chainrule.ops import backward
from chainrule.settings import current
from chainrule.tensor import Tensor


class Hook(NamedTuple):
    """A function with its options: whether it is called with kwargs, and also after an error."""

    function: Callable[..., Any]
    with_kwargs: bool = False
    always_call: bool = False


EVERYWHERE: HookRegistry[Hook] = HookRegistry()
"""The hooks of all modules. They are called before the hooks of a module itself."""


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, args)` before the `forward` of every module."""
    return EVERYWHERE._hook("forward_pre", Hook(hook))


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call `hook(module, args, output)` after the `forward` of every module."""
    return EVERYWHERE._hook("forward", Hook(hook, with_kwargs, always_call))


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_output)` with the gradients of the outputs of every module."""
    return EVERYWHERE._hook("backward_pre", Hook(hook))


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` with the gradients of every module."""
    return EVERYWHERE._hook("backward", Hook(hook))


def register_module_parameter_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, parameter)` for every parameter that is set. What it returns, unless
    None, is set instead."""
    return EVERYWHERE._hook("parameter", Hook(hook))


def register_module_buffer_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, buffer)` for every buffer that is set. What it returns, unless None,
    is set instead."""
    return EVERYWHERE._hook("buffer", Hook(hook))


def register_module_module_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, submodule)` for every submodule that is set. What it returns, unless
    None, is set instead."""
    return EVERYWHERE._hook("module", Hook(hook))


class Hooked(HookRegistry[Hook]):
    """Registers the hooks of a module.

    Hooks are called in the order of registration, those with `prepend` first. Each method returns a
    handle whose `remove()` removes the hook. What a hook returns, unless it is None, replaces the
    arguments or the output (forward hooks) or the gradients (backward hooks).
    """

    def _hooks_of(self, event: str) -> list[Hook]:
        return [*EVERYWHERE._hooks_of(event), *super()._hooks_of(event)]

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before `forward`; with_kwargs: `hook(module, args, kwargs)`.

        Unless it returns None, the result replaces the arguments: one argument or a tuple, or
        `(args, kwargs)` for a hook with kwargs.
        """
        return self._hook("forward_pre", Hook(hook, with_kwargs), prepend)

    def _remove_hook(self, event: str, function: Callable[..., Any]) -> None:
        """Remove the hooks that call a function."""
        hooks = self._hooks.get(event, {})
        for number in [n for n, hook in hooks.items() if hook.function is function]:
            del hooks[number]

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after `forward`. Unless it returns None, the result
        replaces the output.

        with_kwargs: `hook(module, args, kwargs, output)`. always_call: the hook is also called
        after an error in `forward` or an earlier hook, with the output so far, or None.
        """
        return self._hook("forward", Hook(hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_output)` when the gradients of the outputs are computed.

        Unless it returns None, the result replaces them.
        """
        return self._hook("backward_pre", Hook(hook), prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the inputs are
        computed.

        Both are tuples, with None for values without a gradient. Unless the hook returns None, the
        result replaces `grad_input`.
        """
        return self._hook("backward", Hook(hook), prepend)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before `state_dict` collects the entries."""
        return self._hook("state_dict_pre", Hook(hook))

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)`, which may change the dict."""
        return self._hook("state_dict_post", Hook(hook))

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)` before a state dict is compared with the module. The hook may
        change the dict, which is a copy, and append to the lists.
        """
        return self._hook("load_pre", Hook(hook))

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after loading. It may change the lists of keys."""
        return self._hook("load_post", Hook(hook))


def run_with_hooks(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call `module.forward(*args, **kwargs)` and the hooks before and after it."""
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
    """Call a hook after an error. If the hook fails too, this is only a warning."""
    try:
        hook.function(module, *((args, kwargs) if hook.with_kwargs else (args,)), y)
    except Exception as error:
        warnings.warn(f"a hook failed after an error in forward: {error!r}", stacklevel=2)


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


# -- gradients -------------------------------------------------------------------------------------

Gradients = tuple[Tensor | None, ...]


class _Border:
    """Runs the backward hooks of one call of a module, on the gradients of outputs and inputs."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.before = module._hooks_of("backward_pre")
        self.after = module._hooks_of("backward")
        self.is_used = bool(self.before or self.after)
        self.inputs, self.has_gradients = 0, False
        self.grad_output: Gradients | None = None

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, after an identity op whose derivative calls `leaving`."""
        passed = _pass(self.module, "inputs", args, self.leaving)
        self.inputs, self.has_gradients = len(args), passed is not args
        return passed

    def leave(self, y: Any) -> Any:
        """The output, after an identity op on its tensors whose derivative calls `coming`."""
        outputs = tuple(tree.flatten(y))
        passed = _pass(self.module, "outputs", outputs, self.coming)
        return y if passed is outputs else tree.unflatten(y, list(passed))

    def coming(self, gradients: Gradients) -> Gradients:
        """Run the pre-hooks on the gradients of the outputs."""
        for hook in self.before:
            gradients = _replaced(gradients, hook.function(self.module, gradients))
        self.grad_output = gradients
        if not self.has_gradients:  # no input will get a gradient
            self.leaving((None,) * self.inputs)
        return gradients

    def leaving(self, gradients: Gradients) -> Gradients:
        """Run the hooks on the gradients of the inputs."""
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
    """The values; tensors that require gradients pass through one identity op, whose derivative
    calls `function`."""
    places = [i for i, x in enumerate(values) if isinstance(x, Tensor) and x.requires_grad]
    if not places or not current().gradients:
        return values
    tensors = [values[i] for i in places]
    through = _Side(module, side, len(values), tuple(places), function)
    passed = dict(zip(places, backward.gradients_through(*tensors, function=through), strict=True))
    return tuple([passed.get(i, x) for i, x in enumerate(values)])


@dataclass(frozen=True)
class _Side:
    """`function`, applied to the gradients of the tensors among some values.

    Two objects for the same side of one module are equal. So two captures of a step are equal.
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
    """The gradients that a hook returned, or the given ones if it returned None. Raises ShapeError
    if their specs differ."""
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
