"""The parts of a module: its parameters, buffers and submodules.

A part is an ordinary attribute. The module also records the kind of each name. So a buffer remains
a buffer when another tensor is set, and a bias that was set to None can be set again. Parameters
and modules inside lists or other objects are refused, since training would not find them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from gc import is_tracked
from itertools import takewhile
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Literal, NoReturn, TypeVar

from chainrule.errors import ArgumentError, DTypeError, UnknownNameError, listing
from chainrule.interpreters import top
from chainrule.nn.hooks import EVERYWHERE, Hooked
from chainrule.nn.parameter import Buffer, Parameter
from chainrule.nn.reachable import OPAQUE, reachable
from chainrule.tensor import Tensor

M = TypeVar("M", bound="Parts[Any]")
C = TypeVar("C", bound="Parts[Any]")
Kind = Literal["parameter", "buffer", "module"]


class Parts(Hooked, Generic[M]):
    """Sets and finds the parts of a module of type M."""

    _kinds: Mapping[str, Kind] = MappingProxyType({})
    """The kind of each part, by name, in the order of registration."""
    _transient: frozenset[str] = frozenset()
    """The names of buffers that are not part of state dicts."""
    _computed: Mapping[str, Any] = MappingProxyType({})
    """The attributes that are computed when they are read, by name; see computed.py."""
    _apart: ClassVar[tuple[str, ...]] = ("_kinds", "_hooks")
    """The attributes that a shallow copy of a module copies, too."""

    # -- setting -------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._computed:
            self._computed[name].assign(self, name, value)
            return
        kind, declared = _kind_of(value), self._kinds.get(name)
        if EVERYWHERE._hooks and (known := kind or declared):
            value = self._announced(name, known, value)
        if kind is not None:
            self._declare(name, kind, getattr(value, "persistent", True))
        elif declared and not (
            value is None or (declared == "buffer" and isinstance(value, Tensor))
        ):
            self._refuse_value(name, declared, value)
        if isinstance(value, Tensor) and isinstance(old := vars(self).get(name), Tensor):
            top().replace(vars(self), name, old)
        object.__setattr__(self, name, value)

    def __copy__(self: C) -> C:
        """A shallow copy: a module with the same parts and its own attributes."""
        twin = type(self).__new__(type(self))
        notes = {name: dict(vars(self)[name]) for name in self._apart if name in vars(self)}
        vars(twin).update(vars(self) | notes)
        return twin

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        if name in self._kinds:
            del vars(self)["_kinds"][name]

    def _announced(self, name: str, kind: Kind, value: Any) -> Any:
        """The value to set as a part, after the hooks of all modules for that."""
        for hook in EVERYWHERE._hooks_of(kind) if value is not None else ():
            changed = hook.function(self, name, value)
            value = value if changed is None else changed
        return value

    def _declare(self, name: str, kind: Kind, persistent: bool = True) -> None:
        kinds = vars(self).setdefault("_kinds", {})
        if kinds.get(name) != kind:
            kinds.pop(name, None)
            kinds[name] = kind
        if (name in self._transient) == persistent:
            vars(self)["_transient"] = self._transient ^ {name}

    def _refuse_value(self, name: str, kind: Kind, value: Any) -> NoReturn:
        raise DTypeError(
            f"{type(self).__name__}.{name} is a {kind}",
            given=type(value).__name__,
            expected=f"{_EXPECTED[kind]}, or None",
            instead=f"Write {name}.assign(value), or set a new Parameter."
            if kind == "parameter" and isinstance(value, Tensor)
            else f"Delete it first (del module.{name}) to use the name for something else.",
        )

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Set a buffer: a tensor that is saved with the model and not trained.

        With `persistent=False` it is not saved, but still converted with the model. Raises
        ArgumentError for a name that is not valid or taken, DTypeError for other values.
        """
        self._register(name, "buffer", tensor, persistent)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Set a parameter, as setting the attribute does. None reserves the name for one."""
        self._register(name, "parameter", param)

    def add_module(self, name: str, module: M | None) -> None:
        """Set a submodule, as setting the attribute does. None reserves the name for one."""
        self._register(name, "module", module)

    def _register(self, name: str, kind: Kind, value: Any, persistent: bool = True) -> None:
        is_name = isinstance(name, str) and name and "." not in name
        if not is_name or (hasattr(self, name) and self._kinds.get(name) != kind):
            raise ArgumentError(
                f"{name!r} cannot name a {kind} of {type(self).__name__}",
                expected="a text without dots that is no attribute",
            )
        if not (value is None or isinstance(value, _TYPES[kind])):
            raise DTypeError(
                f"{type(self).__name__}.{name} would be no {kind}",
                given=type(value).__name__,
                expected=f"{_EXPECTED[kind]}, or None",
                instead="Pass an instance, such as nn.ReLU()." if isinstance(value, type) else None,
            )
        if EVERYWHERE._hooks:
            value = self._announced(name, kind, value)
        self._declare(name, kind, persistent)
        object.__setattr__(self, name, value)

    # -- finding -------------------------------------------------------------------------------

    def _named(self, kind: Kind) -> Iterator[tuple[str, Any]]:
        """(name, part) for the parts of one kind that are not None, in order of registration."""
        attributes = vars(self)
        for name, found in [*self._kinds.items()]:
            if found == kind and (value := attributes.get(name)) is not None:
                yield name, value

    def _walk(self, prefix: str = "", unique: bool = True) -> Iterator[tuple[str, M]]:
        """(path, module) for this module and all submodules, outermost first."""
        seen: set[int] = set()
        waiting: list[tuple[str, Any]] = [(prefix, self)]
        while waiting:
            path, module = waiting.pop()
            if unique and id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            below = [(f"{path}.{n}" if path else n, part) for n, part in module._named("module")]
            waiting.extend(reversed(below))

    def _named_tensors(
        self, kind: Kind, prefix: str, recurse: bool, unique: bool
    ) -> Iterator[tuple[str, Any]]:
        if recurse:
            self._refuse_hidden()
        seen: set[int] = set()
        for path, module in self._walk(prefix, unique) if recurse else [(prefix, self)]:
            for name, value in module._named(kind):
                if not (unique and id(value) in seen):
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def named_children(self) -> Iterator[tuple[str, M]]:
        """(name, module) for the direct submodules, each once."""
        seen: set[Any] = set()
        for name, child in self._named("module"):
            if child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[M]:
        """The direct submodules, each once."""
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, M]]:
        """(path, module) for this module and all submodules, outermost first, each once.

        `memo` contains modules to leave out; those found are added to it.
        """
        self._refuse_hidden()
        memo = set() if memo is None else memo
        for path, module in self._walk(prefix, remove_duplicate):
            if not remove_duplicate or module not in memo:
                memo.add(module)
                yield path, module

    def modules(self) -> Iterator[M]:
        """This module and all submodules, each once."""
        return (module for _, module in self.named_modules())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(path, parameter) in the order of definition. A shared parameter appears once.

        Raises DTypeError for a trainable parameter that is hidden in a list or another object.
        """
        return self._named_tensors("parameter", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, in the order of definition, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """(path, buffer) in the order of definition. A shared buffer appears once."""
        return self._named_tensors("buffer", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, in the order of definition, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    # -- by path -------------------------------------------------------------------------------

    def get_submodule(self, target: str) -> M:
        """The module at a path such as `encoder.layers.0`; the empty path is this module.

        Raises UnknownNameError if there is none.
        """
        module: Any = self
        for name in target.split(".") if target else []:
            module = module._part(name, "module", target)
        return module

    def set_submodule(self, target: str, module: M, strict: bool = False) -> None:
        """Set the module at a path; with `strict`, replace the one that is there.

        Raises UnknownNameError if there is no module above it, or with `strict` at the path.
        """
        parent, _, name = target.rpartition(".")
        if strict:
            self.get_submodule(target)
        self.get_submodule(parent).add_module(name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as `encoder.weight`. Raises UnknownNameError."""
        return self._at(target, "parameter")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path such as `norm.running_mean`. Raises UnknownNameError."""
        return self._at(target, "buffer")

    def _at(self, target: str, kind: Kind) -> Any:
        path, _, name = target.rpartition(".")
        return self.get_submodule(path)._part(name, kind, target)

    def _part(self, name: str, kind: Kind, target: str) -> Any:
        found = dict(self._named(kind))
        if name not in found:
            raise UnknownNameError(
                f"{type(self).__name__} has no {kind} {name!r}",
                given=f"path {target!r}",
                expected=f"one of {listing([*found])}" if found else None,
            )
        return found[name]

    # -- what attributes hide ------------------------------------------------------------------

    def _refuse_hidden(self) -> None:
        """Raise DTypeError for modules and parameters that attributes refer to and that are not
        parts. Frozen ones are allowed, and so is a module that contains this one."""
        for path, module in self._walk():
            for name, value in module._other_attributes():
                for found, inside in reachable(value, _is_part):
                    if isinstance(found, (Parts, Parameter)) and self._misses(found, inside):
                        _refuse_hidden(f"{path}.{name}" if path else name, value, found)

    def _own_parameters(self) -> Iterator[Any]:
        return (parameter for _, parameter in self._named("parameter"))

    def _other_attributes(self) -> Iterator[tuple[str, Any]]:
        """(name, value) of attributes that are not parts, of the instance and of user classes."""
        kinds = self._kinds
        classes = takewhile(lambda cls: not cls.__module__.startswith(_PACKAGE), type(self).__mro__)
        for attributes in (vars(self), *map(vars, classes)):
            for name, value in [*attributes.items()]:
                is_other = is_tracked(value) and name not in kinds and name not in _NOTES
                if is_other and not isinstance(value, OPAQUE):
                    yield name, value

    def _misses(self, found: Any, inside: bool) -> bool:
        """Whether an object that attributes refer to should be a part and is not.

        `inside`: whether it is found through an attribute of another object.
        """
        known = {id(x) for _, module in self._walk() for x in (module, *module._own_parameters())}
        if id(found) in known:
            return False
        if isinstance(found, Parameter):
            return found.requires_grad
        if any(module is self for _, module in found._walk()):
            return False
        parameters = [p for _, module in found._walk() for p in module._own_parameters()]
        if parameters:
            return any(p.requires_grad and id(p) not in known for p in parameters)
        stateful = any(any(m._named("buffer")) or m._reads_mode() for _, m in found._walk())
        return stateful and not inside

    def _reads_mode(self) -> bool:
        """Whether this module alone computes something else in training and in evaluation."""
        raise NotImplementedError


_NOTES = {"_kinds", "_transient", "_hooks", "_computed"}
_PACKAGE = __name__.partition(".")[0] + "."
_TYPES: dict[Kind, type[Any]] = {"parameter": Parameter, "buffer": Tensor, "module": Parts}
_EXPECTED = {"parameter": "nn.Parameter", "buffer": "a tensor", "module": "a module"}


def _kind_of(value: Any) -> Kind | None:
    """The kind of part that a value becomes when it is set as an attribute, or None."""
    if isinstance(value, Parts):
        return "module"
    if isinstance(value, Parameter):
        return "parameter"
    return "buffer" if isinstance(value, Buffer) else None


def _is_part(value: Any) -> bool:
    return isinstance(value, (Parts, Tensor))


def _refuse_hidden(path: str, value: Any, found: Any) -> NoReturn:
    """Raise the error for a module or parameter that is hidden in an attribute."""
    prefix = "Parameter" if isinstance(found, Parameter) else "Module"
    if found is value:
        fix = f"Set it in __init__: self.{path} = ..."
    elif isinstance(value, Mapping):
        fix = f"Use nn.{prefix}Dict(...)."
    elif hasattr(value, "__dict__"):
        fix = f"Let {type(value).__name__} derive from nn.Module."
    else:
        fix = f"Use nn.{prefix}List(...)."
    raise DTypeError(
        f"{path} holds a {type(found).__name__} in a {type(value).__name__}, where training does "
        "not find it",
        instead=f"{fix} What is frozen with requires_grad_(False) may stay.",
    )
