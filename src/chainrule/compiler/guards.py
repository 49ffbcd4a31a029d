"""Guards: the Python values that a captured function has read, and checks that they are unchanged.

A captured program contains the Python values that the function has read: a module's `training`, a
dropout's `p`, a number in a closure, a global or a class. The code that ran determines which values
these may be: the names that it looks up, on all objects that it can reach. Those are its globals,
closures, defaults and arguments, and in turn their attributes and elements. Each value is stored
with its container and key. Values that cannot be checked, such as large arrays, are refused.

Most guards are entries (container, key, value), which the engine checks at each call. The others
are functions that return whether something is unchanged.
"""

from __future__ import annotations

import functools
import random
import sys
from collections import deque
from collections.abc import Callable, Iterable
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from chainrule.compiler.executed import Executed, is_library, is_library_file, names_of
from chainrule.errors import CaptureError
from chainrule.nn.hooks import EVERYWHERE
from chainrule.nn.module import Module
from chainrule.primitive import Primitive
from chainrule.tensor import Tensor

_MISSING = object()
"""The value of a missing key or attribute. The engine recognizes it by its type, `object`."""
_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.dtype, np.generic, range, slice)
_OPAQUE = (*_PLAIN, Tensor, Primitive, CodeType)
_LARGEST_ARRAY, _LARGEST_CONTAINER = 2**16, 2**14
"""The largest array (in bytes) and container (in elements) that may be compared at each call."""


class Unguarded:
    """Base class of wrappers of functions whose own attributes are not guarded."""


Entry = tuple[Any, Any, Any]
"""(container, key, value): `container[key]` was `value`. For a cell it is the contents, for other
objects an attribute. The key None means the length."""


class Guards:
    """The current Python values that a captured function may have read.

    function: the function. executed: the code that ran in the capture.

    Raises CaptureError for a value that cannot be guarded.
    """

    def __init__(self, function: Callable[..., Any], executed: Executed) -> None:
        self.entries: list[Entry] = []
        self.checks: list[Callable[[], bool]] = []
        self._labels: list[str] = []
        self._check_labels: list[str] = []
        self._names = executed.names()
        self._readable = self._names.attributes | self._names.strings
        self._seen: dict[int, Any] = {}
        self._waiting: list[tuple[Any, str]] = []
        self._visit(function, getattr(function, "__name__", type(function).__name__))
        for found in executed.functions():
            self._visit(found, found.__name__)
        for code, names in executed.user_codes().items():
            self._visit_globals(names_of(code).globals, names)
        for value in executed.objects.values():
            self._visit(value, type(value).__name__)
        while self._waiting:
            self._open(*self._waiting.pop())

    def broken(self) -> str | None:
        """The name of the first value that has changed, or None."""
        for (container, key, value), label in zip(self.entries, self._labels, strict=True):
            if not _holds(container, key, value):
                return label
        for check, label in zip(self.checks, self._check_labels, strict=True):
            if not check():
                return label
        return None

    def checks_hold(self) -> bool:
        """Whether the guards hold that the engine does not check."""
        return all([check() for check in self.checks])

    def restore(self) -> None:
        """Restore the values that have changed, in cells, dicts and lists."""
        for container, key, value in self.entries:
            if key is None or _holds(container, key, value):
                continue
            if isinstance(container, CellType):
                container.cell_contents = value
            elif isinstance(container, dict) and value is _MISSING:
                container.pop(key, None)
            elif isinstance(container, (dict, list)):
                container[key] = value

    # -- finding ------------------------------------------------------------------------------

    def _visit(self, value: Any, name: str) -> None:
        """Queue a value, whose parts are then guarded."""
        if isinstance(value, _OPAQUE) or id(value) in self._seen:
            return
        self._seen[id(value)] = value
        self._waiting.append((value, name))

    def _guard(self, container: Any, key: Any, name: str) -> None:
        value = _look(container, key)
        if isinstance(container, dict) and type(container) is not dict:
            self._check(lambda: _holds(container, key, value), name)
        else:
            self.entries.append((container, key, value))
            self._labels.append(name)
        self._visit(value, name)

    def _check(self, check: Callable[[], bool], name: str) -> None:
        self.checks.append(check)
        self._check_labels.append(name)

    def _open(self, value: Any, name: str) -> None:
        """Guard the parts of a value: its elements, attributes or code."""
        if isinstance(value, FunctionType):
            self._open_function(value)
        elif isinstance(value, MethodType):
            self._visit(value.__func__, name)
            self._visit(value.__self__, name.rpartition(".")[0] or "self")
        elif isinstance(value, Unguarded):
            self._visit(getattr(value, "__wrapped__", None), name)
        elif isinstance(value, functools.partial):
            for part in (value.func, value.args, value.keywords):
                self._visit(part, name)
        elif isinstance(value, (staticmethod, classmethod)):
            self._visit(value.__func__, name)
        elif isinstance(value, property):
            self._visit(value.fget, name)
        elif isinstance(value, ModuleType):
            self._open_module(value, name)
        elif isinstance(value, type):
            self._open_class(value, name)
        elif isinstance(value, (dict, list, tuple)):
            self._open_container(value, name)
            if type(value) not in (dict, list, tuple):
                self._open_object(value, name)
        elif isinstance(value, (set, frozenset, deque)):
            self._open_collection(value, name)
        elif isinstance(value, np.ndarray):
            self._open_array(value, name)
        elif isinstance(value, (random.Random, np.random.Generator, np.random.RandomState)):
            state = _random_state(value)
            self._check(lambda: _random_state(value) == state, f"the state of {name}")
        else:
            self._open_object(value, name)

    def _open_function(self, function: FunctionType) -> None:
        self._visit(getattr(function, "__wrapped__", None), function.__name__)
        cells = function.__closure__ or ()
        for key, cell in zip(function.__code__.co_freevars, cells, strict=True):
            self._guard(cell, None, key)
        if is_library(function.__code__, function.__globals__):
            return
        self._visit_globals(names_of(function.__code__).globals, function.__globals__)
        self._check_defaults(function)
        for key in self._readable & function.__dict__.keys() - {"__wrapped__"}:
            self._guard(function.__dict__, key, f"{function.__name__}.{key}")

    def _check_defaults(self, function: FunctionType) -> None:
        defaults, keywords = function.__defaults__, function.__kwdefaults__
        self._visit(defaults or (), f"{function.__name__}'s defaults")
        self._visit(keywords or {}, f"{function.__name__}'s defaults")
        if defaults or keywords:
            self._check(
                lambda: function.__defaults__ is defaults and function.__kwdefaults__ is keywords,
                f"{function.__name__}'s defaults",
            )

    def _visit_globals(self, names: Iterable[str], scope: dict[str, Any]) -> None:
        for key in sorted(set(names) & scope.keys()):
            self._guard(scope, key, key)

    def _open_module(self, module: ModuleType, name: str) -> None:
        file = getattr(module, "__file__", None)
        if is_library_file(file) if file else module.__spec__ is not None:
            return
        for key in sorted(self._readable & vars(module).keys()):
            self._guard(vars(module), key, f"{name}.{key}")

    def _open_class(self, cls: type, name: str) -> None:
        for base in cls.__mro__:
            if _is_library_class(base):
                continue
            for key in sorted(self._readable & vars(base).keys()):
                value = vars(base)[key]
                self._check(_attribute_check(base, key, value), f"{base.__name__}.{key}")
                self._visit(value, f"{base.__name__}.{key}")

    def _open_container(self, value: Any, name: str) -> None:
        if len(value) > _LARGEST_CONTAINER:
            raise CaptureError(
                f"a compiled function reads {name}, of {len(value)} elements, which could change",
                instead="Pass what it needs as an argument, as a tensor.",
            )
        self.entries.append((value, None, len(value)))
        self._labels.append(f"the length of {name}")
        keys = list(value.keys()) if isinstance(value, dict) else range(len(value))
        for key in keys:
            self._guard(value, key, f"{name}[{key!r}]")

    def _open_collection(self, value: Any, name: str) -> None:
        before = type(value)(value)
        self._check(lambda: value == before, f"the elements of {name}")
        for item in value:
            self._visit(item, name)

    def _open_array(self, value: np.ndarray[Any, Any], name: str) -> None:
        if not value.flags.writeable and value.flags.owndata:
            return
        if value.nbytes > _LARGEST_ARRAY or value.dtype.hasobject:
            raise CaptureError(
                f"a compiled function reads the array {name}, which could change",
                given=f"{value.dtype}{value.shape}",
                instead="Pass it as an argument, with cr.tensor(x), or make it a tensor once, "
                "outside.",
            )
        before = value.copy()
        self._check(
            lambda: value.shape == before.shape and value.tobytes() == before.tobytes(),
            f"the array {name}",
        )

    def _open_object(self, value: Any, name: str) -> None:
        """Guard the attributes that code reads by name, those of the class, and their number."""
        self._visit(type(value), type(value).__name__)
        attributes = getattr(value, "__dict__", None)
        if isinstance(attributes, dict):
            if isinstance(value, Module):
                # Calling train(), or adding and removing a hook, creates these.
                attributes.setdefault("training", value.training)
                attributes.setdefault("_hooks", {})
                self._visit(EVERYWHERE, "the hooks of all modules")
            self.entries.append((attributes, None, len(attributes)))
            self._labels.append(f"the attributes of {name}")
            for key, item in list(attributes.items()):
                if key in self._readable or isinstance(item, Module):
                    self._guard(attributes, key, f"{name}.{key}")
        for key in sorted(_slots(type(value)) & self._readable):
            item = getattr(value, key, _MISSING)
            self._check(_attribute_check(value, key, item), f"{name}.{key}")
            self._visit(item, f"{name}.{key}")


@functools.lru_cache(maxsize=4096)
def _is_library_class(cls: type) -> bool:
    """Whether a class belongs to this package, to NumPy or to Python itself."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return is_library_file(file) if file else cls.__module__ in sys.builtin_module_names


def _slots(cls: type) -> set[str]:
    """The names of attributes that are stored in slots."""
    found: set[str] = set()
    for base in cls.__mro__:
        slots = vars(base).get("__slots__", ())
        if not _is_library_class(base):
            found |= {slots} if isinstance(slots, str) else set(slots)
    return found


def _attribute_check(owner: Any, key: str, value: Any) -> Callable[[], bool]:
    """A check that an attribute of a class, or one in a slot, is unchanged."""

    def holds() -> bool:
        now = (
            vars(owner).get(key, _MISSING)
            if isinstance(owner, type)
            else getattr(owner, key, _MISSING)
        )
        return now is value or _equal(now, value)

    return holds


def _random_state(generator: Any) -> str:
    if isinstance(generator, np.random.Generator):
        return repr(generator.bit_generator.state)
    is_python = isinstance(generator, random.Random)
    return repr(generator.getstate() if is_python else generator.get_state())


def _look(container: Any, key: Any) -> Any:
    if isinstance(container, CellType):
        try:
            return container.cell_contents
        except ValueError:
            return _MISSING
    if key is None:
        return len(container)
    if isinstance(container, dict):
        return dict.get(container, key, _MISSING)
    if isinstance(container, (list, tuple)):
        return container[key] if key < len(container) else _MISSING
    return getattr(container, key, _MISSING)


def _holds(container: Any, key: Any, value: Any) -> bool:
    now = _look(container, key)
    return now is value or _equal(now, value)


def _equal(now: Any, value: Any) -> bool:
    """Whether two objects are equal plain values, or the same method. NaN equals NaN."""
    if isinstance(now, MethodType) and isinstance(value, MethodType):
        return now.__func__ is value.__func__ and now.__self__ is value.__self__
    if type(now) is not type(value) or not isinstance(value, _PLAIN):
        return False
    if isinstance(now, float) and isinstance(value, float):
        return now.hex() == value.hex()
    return bool(now == value) or (now != now and value != value)
