"""Modules made of modules. Their parts are attributes named by position, or by key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chainrule.errors import DTypeError, OutOfRangeError
from chainrule.nn.module import Module, Parameter


def _parts(module: Module, kind: type[Any] = Module) -> list[tuple[str, Any]]:
    """(name, part) in definition order."""
    return [(name, value) for name, value in vars(module).items() if isinstance(value, kind)]


def _name_at(module: Module, position: int, kind: type[Any] = Module) -> str:
    names = [name for name, _ in _parts(module, kind)]
    if not -len(names) <= position < len(names):
        raise OutOfRangeError(
            f"position {position} of a {type(module).__name__} of {len(names)}"
        )
    return names[position]


def _set_all(module: Module, values: Iterable[Any], kind: type[Any] = Module) -> None:
    """Replace all parts by these, named 0, 1, ..."""
    for name, _ in _parts(module, kind):
        delattr(module, name)
    for i, value in enumerate(values):
        setattr(module, str(i), value)


class Sequential(Module):
    """The layers one after another: y = fₙ(... f₂(f₁(x))).

    Takes modules, or an OrderedDict of named ones. Indexing gives a layer, slicing a Sequential
    that shares its layers.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> model = Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> model(cr.zeros(5, 4)).shape, len(model), model[:2][0] is model[0]
    ((5, 2), 3, True)
    """

    def __init__(self, *args: Any) -> None:
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            self.extend(args)

    def forward(self, input: Any) -> Any:
        for layer in list(vars(self).values()):
            if isinstance(layer, Module):
                input = layer(input)
        return input

    def append(self, module: Module) -> Sequential:
        """Put a layer at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Sequential:
        """Put layers at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Sequential:
        """Put a layer at a position."""
        layers = [*self]
        layers.insert(index, module)
        _set_all(self, layers)
        return self

    def __len__(self) -> int:
        return len(_parts(self))

    def __iter__(self) -> Iterator[Module]:
        return iter([module for _, module in _parts(self)])

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(dict(_parts(self)[index]))
        return getattr(self, _name_at(self, index))

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(_name_at(self, index), module)

    def __delitem__(self, index: int) -> None:
        delattr(self, _name_at(self, index))
        _set_all(self, [*self])


class ModuleList(Module):
    """A list of modules that training finds. It has no forward.

    >>> from chainrule import nn
    >>> layers = ModuleList([nn.Linear(2, 2) for _ in range(3)])
    >>> len(layers), len(list(layers.parameters()))
    (3, 6)
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)

    def append(self, module: Module) -> ModuleList:
        """Put a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Put modules at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Put a module at a position."""
        modules = [*self]
        modules.insert(index, module)
        _set_all(self, modules)

    def __len__(self) -> int:
        return len(_parts(self))

    def __iter__(self) -> Iterator[Module]:
        return iter([module for _, module in _parts(self)])

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)([module for _, module in _parts(self)[index]])
        return getattr(self, _name_at(self, index))

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(_name_at(self, index), module)

    def __delitem__(self, index: int) -> None:
        delattr(self, _name_at(self, index))
        _set_all(self, [*self])


class ModuleDict(Module):
    """A dict of modules that training finds. It has no forward.

    >>> from chainrule import nn
    >>> heads = ModuleDict({"digit": nn.Linear(8, 10), "parity": nn.Linear(8, 2)})
    >>> list(heads), "digit" in heads, heads["parity"].out_features
    (['digit', 'parity'], True, 2)
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module]) -> None:
        """Set several modules."""
        for name, module in modules.items():
            self[name] = module

    def keys(self) -> list[str]:
        """The names, in definition order."""
        return [name for name, _ in _parts(self)]

    def values(self) -> list[Module]:
        """The modules, in definition order."""
        return [module for _, module in _parts(self)]

    def items(self) -> list[tuple[str, Module]]:
        """(name, module), in definition order."""
        return _parts(self)

    def __len__(self) -> int:
        return len(_parts(self))

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, name: str) -> bool:
        return isinstance(vars(self).get(name), Module)

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(name)
        return vars(self)[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        self[name]
        delattr(self, name)


class ParameterList(Module):
    """A list of parameters that training finds. It has no forward.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> weights = ParameterList([nn.Parameter(cr.zeros(2)), nn.Parameter(cr.ones(2))])
    >>> [name for name, _ in weights.named_parameters()], weights[-1].tolist()
    (['0', '1'], [1.0, 1.0])
    """

    def __init__(self, parameters: Iterable[Parameter] = ()) -> None:
        for parameter in parameters:
            self.append(parameter)

    def append(self, parameter: Parameter) -> ParameterList:
        """Put a parameter at the end."""
        if not isinstance(parameter, Parameter):
            raise DTypeError(
                "a ParameterList holds parameters", given=type(parameter).__name__,
                instead="Use nn.Parameter(x).",
            )  # fmt: skip
        self.register_parameter(str(len(self)), parameter)
        return self

    def __len__(self) -> int:
        return len(_parts(self, Parameter))

    def __iter__(self) -> Iterator[Parameter]:
        return iter([parameter for _, parameter in _parts(self, Parameter)])

    def __getitem__(self, index: int) -> Parameter:
        parameter: Parameter = getattr(self, _name_at(self, index, Parameter))
        return parameter
