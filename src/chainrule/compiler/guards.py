"""Guards: what a capture took for granted, and a quick look whether it still holds.

A capture freezes the Python values that the function reads: a module's `training`, a dropout's
`p`, a number in a closure or a global. Which these are is found once, by reading the code that the
function can reach: the names it looks up, the objects it finds there, and in turn their methods.
Each value is remembered with its container and key; checking is a loop of identity comparisons.
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Callable
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from chainrule.nn.module import Module
from chainrule.primitive import Primitive
from chainrule.tensor import Tensor

_MISSING = object()
"""Stands for nothing there; the engine knows it by its bare type."""
_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.dtype, np.generic)
_OPAQUE = (*_PLAIN, ModuleType, Tensor, Primitive, np.ndarray, type, CodeType)
_LIBRARIES = {*sys.stdlib_module_names, "chainrule", "numpy"}
_IMPLICIT = {"__call__", "__iter__", "__len__", "__getitem__", "__enter__", "__exit__", "forward"}

Entry = tuple[Any, Any, Any]
"""(container, key, value): `container[key]` was `value`; of a cell, its contents. The key None
stands for the length."""


class Guards:
    """The Python values that a function reads, as they were when this was made."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.entries: list[Entry] = []
        self._labels: list[str] = []
        self._names: set[str] = set()
        self._seen: dict[int, Any] = {}
        self._objects: list[tuple[Any, str]] = []
        self._followed: set[tuple[int, str]] = set()
        self._visit(function, getattr(function, "__name__", type(function).__name__))
        while self._follow_objects():
            pass

    def broken(self) -> str | None:
        """The name of the first value that is another one now, or None when all hold."""
        for i, (container, key, value) in enumerate(self.entries):
            now = _look(container, key)
            if now is not value and not _equal(now, value):
                return self._labels[i]
        return None

    def _guard(self, container: Any, key: Any, name: str) -> None:
        self._visit(self._note(container, key, name), name)

    def _note(self, container: Any, key: Any, name: str) -> Any:
        value = _look(container, key)
        self.entries.append((container, key, value))
        self._labels.append(name)
        return value

    def _visit(self, value: Any, name: str) -> None:
        """Note what a value leads to: code that is read, or elements and attributes."""
        if id(value) in self._seen or isinstance(value, _OPAQUE):
            return
        self._seen[id(value)] = value
        if isinstance(value, MethodType):
            self._visit(value.__func__, name)
            self._visit(value.__self__, name.rpartition(".")[0] or "self")
        elif isinstance(value, FunctionType):
            self._visit_function(value)
        elif isinstance(value, (dict, list, tuple)):
            keys = value.keys() if isinstance(value, dict) else range(len(value))
            self._note(value, None, f"the length of {name}")
            for key in list(keys):
                self._guard(value, key, f"{name}[{key!r}]")
        else:
            self._objects.append((value, name))

    def _visit_function(self, function: FunctionType) -> None:
        self._visit(inspect.unwrap(function), function.__name__)
        names, attributes = _read_names(function.__code__)
        self._names |= attributes
        cells = function.__closure__ or ()
        for key, cell in zip(function.__code__.co_freevars, cells, strict=True):
            self._guard(cell, None, key)
        if function.__module__ and function.__module__.partition(".")[0] in _LIBRARIES:
            return  # a library's globals stay what they are
        for key in sorted(names & function.__globals__.keys()):
            self._guard(function.__globals__, key, key)
        for position in range(len(function.__defaults__ or ())):
            self._guard(function.__defaults__, position, f"{function.__name__}'s defaults")

    def _follow_objects(self) -> bool:
        """Go on from the objects found to the methods and attributes whose names are read."""
        before = len(self._followed)
        for value, name in list(self._objects):
            for key, target in _methods(type(value)).items():
                if (key in self._names or key in _IMPLICIT) and self._is_new(value, key):
                    self._visit(target, f"{name}.{key}")
            attributes = getattr(value, "__dict__", {})
            for key, item in list(attributes.items()):
                read = key in self._names or isinstance(item, Module)
                if read and self._is_new(value, f".{key}"):
                    self._guard(attributes, key, f"{name}.{key}")
            if isinstance(value, Module) and self._is_new(value, ".training"):
                attributes.setdefault("training", value.training)  # as after a call of train()
                attributes.setdefault("_hooks", {})  # as after a hook was removed
                self._guard(attributes, "training", f"{name}.training")
                self._guard(attributes, "_hooks", f"the hooks of {name}")
        return len(self._followed) > before

    def _is_new(self, value: Any, key: str) -> bool:
        new = (id(value), key) not in self._followed
        self._followed.add((id(value), key))
        return new


def _methods(cls: type) -> dict[str, Any]:
    """The functions of a class and its bases, those of properties too."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__[:-1]):
        for key, value in vars(base).items():
            target = value.fget if isinstance(value, property) else value
            if isinstance(target, FunctionType):
                found[key] = target
    return found


def _read_names(code: CodeType) -> tuple[set[str], set[str]]:
    """The globals that code, and code defined in it, looks up; and its attributes and keys."""
    names: set[str] = set()
    attributes = {constant for constant in code.co_consts if isinstance(constant, str)}
    for instruction in dis.get_instructions(code):
        if "GLOBAL" in instruction.opname or instruction.opname == "LOAD_NAME":
            names.add(instruction.argval)
        elif "ATTR" in instruction.opname or "METHOD" in instruction.opname:
            attributes.add(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner_names, inner_attributes = _read_names(constant)
            names |= inner_names
            attributes |= inner_attributes
    return names, attributes


def _look(container: Any, key: Any) -> Any:
    kind = container.__class__
    if kind is CellType:
        try:
            return container.cell_contents
        except ValueError:
            return _MISSING
    if key is None:
        return len(container)
    if kind is dict:
        return container.get(key, _MISSING)
    if isinstance(container, (list, tuple)):
        return container[key] if key < len(container) else _MISSING
    try:
        return container[key]
    except LookupError:
        return _MISSING


def _equal(now: Any, value: Any) -> bool:
    """Whether two different objects are the same plain value; NaN is the same as NaN."""
    if isinstance(now, MethodType) and isinstance(value, MethodType):
        return now.__func__ is value.__func__ and now.__self__ is value.__self__
    if type(now) is not type(value) or not isinstance(value, _PLAIN):
        return False
    return bool(now == value) or (now != now and value != value)
