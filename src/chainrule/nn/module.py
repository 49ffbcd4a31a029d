"""Module: the base class of models and layers.

`parts` implements parameters, buffers and submodules, `state` state dicts and conversion, `hooks`
the hooks. This file implements calls, modes, and the text of modules in errors and when printed.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import Any, ClassVar, Protocol, TypeVar

from chainrule import engine
from chainrule.errors import (
    ArgumentError,
    ChainruleError,
    LayerTrail,
    UnknownNameError,
)
from chainrule.nn.hooks import EVERYWHERE, run_with_hooks
from chainrule.nn.state import Stateful, nested_too_deep
from chainrule.tensor import Tensor

M = TypeVar("M", bound="Module")


class Watcher(Protocol):
    """An object that is notified of calls of modules, such as a summary."""

    def enter(self, module: Module) -> None: ...
    def leave(self, module: Module, output: Any) -> None: ...


class _Calls:
    """The state of the calls of modules in a thread.

    depth: how many calls are nested. passed: the modules that have returned since the outermost
    call began, with the shapes of their outputs.
    """

    __slots__ = ("depth", "passed", "watcher")

    def __init__(self) -> None:
        self.depth = 0
        self.passed: list[tuple[Module, Any]] = []
        self.watcher: Watcher | None = None


class _Thread(threading.local):
    """Attributes of a thread are slow to look up, so it has a single one."""

    def __init__(self) -> None:
        self.module_calls = _Calls()


_thread = _Thread()
_SHOWN = 12
"""The most layers with their shapes that an error shows."""
_ELSEWHERE = {
    "cuda": "Chainrule computes on the CPU: leave .cuda() out.",
    "bfloat16": "Use .float(), .double() or .half().",
    "type": "Use .to(dtype).",
    "compile": "Use compiled = cr.compile(model).",
    "register_module": "Use add_module.",
    "register_backward_hook": "Use register_full_backward_hook.",
    "to_empty": "Use .to(dtype).",
    "share_memory": "Tensors of two processes do not share memory.",
}
"""Attributes of PyTorch's modules that are not supported, and what to use instead."""


@contextmanager
def watch(watcher: Watcher) -> Iterator[None]:
    """Notify `watcher` of every call of a module inside the block, in this thread."""
    calls = _thread.module_calls
    before, calls.watcher = calls.watcher, watcher
    try:
        yield
    finally:
        calls.watcher = before


class Module(Stateful["Module"]):
    """Base class of models and layers: parameters, buffers, submodules, and a `forward` method.

    Subclass it, set the parts as attributes in `__init__`, and define `forward`. Calling the module
    runs `forward`. Errors inside a call name the path of the layer.

    training: whether the module is in training mode (see `train` and `eval`).

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> class Scale(nn.Module):
    ...     def __init__(self):
    ...         self.factor = nn.Parameter(cr.tensor(2.0))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> Scale()(cr.tensor(3.0)).item()
    6.0
    """

    training: bool = True
    shown: ClassVar[str | None] = None
    """The options that the text form always shows, such as `"in_features out_features= bias="`.
    Those without `=` are shown without their name. Other options are shown if they differ from
    their defaults. None: shows all options except those whose default, None or False, is unchanged.
    """

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation. Every subclass defines its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        calls = _thread.module_calls
        calls.depth += 1
        watcher = calls.watcher
        if watcher is not None:
            watcher.enter(self)
        try:
            if self._hooks or EVERYWHERE._hooks:
                y = run_with_hooks(self, args, kwargs)
            else:
                y = self.forward(*args, **kwargs)
            if watcher is not None:
                watcher.leave(self, y)
            if calls.depth > 1:
                shape = y._data.shape if isinstance(y, Tensor) else self._shape_of(y)
                calls.passed.append((self, shape))
        except Exception as error:
            self._explain(error, args)
            raise
        finally:
            calls.depth -= 1
            if not calls.depth:
                calls.passed.clear()
        return y

    def _explain(self, error: BaseException, args: tuple[Any, ...]) -> None:
        """Add to an error of this package where it was raised."""
        if isinstance(error, ChainruleError):
            self._add_to_trail(error, args)
        elif isinstance(error, RecursionError) and _thread.module_calls.depth == 1:
            raise nested_too_deep(self) from error

    def _add_to_trail(self, error: ChainruleError, args: tuple[Any, ...]) -> None:
        """Add this module to the path in an error, and in the outermost call the shapes so far."""
        if error.trail is None:
            layer = f"{type(self).__name__} {self.short_repr()}".strip()
            error.trail = LayerTrail(kind=type(self).__name__, layer=layer, source=self)
        else:
            for name, module in self._walk():
                if module is error.trail.source:
                    error.trail.path.insert(0, name)
                    break
            error.trail.source = self
        if _thread.module_calls.depth == 1 and error.trail.path:
            names = {id(m): name for name, m in self._walk() if not any(m._named("module"))}
            steps = [
                (f"{names[id(m)]} {type(m).__name__}", str(shape))
                for m, shape in _thread.module_calls.passed
                if id(m) in names
            ]
            if len(steps) > _SHOWN:
                steps = [("...", f"{len(steps) - _SHOWN} more layers"), *steps[-_SHOWN:]]
            shapes = ", ".join(map(self._shape_of, args))
            error.trail.steps = [("input", shapes), *steps]

    def _shape_of(self, value: Any) -> str:
        """The shape of a tensor, or those in a tuple, for errors."""
        if isinstance(value, (tuple, list)):
            return ", ".join(map(self._shape_of, value))
        return str(value.shape) if hasattr(value, "shape") else type(value).__name__

    def __getattr__(self, name: str) -> Any:
        if name in vars(self):  # a subclass overrides this method, and calls it for all names
            return vars(self)[name]
        if hasattr(type(self), name):  # a property failed: raise the property's own error
            return object.__getattribute__(self, name)
        if name in self._computed:
            return self._computed[name].compute(self)
        error = UnknownNameError(
            f"{type(self).__name__} has no attribute {name!r}", instead=_ELSEWHERE.get(name)
        )
        error.name, error.obj = name, self
        raise error

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name.isidentifier()]

    # -- modes ---------------------------------------------------------------------------------

    def train(self: M, mode: bool = True) -> M:
        """Set this module and all submodules to training mode, or to evaluation mode, and return
        it. Dropout and batch norm depend on the mode. Raises ArgumentError unless it is a bool."""
        if not isinstance(mode, bool):
            raise ArgumentError("the mode is True for training, False for evaluation", given=mode)
        waiting: list[Module] = [self]
        while waiting:
            module = waiting.pop()
            module.training = mode
            for child in module.children():
                if type(child).train is Module.train:
                    waiting.append(child)
                else:
                    child.train(mode)
        return self

    def eval(self: M) -> M:
        """Set this module and all submodules to evaluation mode, and return it."""
        return self.train(False)

    def _reads_mode(self) -> bool:
        kinds = takewhile(lambda kind: kind is not Module, type(self).__mro__)
        functions = (value for kind in kinds for value in vars(kind).values())
        codes = (getattr(function, "__code__", None) for function in functions)
        return any(code is not None and "training" in code.co_names for code in codes)

    def apply(self: M, function: Callable[[Module], Any]) -> M:
        """Call a function on every submodule and then on this module, which is returned."""
        order: list[Module] = []
        waiting: list[Module] = [self]
        while waiting:
            order.append(module := waiting.pop())
            waiting.extend(module.children())
        for module in reversed(order):
            function(module)
        return self

    # -- text ----------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """The text in the parentheses of the text form: the options of a module without submodules.

        An option is a parameter of the constructor with an attribute of the same name. An option
        that adds a part, such as `bias`, is shown as True or False. See also `shown`.
        """
        always = (self.shown or "").split()
        texts: dict[str, str] = {option: "" for option in always}
        for name, value, default in self._options() if self._shows_options() else []:
            is_default = value == default or (isinstance(value, tuple) and {*value} == {default})
            is_usual = self.shown is not None or default is None or default is False
            if name in texts:
                texts[name] = repr(value)
            elif f"{name}=" in texts or not (is_default and is_usual):
                texts[f"{name}="] = f"{name}={value!r}"
        return ", ".join(filter(None, texts.values()))

    def _shows_options(self) -> bool:
        """Whether the text has options: without submodules, or with those that compute a weight."""
        return bool(self._computed) or not any(self._named("module"))

    def _options(self) -> Iterator[tuple[str, Any, Any]]:
        """(name, value, default) of the options that are numbers, texts, tuples or None."""
        for name, option in inspect.signature(type(self)).parameters.items():
            if hasattr(self, name) and not hasattr(type(self), name):
                value = getattr(self, name)
                if isinstance(option.default, bool):
                    value = value is not None and value is not False
                if value is None or isinstance(value, (bool, int, float, str, tuple)):
                    yield name, value, option.default

    def short_repr(self) -> str:
        """The text after the module's class in errors, such as `784 → 10`."""
        return ""

    def __repr__(self) -> str:
        lines: list[str] = []
        waiting: list[tuple[str, str, Module | None]] = [("", "", self)]
        while waiting:
            indent, text, module = waiting.pop()
            if module is None:
                lines.append(indent + text)
            elif type(module).__repr__ is not Module.__repr__:
                lines.append(indent + text + repr(module).replace("\n", "\n" + indent))
            else:
                text += f"{type(module).__name__}({module.extra_repr()}"
                children = [(f"{indent}  ", label, c) for label, c in module._labelled()]
                lines.append(indent + text + ("" if children else ")"))
                waiting.extend([(indent, ")", None)] if children else [])
                waiting.extend(reversed(children))
        return "\n".join(lines)

    def _labelled(self) -> list[tuple[str, Module]]:
        """(label in the text form, module) for the direct submodules."""
        return [(f"({name}): ", child) for name, child in self._named("module")]


_parts = _thread, EVERYWHERE, *map(vars(_Calls).get, ("depth", "passed", "watcher"))
Module.__call__ = engine.shortcut(  # type: ignore[method-assign]
    "module", Module.__call__, _parts
)
