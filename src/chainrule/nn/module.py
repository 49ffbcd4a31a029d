"""Module and Parameter: a model as a tree of named parts.

A module keeps its parts as plain attributes. What is a :class:`Parameter`, a :class:`Buffer` or a
:class:`Module` is found by looking at them, in the order in which they were set; there is no
second registry that could disagree.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from chainrule.errors import (
    ArgumentError,
    ChainruleError,
    DTypeError,
    LayerTrail,
    listing,
)
from chainrule.primitive import Array
from chainrule.settings import use
from chainrule.tensor import Tensor, from_numpy

M = TypeVar("M", bound="Module")


class Parameter(Tensor):
    """A tensor that training changes: it requires gradients, and its module finds it."""

    def __init__(self, data: Tensor | Array, requires_grad: bool = True) -> None:
        array = data._numbers("Parameter") if isinstance(data, Tensor) else np.asarray(data)
        super().__init__(array, requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that belongs to a module's state and is not trained, such as a running mean."""

    def __init__(self, data: Tensor | Array) -> None:
        super().__init__(data._numbers("Buffer") if isinstance(data, Tensor) else np.asarray(data))


class _Calls(threading.local):
    """The shapes that passed through layers since the outermost call began, for error messages."""

    depth = 0

    def __init__(self) -> None:
        self.passed: list[tuple[Module, str]] = []


_calls = _Calls()


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
        if calls.depth == 0:
            calls.passed.clear()
        calls.depth += 1
        try:
            y = self.forward(*args, **kwargs)
        except ChainruleError as error:
            self._add_to_trail(error, args)
            raise
        finally:
            calls.depth -= 1
        if calls.depth:
            calls.passed.append((self, _shape_text(y)))
        return y

    def _add_to_trail(self, error: ChainruleError, args: tuple[Any, ...]) -> None:
        """Name this module in an error on its way out, and at the top the shapes that led to it."""
        if error.trail is None:
            error.trail = LayerTrail(layer=self._describe(), source=self)
        else:
            for name, child in self._children():
                if child is error.trail.source:
                    error.trail.path.insert(0, name)
            error.trail.source = self
        if _calls.depth == 1 and error.trail.path:
            names = {id(module): name for name, module in self.named_modules()}
            steps = [("input", ", ".join(map(_shape_text, args)))]
            steps += [
                (f"{names[id(m)]} {type(m).__name__}", shape)
                for m, shape in _calls.passed
                if id(m) in names
            ]
            error.trail.steps = steps

    def _describe(self) -> str:
        return f"{type(self).__name__} {self.extra_repr()}".strip()

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
        setattr(self, name, None if tensor is None else Buffer(tensor))

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Set a parameter; the same as setting the attribute."""
        setattr(self, name, parameter)

    def add_module(self, name: str, module: Module | None) -> None:
        """Set a part; the same as setting the attribute."""
        setattr(self, name, module)

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

    def _named_tensors(self, kind: type[Tensor], prefix: str, once: bool) -> Iterator[Any]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix):
            for name, value in vars(module).items():
                if isinstance(value, kind) and not (once and id(value) in seen):
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """(path, parameter) in definition order; a shared parameter appears once."""
        return self._named_tensors(Parameter, prefix, once=True)

    def parameters(self) -> Iterator[Parameter]:
        """All parameters, in definition order, each once."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Buffer]]:
        """(path, buffer) in definition order."""
        return self._named_tensors(Buffer, prefix, once=True)

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
        for module in reversed(list(self.modules())):
            function(module)
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
        for tensor in [*self.parameters(), *self.buffers()]:
            if tensor.dtype.kind == "f":
                tensor._data = tensor._numbers("to").astype(target)
                tensor._version += 1
                tensor.grad = None
        return self

    def float(self: M) -> M:
        """Convert to float32."""
        return self.to(np.float32)

    def double(self: M) -> M:
        """Convert to float64."""
        return self.to(np.float64)

    # -- state ---------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """All parameters and buffers by path: a snapshot that later training does not change."""
        kinds = (Parameter, Buffer)
        found = self._named_tensors(kinds, "", once=False)  # type: ignore[arg-type]
        return {path: from_numpy(tensor._numbers("state_dict")) for path, tensor in found}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Assign a state dict. All problems (missing, unexpected, shape, dtype) come in one error,
        and then nothing was changed. With `strict=False`, missing and unexpected keys are ignored.
        """
        kinds = (Parameter, Buffer)
        own: dict[str, Tensor] = dict(self._named_tensors(kinds, "", once=False))  # type: ignore[arg-type]
        given = {name: _as_array(name, value) for name, value in state.items()}
        problems = []
        if strict:
            if missing := [name for name in own if name not in given]:
                problems.append(f"missing: {listing(missing)}")
            if unexpected := [name for name in given if name not in own]:
                problems.append(f"unexpected: {listing(unexpected)}")
        for name in own.keys() & given.keys():
            wanted, found = own[name].spec, given[name]
            if wanted.shape != found.shape:
                problems.append(f"{name} has shape {found.shape}, the model {wanted.shape}")
            elif wanted.dtype != found.dtype:
                problems.append(f"{name} has dtype {found.dtype}, the model {wanted.dtype}")
        if problems:
            raise ArgumentError(
                f"the state does not fit {type(self).__name__}: {'; '.join(sorted(problems))}"
            )
        with use(gradients=False):
            for name in own:
                if name in given:
                    own[name].assign(given[name])

    # -- text ----------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands in the parentheses of the module's text form."""
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


def _as_array(name: str, value: Any) -> Array:
    if isinstance(value, Tensor):
        return value.detach()._numbers("load_state_dict")
    if isinstance(value, np.ndarray):
        return value
    raise DTypeError(
        f"{name} in the state is no tensor", given=type(value).__name__, expected="tensor or array"
    )
