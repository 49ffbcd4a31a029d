"""Module and Parameter: a model as a tree of named parts.

A module keeps its parts as plain attributes. What is a :class:`Parameter`, a :class:`Buffer` or a
:class:`Module` is found by looking at them, in the order in which they were set; there is no
second registry that could disagree.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from chainrule.errors import (
    ArgumentError,
    ChainruleError,
    DTypeError,
    LayerTrail,
    listing,
)
from chainrule.nn.parameter import Buffer as Buffer
from chainrule.nn.parameter import Parameter as Parameter
from chainrule.primitive import Array
from chainrule.settings import use
from chainrule.tensor import Tensor

M = TypeVar("M", bound="Module")


class KeyReport(NamedTuple):
    """The keys that a state dict lacked, and those that the model does not have."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Watcher(Protocol):
    """What wants to know which layer is running, such as a summary."""

    def enter(self, module: Module) -> None: ...
    def leave(self, module: Module, output: Any) -> None: ...


class _Calls(threading.local):
    """What passed through layers since the outermost call of this thread began."""

    depth = 0
    watcher: Watcher | None = None

    def __init__(self) -> None:
        self.passed: list[tuple[Module, Any]] = []


_calls = _Calls()
_SHOWN = 12
"""How many of the layers that were passed an error shows."""


@contextmanager
def watch(watcher: Watcher) -> Iterator[None]:
    """Tell `watcher` of every call of a module inside, in this thread."""
    before, _calls.watcher = _calls.watcher, watcher
    try:
        yield
    finally:
        _calls.watcher = before


class Module:
    """A part of a model: parameters, buffers, other modules, and `forward`.

    Subclass it, set the parts as attributes in `__init__`, and write `forward`. Calling the module
    runs `forward`.

    >>> import chainrule as cr
    >>> class Scale(Module):
    ...     def __init__(self):
    ...         self.factor = Parameter(cr.tensor(2.0))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> Scale()(cr.tensor(3.0)).item()
    6.0
    """

    training: bool = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation; every subclass writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        calls = _calls
        calls.depth += 1
        watcher = calls.watcher
        if watcher is not None:
            watcher.enter(self)
        try:
            y = self.forward(*args, **kwargs)
            if watcher is not None:
                watcher.leave(self, y)
            if calls.depth > 1:
                shape = y._data.shape if isinstance(y, Tensor) else _shape_text(y)
                calls.passed.append((self, shape))
        except ChainruleError as error:
            self._add_to_trail(error, args)
            raise
        finally:
            calls.depth -= 1
            if not calls.depth:
                calls.passed.clear()
        return y

    def _add_to_trail(self, error: ChainruleError, args: tuple[Any, ...]) -> None:
        """Name this module in an error on its way out, and at the top the shapes that led to it."""
        if error.trail is None:
            layer = f"{type(self).__name__} {self.short_repr()}".strip()
            error.trail = LayerTrail(kind=type(self).__name__, layer=layer, source=self)
        else:
            for name, child in self._children():
                if child is error.trail.source:
                    error.trail.path.insert(0, name)
                    break
            error.trail.source = self
        if _calls.depth == 1 and error.trail.path:
            names = {id(m): name for name, m in self.named_modules() if not any(m.children())}
            steps = [
                (f"{names[id(m)]} {type(m).__name__}", str(shape))
                for m, shape in _calls.passed
                if id(m) in names
            ]
            if len(steps) > _SHOWN:
                steps = [("...", f"{len(steps) - _SHOWN} more layers"), *steps[-_SHOWN:]]
            error.trail.steps = [("input", ", ".join(map(_shape_text, args))), *steps]

    # -- parts ---------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        old = self.__dict__.get(name)
        if isinstance(old, (Parameter, Buffer)) and isinstance(value, Tensor):
            kind = type(old).__name__
            if not isinstance(value, type(old)):
                raise DTypeError(
                    f"{type(self).__name__}.{name} is a {kind}; a plain tensor would not be found",
                    instead=f"Write {name}.assign(value), or set a new {kind}.",
                )
        object.__setattr__(self, name, value)

    def register_buffer(self, name: str, tensor: Tensor | None) -> None:
        """Set a buffer: state that is saved with the model and not trained."""
        setattr(self, self._free_name(name), None if tensor is None else Buffer(tensor))

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Set a parameter; the same as setting the attribute."""
        setattr(self, self._free_name(name), parameter)

    def add_module(self, name: str, module: Module | None) -> None:
        """Set a part; the same as setting the attribute."""
        if not (module is None or isinstance(module, Module)):
            raise DTypeError(
                f"part {name!r} of {type(self).__name__} is no module", given=type(module).__name__,
                instead="Pass an instance, such as nn.ReLU()."
                if isinstance(module, type) else None,
            )  # fmt: skip
        setattr(self, self._free_name(name), module)

    def _free_name(self, name: str) -> str:
        """A name that hides nothing and that paths can be made of."""
        if not isinstance(name, str) or not name or "." in name or hasattr(type(self), name):
            raise ArgumentError(
                f"{name!r} cannot name a part of {type(self).__name__}",
                expected="a text without dots that is no attribute of the class",
            )
        return name

    def _children(self) -> Iterator[tuple[str, Module]]:
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, (list, tuple, dict)):
                self._refuse_hidden(name, value)

    def _refuse_hidden(self, name: str, value: Any) -> None:
        items = value.values() if isinstance(value, dict) else value
        if any(isinstance(item, (Module, Parameter)) for item in items):
            kind = "ModuleDict" if isinstance(value, dict) else "ModuleList"
            raise DTypeError(
                f"{type(self).__name__}.{name} is a plain {type(value).__name__} of layers or "
                "parameters: training would not find them",
                instead=f"Wrap it: self.{name} = nn.{kind}(...), or ParameterList for parameters.",
            )

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) for the direct parts."""
        return self._children()

    def children(self) -> Iterator[Module]:
        """The direct parts."""
        return (module for _, module in self._children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """(path, module) for this module and all below, each once, outermost first."""
        seen: set[int] = set()
        stack: list[tuple[str, Module]] = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            below = [(f"{path}.{n}" if path else n, child) for n, child in module._children()]
            stack.extend(reversed(below))

    def modules(self) -> Iterator[Module]:
        """This module and all below, each once."""
        return (module for _, module in self.named_modules())

    def _named_tensors(self, kind: type[Tensor], prefix: str, recurse: bool) -> Iterator[Any]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, value in vars(module).items():
                if isinstance(value, kind) and id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(path, parameter) in definition order; a shared parameter appears once."""
        return self._named_tensors(Parameter, prefix, recurse)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, in definition order, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Buffer]]:
        """(path, buffer) in definition order."""
        return self._named_tensors(Buffer, prefix, recurse)

    def buffers(self) -> Iterator[Buffer]:
        """All buffers."""
        return (buffer for _, buffer in self.named_buffers())

    # -- modes ---------------------------------------------------------------------------------

    def train(self: M, mode: bool = True) -> M:
        """Set training mode here and below (dropout drops, batch norm uses the batch)."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self: M) -> M:
        """Set evaluation mode here and below."""
        return self.train(False)

    def apply(self: M, function: Callable[[Module], Any]) -> M:
        """Call a function on every module, parts before wholes."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Set `requires_grad` of all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self: M, dtype: Any) -> M:
        """Convert floating parameters and buffers to a dtype, in place."""
        if isinstance(dtype, str) and dtype == "cpu":
            return self
        target = np.dtype(dtype)
        if target.kind != "f":
            raise DTypeError("a model is converted to a floating dtype", given=target)
        for x in [*self.parameters(), *self.buffers()]:
            if x.dtype.kind == "f":
                x._data = x._numbers("to").astype(target)
                x._version += 1
                x.grad = None
        return self

    def float(self: M) -> M:
        """Convert to float32."""
        return self.to(np.float32)

    def double(self: M) -> M:
        """Convert to float64."""
        return self.to(np.float64)

    # -- state ---------------------------------------------------------------------------------

    def _state(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """(path, parameter or buffer) under every path it has, shared ones too, as in PyTorch."""
        for kind in (Parameter, Buffer):
            for name, value in vars(self).items():
                if isinstance(value, kind):
                    yield prefix + name, value
        for name, child in self._children():
            yield from child._state(f"{prefix}{name}.")

    def state_dict(self) -> dict[str, Tensor]:
        """All parameters and buffers by path. They are aliases: a write to one reaches the module,
        and training changes them; take `copy.deepcopy(module.state_dict())` for a snapshot."""
        return {path: x.detach() for path, x in self._state()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> KeyReport:
        """Assign a state dict of tensors or arrays.

        All problems (missing, unexpected, shape, dtype) come in one ArgumentError, and then
        nothing was changed. With `strict=False`, missing and unexpected keys are only returned.
        """
        own = dict(self._state())
        report = KeyReport([n for n in own if n not in state], [n for n in state if n not in own])
        problems = []
        if strict and report.missing_keys:
            problems.append(f"missing: {listing(report.missing_keys)}")
        if strict and report.unexpected_keys:
            problems.append(f"unexpected: {listing(report.unexpected_keys)}")
        given = {name: _as_array(state[name]) for name in own if name in state}
        for name, found in given.items():
            wanted = own[name].spec
            if found is None:
                problems.append(f"{name} is no tensor but {type(state[name]).__name__}")
            elif wanted.shape != found.shape:
                problems.append(f"{name} has shape {found.shape}, the model {wanted.shape}")
            elif wanted.dtype != found.dtype:
                problems.append(f"{name} has dtype {found.dtype}, the model {wanted.dtype}")
        if problems:
            text = "; ".join(problems)
            raise ArgumentError(f"the state does not fit {type(self).__name__}: {text}")
        with use(gradients=False):
            for name, array in given.items():
                own[name].assign(array)  # type: ignore[arg-type]
        return report

    # -- text ----------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands in the parentheses of the module's text form: its options, as `name=value`.

        An option is a parameter of the constructor that is kept as an attribute of the same name.
        One that stays None or False is not shown; one that adds a part is shown as True or False.
        """
        shown = []
        for option in inspect.signature(type(self)).parameters.values():
            if hasattr(type(self), option.name) or not hasattr(self, option.name):
                continue
            value = getattr(self, option.name)
            if isinstance(option.default, bool):
                value = value is not None and value is not False
            is_plain = isinstance(value, (bool, int, float, str, tuple))
            if is_plain and not (value is False and option.default is False):
                shown.append(f"{option.name}={value!r}")
        return ", ".join(shown)

    def short_repr(self) -> str:
        """What stands after the module's name in errors and tables, such as `784 → 10`."""
        return ""

    def __repr__(self) -> str:
        children = [f"({name}): {child!r}" for name, child in self._children()]
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        body = "\n".join(children).replace("\n", "\n  ")
        return f"{type(self).__name__}({self.extra_repr()}\n  {body}\n)"


def _shape_text(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ", ".join(map(_shape_text, value))
    return str(value.shape) if hasattr(value, "shape") else type(value).__name__


def _as_array(value: Any) -> Array | None:
    if isinstance(value, Tensor):
        return value.detach()._numbers("load_state_dict")
    return np.asarray(value) if hasattr(value, "__array__") else None
