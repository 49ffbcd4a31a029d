"""How guards look a value up, and when it counts as unchanged.

An entry (container, key, value) states what a look-up gave. These are its forms:

- (cell, None, value): the contents of a cell.
- (container, None, n): the length. (dict, set or deque, None, elements): the keys or elements, in
  their order.
- (dict, list or tuple, key, value): an element. For other objects: an attribute.
- (object, descriptor, value): what is in a slot.
- (function, code, (defaults, keyword defaults)): what a function consists of.
- (object, class, [version, attributes]): the class of an object, or the object itself if it is that
  class. The engine compares the version, which changes with any attribute of the class; if it
  differs, `ClassAttributes` decides.

The engine checks entries in engine/cpp/runtime/replay.cpp.
"""

from __future__ import annotations

import io
import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from operator import is_
from threading import Lock, RLock
from types import CellType, CodeType, FunctionType, MemberDescriptorType, MethodType
from typing import Any

import numpy as np

from chainrule import engine

Entry = tuple[Any, Any, Any]
MISSING = object()
"""The value of a missing key or attribute. The engine recognizes it by its type, `object`."""
PLAIN = (bool, int, float, complex, str, bytes, type(None), np.dtype, np.generic, range, slice)
"""Types of values that are compared by value."""

_LOCKS = type(Lock()), type(RLock())
_WRITABLE_CLASS, _IMMUTABLE_CLASS = 1 << 9, 1 << 8
"""Flags of classes: made while the program runs, and of unchangeable attributes."""


def look(container: Any, key: Any) -> Any:
    """The current value of an entry, or MISSING."""
    if isinstance(container, CellType):
        try:
            return container.cell_contents
        except ValueError:
            return MISSING
    if key is None:
        return len(container)
    if isinstance(key, MemberDescriptorType):
        try:
            return key.__get__(container)
        except AttributeError:
            return MISSING
    if isinstance(container, dict):
        return dict.get(container, key, MISSING)
    if isinstance(container, (list, tuple)):
        return container[key] if key < len(container) else MISSING
    return getattr(container, key, MISSING)


def holds(entry: Entry) -> bool:
    """Whether an entry is still true."""
    container, key, value = entry
    if isinstance(key, CodeType) and isinstance(container, FunctionType):
        parts = container.__defaults__, container.__kwdefaults__
        return container.__code__ is key and all(map(is_, parts, value))
    if isinstance(key, type) and value.__class__ is list:
        return (container is key or type(container) is key) and _is_as_before(value)
    if key is None and isinstance(value, tuple) and not isinstance(container, CellType):
        return len(container) == len(value) and all(map(_same_element, container, value))
    now = look(container, key)
    return now is value or equal(now, value)


def joined(entries: Iterable[Entry]) -> Iterator[tuple[Any, ...]]:
    """The entries as the engine checks them, of four parts each: (container, key, value, None).
    Those of the keys and the elements of a dict are one, (dict, None, keys, values). A key without
    a value has the tuple of keys in place of it."""
    elements: dict[int, dict[Any, Entry]] = {}
    entries = list(entries)
    for entry in entries:
        container, key, _ = entry
        if isinstance(container, dict) and key is not None:
            elements.setdefault(id(container), {})[key] = entry
    for container, key, value in entries:
        if isinstance(container, dict) and key is None and isinstance(value, tuple):
            own = elements.get(id(container), {})
            found = [own.pop(k)[2] if k in own else value for k in value]
            yield container, None, value, tuple(found)
        elif not isinstance(container, dict) or key is None:
            yield container, key, value, None
    for others in elements.values():
        yield from ((*entry, None) for entry in others.values())


def _same_element(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and isinstance(a, PLAIN) and bool(a == b))


def _is_as_before(versions: list[Any]) -> bool:
    """Whether the attributes of a class are unchanged. If so, the engine gets its version."""
    attributes = versions[1]
    if not attributes.unchanged():
        return False
    versions[0] = engine.class_version(attributes.cls)
    return True


def equal(now: Any, value: Any) -> bool:
    """Whether two objects are equal plain values, or the same method. NaN equals NaN."""
    if isinstance(now, MethodType) and isinstance(value, MethodType):
        return now.__func__ is value.__func__ and now.__self__ is value.__self__
    if type(now) is not type(value) or not isinstance(value, PLAIN):
        return False
    if isinstance(now, float) and isinstance(value, float):
        return now.hex() == value.hex()
    return bool(now == value) or (now != now and value != value)


class ClassAttributes:
    """The attributes of a class and of its bases. Code reads those that `reads` accepts."""

    def __init__(self, cls: type, reads: Callable[[str], bool]) -> None:
        self.cls, self._reads = cls, reads
        self._before = [(base, dict(vars(base))) for base in cls.__mro__ if can_change(base)]

    def unchanged(self) -> bool:
        """Whether the attributes that code reads are unchanged."""
        return all(self._is_unchanged(vars(base), before) for base, before in self._before)

    def _is_unchanged(self, now: Any, before: dict[str, Any]) -> bool:
        if now.keys() == before.keys() and all(map(is_, now.values(), before.values())):
            return True
        for key in filter(self._reads, now.keys() | before.keys()):
            value, then = now.get(key, MISSING), before.get(key, MISSING)
            if value is not then and not equal(value, then):
                return False
        return True


def can_change(cls: type) -> bool:
    """Whether attributes of a class can be set."""
    return bool(cls.__flags__ & _WRITABLE_CLASS) and not cls.__flags__ & _IMMUTABLE_CLASS


def attributes_of(value: Any) -> dict[str, Any]:
    """The `__dict__` of an object, empty if it has none."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, dict) else {}


@lru_cache(maxsize=4096)
def has_hidden_state(cls: type) -> bool:
    """Whether objects of a class have state that attributes do not show: that of classes in C.

    They are larger than what is known of them: their slots, `__dict__` and `__weakref__`.
    """
    for base in cls.__mro__[:-1]:
        known = sum(
            isinstance(x, MemberDescriptorType) or key in ("__dict__", "__weakref__")
            for key, x in vars(base).items()
        )
        own = base.__basicsize__ - (base.__base__ or object).__basicsize__
        if own > 8 * known or base.__itemsize__:
            return True
    return False


def is_stateless(value: Any) -> bool:
    """Whether an object has no state that could affect results: a lock, or a file to write to."""
    if isinstance(value, io.IOBase):
        return value.closed or not value.readable()
    return isinstance(value, _LOCKS)


def hidden_state(value: Any) -> Any:
    """The state of an object of a class in C: what a copy of it would be made of.

    Raises TypeError if that is not known.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # copies of iterators are deprecated
            reduced = value.__reduce_ex__(4)
    except Exception as error:  # a class may refuse copies by any
        if isinstance(value, Iterator) or not isinstance(value, Iterable):
            raise TypeError(f"{type(value).__name__} has no state that is known") from error
        return tuple(value.items() if isinstance(value, Mapping) else value)
    if isinstance(reduced, str):
        return reduced
    return tuple([tuple(x) if isinstance(x, Iterator) else x for x in reduced])


def cache_state(function: Any) -> Any:
    """The state of a function with a cache (`functools.lru_cache`), without the number of hits."""
    return tuple(function.cache_info())[1:]


def alike(now: Any, value: Any) -> bool:
    """Whether two states consist of the same objects and equal plain values."""
    if now is value or equal(now, value):
        return True
    if type(now) is not type(value) or not isinstance(value, (tuple, list, dict)):
        return False
    if isinstance(value, dict):
        return alike([*now.items()], [*value.items()])
    return len(now) == len(value) and all(map(alike, now, value))


def slots_of(cls: type, reads: Callable[[str], bool]) -> dict[str, MemberDescriptorType]:
    """The slots of a class that `reads` accepts, and those that a class in C reads itself."""
    return {key: slot for key, slot, in_c in _slots(cls) if in_c or reads(key)}


@lru_cache(maxsize=4096)
def _slots(cls: type) -> list[tuple[str, MemberDescriptorType, bool]]:
    """The name of each slot of a class, the slot, and whether the class that has it is one in C."""
    return [
        (key, item, not can_change(base))
        for base in cls.__mro__
        for key, item in vars(base).items()
        if isinstance(item, MemberDescriptorType)
    ]


def random_state(generator: Any) -> str:
    """The state of a generator of random numbers of Python's or NumPy's.

    Raises NotImplementedError if it has none: `random.SystemRandom`.
    """
    if isinstance(generator, np.random.Generator):
        return repr(generator.bit_generator.state)
    is_python = isinstance(generator, random.Random)
    return repr(generator.getstate() if is_python else generator.get_state())
