"""PyTorch's internal attributes of Module that scripts use: `_modules`, `_parameters`, hooks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from chainrule.handles import RemovableHandle
from chainrule.nn.hooks import Hook
from chainrule.nn.parts import Kind

Function = Callable[..., Any]


class PartsView(MutableMapping[str, Any]):
    """The parts of a module of one kind, by name. None stands for a part that is reserved.

    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.ReLU())
    >>> PartsView(model, "module")["0"] = nn.Tanh()
    >>> model
    Sequential(
      (0): Tanh()
    )
    """

    def __init__(self, module: Any, kind: Kind) -> None:
        self.module, self.kind = module, kind

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, kind in self.module._kinds.items() if kind == self.kind])

    def __len__(self) -> int:
        return [*self.module._kinds.values()].count(self.kind)

    def __getitem__(self, name: str) -> Any:
        if self.module._kinds.get(name) != self.kind:
            raise KeyError(name)
        return vars(self.module)[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.module._register(name, self.kind, value)

    def __delitem__(self, name: str) -> None:
        self[name]
        delattr(self.module, name)

    def __repr__(self) -> str:
        return repr(dict(self))


class HooksView(MutableMapping[int, Any]):
    """The functions that a module calls on one event, by number.

    >>> from chainrule import nn
    >>> layer = nn.ReLU()
    >>> handle = layer.register_forward_hook(print)
    >>> hooks = HooksView(layer, "forward")
    >>> len(hooks), hooks.clear(), len(hooks)
    (1, None, 0)
    """

    def __init__(self, module: Any, event: str) -> None:
        self.module, self.event = module, event

    def _own(self) -> dict[int, Hook]:
        hooks: dict[int, Hook] = self.module._hooks.get(self.event, {})
        return hooks

    def __iter__(self) -> Iterator[int]:
        return iter([*self._own()])

    def __len__(self) -> int:
        return len(self._own())

    def __getitem__(self, number: int) -> Any:
        return self._own()[number].function

    def __setitem__(self, number: int, function: Function) -> None:
        vars(self.module).setdefault("_hooks", {}).setdefault(self.event, {})[number] = Hook(
            function
        )

    def __delitem__(self, number: int) -> None:
        del self._own()[number]


def _part_property(kind: Kind) -> property:
    return property(lambda self: PartsView(self, kind))


def _hook_property(event: str) -> property:
    return property(lambda self: HooksView(self, event))


class InternalAttributes:
    """Internal attributes that Module has while PyTorch's attributes are active."""

    _version = 1
    dump_patches = False
    call_super_init = False
    _parameters = _part_property("parameter")
    _buffers = _part_property("buffer")
    _modules = _part_property("module")
    _forward_pre_hooks = _hook_property("forward_pre")
    _forward_hooks = _hook_property("forward")
    _backward_pre_hooks = _hook_property("backward_pre")
    _backward_hooks = _hook_property("backward")
    _state_dict_hooks = _hook_property("state_dict_post")
    _load_state_dict_pre_hooks = _hook_property("load_pre")
    _load_state_dict_post_hooks = _hook_property("load_post")

    def _get_name(self: Any) -> str:
        """The name of the class."""
        return type(self).__name__

    def _apply(self: Any, fn: Function, recurse: bool = True) -> Any:
        """Replace the numbers of floating parameters and buffers by `fn` of them."""
        return self._convert(fn)

    def _register_state_dict_hook(self: Any, hook: Function) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after `state_dict`."""
        handle: RemovableHandle = self.register_state_dict_post_hook(hook)
        return handle

    def _register_load_state_dict_pre_hook(
        self: Any, hook: Function, with_module: bool = False
    ) -> RemovableHandle:
        """Call `hook(state_dict, prefix, ...)` before loading; `with_module`: with the module
        first."""
        own = hook if with_module else lambda module, *details: hook(*details)
        handle: RemovableHandle = self.register_load_state_dict_pre_hook(own)
        return handle

    def register_backward_hook(self: Any, hook: Function) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)`, as `register_full_backward_hook`."""
        warnings.warn(
            "register_backward_hook is register_full_backward_hook here: grad_input has the "
            "gradients of the module's inputs, where PyTorch has those of its last operation.",
            stacklevel=2,
        )
        handle: RemovableHandle = self.register_full_backward_hook(hook)
        return handle
