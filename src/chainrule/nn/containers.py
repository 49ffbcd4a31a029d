"""Modules that contain modules or parameters, with the interface of a list or a dict.

The elements are parts, named by their position or key. Methods of lists and dicts that are not
defined here come from `MutableSequence` and `MutableMapping`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from itertools import count, groupby
from typing import Any, ClassVar, TypeVar

from chainrule.errors import ArgumentError, OutOfRangeError
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.nn.parts import Kind
from chainrule.tensor import Tensor

P = TypeVar("P", Module, Parameter)
C = TypeVar("C", bound="_Container")


class _Container(Module):
    """Base class of containers. The elements are all parts of one kind."""

    kind: ClassVar[Kind] = "module"
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def _entries(self) -> list[tuple[str, Any]]:
        return [*self._named(self.kind)]

    def _put(self, name: str, value: Any) -> None:
        if self.kind == "parameter" and type(value) is Tensor:
            value = Parameter(value)
        self._register(name, self.kind, value)

    def _like(self: C, elements: Any) -> C:
        """A new container of this type with these elements."""
        make: Callable[..., C] = type(self)
        return make(elements)

    def __len__(self) -> int:
        return len(self._entries())


class _List(_Container, MutableSequence[P]):
    """Elements in order, named 0, 1, ..."""

    def _name_at(self, index: int) -> str:
        names = [name for name, _ in self._entries()]
        if not -len(names) <= index < len(names):
            raise OutOfRangeError(f"position {index} of a {type(self).__name__} of {len(names)}")
        return names[index]

    def _renew(self, elements: list[Any]) -> None:
        """Replace all elements by these, named 0, 1, ..."""
        for name, _ in self._entries():
            delattr(self, name)
        self.extend(elements)

    def append(self, value: Any) -> Any:
        """Append an element, and return the container."""
        numbers = map(str, count(len(self)))
        self._put(next(n for n in numbers if n not in self._kinds), value)
        return self

    def extend(self, values: Iterable[Any]) -> Any:
        """Append several elements, and return the container."""
        for value in [*values]:
            self.append(value)
        return self

    def insert(self, index: int, value: Any) -> Any:
        """Insert an element before a position, and return the container."""
        elements = [*self]
        elements.insert(index, value)
        self._renew(elements)
        return self

    def __iter__(self) -> Iterator[P]:
        return iter([element for _, element in self._entries()])

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self._like([*self][index])
        return getattr(self, self._name_at(index))

    def __setitem__(self, index: int | slice, value: Any) -> None:
        if isinstance(index, slice):
            elements = [*self]
            elements[index] = value
            self._renew(elements)
        else:
            self._put(self._name_at(index), value)

    def __delitem__(self, index: int | slice) -> None:
        if isinstance(index, slice):
            gone = [name for name, _ in self._entries()[index]]
        else:
            gone = [self._name_at(index)]
        for name in gone:
            delattr(self, name)
        self._renew([*self])

    def __add__(self: C, other: Iterable[Any]) -> C:
        return self._like([*self, *other])

    def __iadd__(self, other: Iterable[Any]) -> Any:
        return self.extend(other)


class Sequential(_List[Module]):
    """y = fₙ(... f₂(f₁(x))): the modules applied one after the other.

    Takes modules, or a dict of named modules. Indexing returns a module; slicing returns a
    Sequential that shares the modules and keeps their names. `a + b` concatenates two, and `a * n`
    repeats the same modules n times.

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
        for module in self:
            input = module(input)
        return input

    def _like(self: C, elements: Iterable[Any]) -> C:
        return type(self)(*elements)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(dict(self._entries()[index]))
        return super().__getitem__(index)

    def __mul__(self, times: int) -> Sequential:
        if not isinstance(times, int) or times < 1:
            raise ArgumentError("a Sequential is repeated a positive number of times", given=times)
        return self._like([*self] * times)

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Sequential:
        return self.extend([*(self * times)][len(self) :])


class ModuleList(_List[Module]):
    """A list of modules, whose parameters are found by training. It has no `forward`.

    >>> from chainrule import nn
    >>> layers = ModuleList([nn.Linear(2, 2) for _ in range(3)])
    >>> len(layers), len(list(layers.parameters()))
    (3, 6)
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules or ())

    def _labelled(self) -> list[tuple[str, Module]]:
        """Adjacent modules with the same text form share one entry: `(0-2): 3 x ReLU()`."""
        labels, start = [], 0
        for _, group in groupby(self, key=repr):
            same, end = [*group], start
            start += len(same)
            label = f"({end}-{start - 1}): {len(same)} x " if len(same) > 1 else f"({end}): "
            labels.append((label, same[0]))
        return labels


class ParameterList(_List[Parameter]):
    """A list of parameters, which are found by training. Tensors are converted to parameters.

    >>> import chainrule as cr
    >>> from chainrule import nn
    >>> weights = ParameterList([nn.Parameter(cr.zeros(2)), cr.ones(2)])
    >>> [name for name, _ in weights.named_parameters()], weights[-1].tolist()
    (['0', '1'], [1.0, 1.0])
    """

    kind = "parameter"

    def __init__(self, values: Iterable[Any] = ()) -> None:
        self.extend(values or ())


class _Dict(_Container, MutableMapping[str, P]):
    """Elements by name, in the order of insertion."""

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._entries()])

    def __getitem__(self, key: str) -> Any:
        return dict(self._entries())[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._put(key, value)

    def __delitem__(self, key: str) -> None:
        self[key]
        delattr(self, key)

    def __reversed__(self) -> Iterator[str]:
        return reversed([*self])

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The element of a key, after setting it to the default if there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def popitem(self) -> tuple[str, Any]:
        """Remove the last element, and return its key and itself."""
        if not self:
            raise KeyError(f"a {type(self).__name__} without elements")
        key = [*self][-1]
        return key, self.pop(key)

    def copy(self: C) -> C:
        """A new container with the same elements."""
        return self._like(dict(self))

    def __or__(self: C, other: Mapping[str, Any]) -> C:
        return self._like({**self, **other})

    def __ior__(self: C, other: Mapping[str, Any]) -> C:
        self.update(other)
        return self


class ModuleDict(_Dict[Module]):
    """A dict of modules, whose parameters are found by training. It has no `forward`.

    >>> from chainrule import nn
    >>> heads = ModuleDict({"digit": nn.Linear(8, 10), "parity": nn.Linear(8, 2)})
    >>> list(heads), "digit" in heads, heads["parity"].out_features
    (['digit', 'parity'], True, 2)
    """

    def __init__(self, modules: Any = None) -> None:
        self.update(modules or {})


class ParameterDict(_Dict[Parameter]):
    """A dict of parameters, which are found by training. Tensors are converted to parameters.

    >>> import chainrule as cr
    >>> scales = ParameterDict({"left": cr.ones(2), "right": cr.zeros(1)})
    >>> [name for name, _ in scales.named_parameters()], scales.pop("right").tolist()
    (['left', 'right'], [0.0])
    """

    kind = "parameter"

    def __init__(self, parameters: Any = None) -> None:
        self.update(parameters or {})

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A new dict with a default for each key."""
        return ParameterDict({key: default for key in keys})
