"""Guards: the Python values that a captured function has read, and checks that they are unchanged.

A captured program contains the Python values that the function has read: a module's `training`, a
dropout's `p`, a number in a closure, a global or a class. The code that ran determines which values
these may be: the names that it looks up, on all objects that it can reach. Those are its globals,
closures, defaults and arguments, and in turn their attributes and elements. Each value is stored
with its container and key. Values that cannot be checked, such as large arrays, are refused.

Most guards are entries (see lookup.py), which the engine checks at each call. The others are
functions that return whether something is unchanged.
"""

from __future__ import annotations

import functools
import importlib.util
import random
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Set
from operator import attrgetter, methodcaller
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, ClassVar
from weakref import ref

import numpy as np

from chainrule import engine
from chainrule.compiler.executed import (
    Executed,
    is_library,
    is_library_class,
    is_library_module,
)
from chainrule.compiler.lookup import (
    MISSING,
    PLAIN,
    ClassAttributes,
    Entry,
    alike,
    attributes_of,
    cache_state,
    can_change,
    has_hidden_state,
    hidden_state,
    holds,
    is_stateless,
    look,
    random_state,
    slots_of,
)
from chainrule.compiler.names import Names, names_of, words_of
from chainrule.errors import CaptureError
from chainrule.nn.hooks import EVERYWHERE
from chainrule.nn.module import Module
from chainrule.primitive import Primitive
from chainrule.tensor import Tensor

_OPAQUE = (
    *PLAIN,
    Primitive,
    CodeType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    WrapperDescriptorType,
)
"""Types of values that have no parts which could change."""
STATE = "the state of "
_WITHOUT_KEYS = (set, frozenset, deque)
_LARGEST_ARRAY, _LARGEST_CONTAINER = 2**16, 2**14
"""The largest array (in bytes) and container (in elements) that may be compared at each call."""

_SETTINGS = {"decimal": "getcontext"}
"""Modules in C whose operations read a setting, and the functions that return it."""


class Unguarded:
    """Base class of objects whose slots, and attributes in `unguarded`, are not guarded."""

    unguarded: ClassVar[frozenset[str]]


class Guards:
    """The current Python values that a captured function may have read.

    function: the function. executed: the code that ran in the capture. ignored: attributes that
    are not watched, as (id of the dict, name).

    Raises CaptureError for a value that cannot be guarded.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        executed: Executed,
        ignored: Set[tuple[int, str]] = frozenset(),
    ) -> None:
        self._executed, self._ignored = executed, ignored
        self._own = Names.union(map(names_of, executed.own))
        codes = executed.codes | executed.own.keys()
        self._readable, self._given = frozenset[str]().union(*map(words_of, codes)), set[str]()
        self._walk(function)
        while self._given - self._readable:
            self._readable |= self._given
            self._walk(function)

    def _walk(self, function: Callable[..., Any]) -> None:
        """Guard all values that the code can reach."""
        self.entries: list[Entry] = []
        self.checks: list[Callable[[], bool]] = []
        self._labels: list[str] = []
        self._check_labels: list[str] = []
        self.tensors: dict[int, Tensor] = {}
        self._open: set[int] = set()
        self._known: set[tuple[int, Any]] = set()
        self._seen: dict[int, Any] = {}
        self._classes: dict[type, list[Any]] = {}
        self._waiting: list[tuple[Any, str]] = []
        self._visit(function, getattr(function, "__name__", type(function).__name__))
        for found in self._executed.functions():
            self._visit(found, found.__name__)
        for code, scope in self._executed.own.items():
            self._visit_globals(names_of(code), scope)
        for value in self._executed.objects():
            self._visit(value, type(value).__name__)
        for setting in self._executed.settings:
            self._visit_setting(setting)
        while self._waiting:
            self._visit_parts(*self._waiting.pop())

    def broken(self) -> str | None:
        """The name of the first value that has changed, or None."""
        for entry, label in zip(self.entries, self._labels, strict=True):
            if not holds(entry):
                return label
        for check, label in zip(self.checks, self._check_labels, strict=True):
            if not check():
                return label
        return None

    def checks_hold(self) -> bool:
        """Whether the guards hold that the engine does not check."""
        return all([check() for check in self.checks])

    # -- guards -------------------------------------------------------------------------------

    def _guard(self, container: Any, key: Any, name: str) -> None:
        """Guard one value, and what it consists of."""
        value = look(container, key)
        self._add(container, key, value, name)
        self._visit(value, name)

    def _add(self, container: Any, key: Any, value: Any, name: str) -> None:
        known = (id(container), id(key) if isinstance(key, (type, CodeType)) else key)
        if known not in self._known:
            self._known.add(known)
            self.entries.append((container, key, value))
            self._labels.append(name)

    def _check(self, check: Callable[[], bool], name: str) -> None:
        self.checks.append(check)
        self._check_labels.append(name)

    def _refuse(self, what: str, given: str | None = None) -> None:
        raise CaptureError(
            f"a compiled function reads {what}, which could change unnoticed",
            given=given,
            instead="Pass what it needs as an argument: numbers as a tensor, with cr.tensor(x).",
        )

    # -- values -------------------------------------------------------------------------------

    def _visit(self, value: Any, name: str) -> None:
        """Queue a value, whose parts are then guarded."""
        if isinstance(value, Tensor):
            self.tensors[id(value)] = value
        opaque = isinstance(value, _OPAQUE) and not type(value).__dictoffset__
        if not (value is MISSING or opaque or type(value) is Tensor or id(value) in self._seen):
            self._seen[id(value)] = value
            self._waiting.append((value, name))

    def _visit_parts(self, value: Any, name: str) -> None:
        """Guard the parts of a value: its elements, attributes or code."""
        home = (value if isinstance(value, type) else type(value)).__module__
        if home in _SETTINGS:
            self._visit_setting(getattr(sys.modules[home], _SETTINGS[home]))
        if not isinstance(value, (type, ModuleType)):
            self._visit_attributes(value, name)
        if isinstance(value, FunctionType):
            self._visit_function(value)
        elif isinstance(value, (MethodType, BuiltinFunctionType, MethodWrapperType)):
            self._visit(getattr(value, "__func__", None), name)
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
            self._visit_module(value, name)
        elif isinstance(value, type):
            self._visit_type(value, value)
            self._visit_type(value, type(value))
        elif isinstance(value, np.ndarray):
            self._visit_array(value, name)
        elif isinstance(value, (random.Random, np.random.Generator, np.random.RandomState)):
            self._visit_hidden(value, random_state, f"{STATE}{name}", name)
        elif isinstance(value, (dict, list, tuple)) or type(value) in _WITHOUT_KEYS:
            self._visit_container(value, name)
        else:
            self._visit_object(value, name)

    def _visit_function(self, function: FunctionType) -> None:
        """Guard what a function consists of and, if it ran, what it reads."""
        code, name, scope = function.__code__, function.__name__, function.__globals__
        self._visit(getattr(function, "__wrapped__", None), name)
        for key in self._own.attributes & vars(FunctionType).keys():
            self._guard(function, key, f"{name}.{key}")
        if code not in self._executed.codes:
            self._add(function, code, (function.__defaults__, function.__kwdefaults__), name)
            return
        for key, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self._guard(cell, None, key)
        if is_library(code, scope):
            return
        self._add(function, code, (function.__defaults__, function.__kwdefaults__), name)
        self._visit(function.__defaults__, f"{name}'s defaults")
        self._visit(function.__kwdefaults__, f"{name}'s defaults")
        self._visit_globals(names_of(code), scope)

    def _visit_globals(self, names: Names, scope: dict[str, Any]) -> None:
        """Guard the globals that code looks up: their values, or that there are none."""
        if not scope:
            return
        if names.all_globals:
            self._visit_container(scope, "globals()")
        self._open |= {id(scope[key]) for key in names.open_globals & scope.keys()}
        for key in sorted(names.globals):
            self._guard(scope, key, key)
        for key, *attributes in names.chains:
            self._visit_chain(scope.get(key), key, attributes)
        for level, path in names.imports:
            package = scope.get("__package__") or ""
            name = importlib.util.resolve_name("." * level + path, package) if level else path
            self._visit(sys.modules.get(name), name)
            for key in names.attributes:
                self._visit_chain(sys.modules.get(name), name, [key])

    def _visit_chain(self, value: Any, name: str, attributes: Iterable[str]) -> None:
        """Guard what code names of a library's module: `os.environ`, `np.random.rand`."""
        for key in attributes:
            if not isinstance(value, ModuleType) or not is_library_module(value):
                return
            if key in vars(value):
                self._guard(vars(value), key, f"{name}.{key}")
            value, name = vars(value).get(key), f"{name}.{key}"

    def _visit_module(self, module: ModuleType, name: str) -> None:
        every = id(module) in self._open
        names = tuple(vars(module)) if every else len(vars(module))
        self._add(vars(module), None, names, f"the names in {name}")
        if not every and is_library_module(module):
            return
        for key in sorted(vars(module) if every else self._readable & vars(module).keys()):
            self._guard(vars(module), key, f"{name}.{key}")

    def _visit_type(self, value: Any, cls: type) -> None:
        """Guard the class of an object, and its attributes."""
        of_library = isinstance(value, type) and value is not cls and is_library_class(cls)
        if of_library or not any(map(can_change, cls.__mro__)):
            return
        if cls not in self._classes:
            reads = functools.partial(self._is_read_of, cls)
            self._classes[cls] = [engine.class_version(cls), ClassAttributes(cls, reads)]
            for base in cls.__mro__:
                for key in () if is_library_class(base) else self._read_of(cls, vars(base)):
                    self._visit(vars(base)[key], f"{base.__name__}.{key}")
        self._add(value, cls, self._classes[cls], f"an attribute of the class {cls.__name__}")
        if not self._classes[cls][0]:
            self._check(self._classes[cls][1].unchanged, f"the class {cls.__name__}")

    def _visit_container(self, value: Any, name: str) -> None:
        if len(value) > _LARGEST_CONTAINER:
            self._refuse(f"{name}, of {len(value)} elements")
        if type(value) in _WITHOUT_KEYS:
            self._add(value, None, tuple(value), f"the elements of {name}")
            for item in value:
                self._visit(item, f"an element of {name}")
            return
        if isinstance(value, dict) and not isinstance(value, OrderedDict):
            self._add(value, None, tuple(value), f"the keys of {name}")
        else:
            self._add(value, None, len(value), f"the length of {name}")
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            self._guard(value, key, f"{name}[{_text(key)}]")
        if isinstance(value, OrderedDict):
            keys = tuple(value)
            self._check(lambda: alike(tuple(value), keys), f"the keys of {name}")

    def _visit_array(self, value: np.ndarray[Any, Any], name: str) -> None:
        flags = value.flags
        if not flags.writeable and flags.owndata:
            self._check(lambda: not value.flags.writeable, f"the array {name}")
            return
        if value.nbytes > _LARGEST_ARRAY or value.dtype.hasobject:
            self._refuse(f"the array {name}", f"{value.dtype}{value.shape}")
        before = value.copy()
        self._check(
            lambda: value.shape == before.shape and value.tobytes() == before.tobytes(),
            f"the array {name}",
        )

    def _visit_object(self, value: Any, name: str) -> None:
        """Guard the state of an object that its attributes do not show."""
        if isinstance(value, ref):
            target = value()
            self._visit(target, name)
            self._check(lambda: value() is target, name)
        elif not isinstance(value, Tensor) and not is_stateless(value):
            cls: type = type(value)
            if hasattr(cls, "cache_info"):
                self._visit_hidden(value, cache_state, f"the cache of {name}", name)
            elif has_hidden_state(cls):
                self._visit_hidden(value, hidden_state, f"{STATE}{name}", name)

    def _visit_hidden(
        self, value: Any, state_of: Callable[[Any], Any], label: str, name: str
    ) -> None:
        try:
            state = state_of(value)
        except (NotImplementedError, TypeError, ValueError):
            self._refuse(name, type(value).__name__)
            return
        if sys.getsizeof(value) > _LARGEST_ARRAY:
            self._refuse(name, f"{type(value).__name__} of {sys.getsizeof(value)} bytes")
        self._check(lambda: alike(state_of(value), state), label)
        if isinstance(value, (attrgetter, methodcaller)):
            self._given |= {part for x in state[1] if isinstance(x, str) for part in x.split(".")}
        for part in state if isinstance(state, tuple) else ():
            self._visit(part, name)

    def _visit_setting(self, function: Callable[[], Any]) -> None:
        """Guard what a function in C returns, which depends only on the state of the process."""
        setting, name = function(), f"what {function.__name__}() returns"
        if not is_stateless(setting):
            self._check(lambda: alike(function(), setting), name)
            self._visit(setting, name)

    def _visit_attributes(self, value: Any, name: str) -> None:
        """Guard the class of an object, the attributes that code reads, and that there are no
        others: their names, or only their number for a layer of this package."""
        cls: type = type(value)
        if not isinstance(value, Tensor) or not is_library_class(cls):
            self._visit_type(value, cls)
        attributes = attributes_of(value)
        if isinstance(value, Module):
            # Calling train(), or adding and removing a hook, creates these.
            attributes.setdefault("training", value.training)
            attributes.setdefault("_hooks", {})
            self._visit(EVERYWHERE, "the hooks of all modules")
        if type(value).__dictoffset__:
            self._add(attributes, None, tuple(attributes), f"the attributes of {name}")
        unguarded = value.unguarded if isinstance(value, Unguarded) else ()
        for key, item in list(attributes.items()):
            if (id(attributes), key) in self._ignored or key in unguarded:
                continue
            if isinstance(item, Module) or self._is_read_of(value, key):
                self._guard(attributes, key, f"{name}.{key}")
        if not isinstance(value, (Tensor, FunctionType, MethodType, functools.partial, Unguarded)):
            reads = functools.partial(self._is_read_of, value)
            for key, slot in slots_of(type(value), reads).items():
                self._guard(value, slot, f"{name}.{key}")

    def _read_of(self, value: Any, names: Iterable[str]) -> list[str]:
        """Those of an object's attributes that code may read."""
        return [name for name in sorted(names) if self._is_read_of(value, name)]

    def _is_read_of(self, value: Any, name: str) -> bool:
        return name in self._readable or self._own.computes or id(value) in self._open


def _text(key: Any) -> str:
    """A key in the name of a value."""
    return repr(key) if isinstance(key, PLAIN) else f"a {type(key).__name__}"
