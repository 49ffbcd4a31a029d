"""The code that ran during a capture, and the objects that it was called with.

A profile function of Python (`sys.setprofile`) observes each call. Guards need the names that the
code looks up, and the objects whose attributes user code may have read: its arguments. Calls that
read something outside of Python's objects, such as a clock or a file, are recorded too.
"""

from __future__ import annotations

import dis
import gc
import importlib
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from types import CellType, CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import ref

import numpy as np

from chainrule.compiler.lookup import attributes_of
from chainrule.compiler.names import Names, names_of
from chainrule.tensor import Tensor

_PACKAGE, _NUMPY = str(Path(__file__).parents[1]), str(Path(np.__file__).parent)
_PYTHON = sysconfig.get_paths()["stdlib"]
_SITE = sysconfig.get_paths()["purelib"]

_MOST_REACHED = 10_000
_NUMBERS = (Tensor, np.generic)
_OUTSIDE = {"time", "posix", "nt", "io", "_io", "_socket", "select", "_locale"}
"""The modules in C through which Python reads clocks, files and what else is outside."""
_CLOCKS = {"date.today", "datetime.now", "datetime.today", "datetime.utcnow"}
_OUTPUT = (print, warnings.warn)
_LOGS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
"""Functions of `logging`. They only write, as `print`: what they read affects no result."""

_IMPORT = importlib._bootstrap._find_and_load.__code__  # type: ignore[attr-defined]
"""The code that imports a module for the first time. Hooks of other programs that it calls, such as
those of pytest, are not part of the function."""


def is_library(code: CodeType, scope: dict[str, Any]) -> bool:
    """Whether code belongs to this package, to NumPy or to Python. Their globals do not change.

    Code that Python generates for a dataclass or a named tuple counts as Python's.
    """
    if code.co_filename == "<string>":
        is_named_tuple = str(scope.get("__name__", "")).startswith("namedtuple_")
        return is_named_tuple or code.co_name.startswith("__")
    return is_library_file(code.co_filename)


@lru_cache(maxsize=4096)
def is_library_file(file: str) -> bool:
    """Whether a file belongs to this package, to NumPy or to Python."""
    return file.startswith(_PACKAGE) or _is_below(file)


@lru_cache(maxsize=4096)
def _is_below(file: str) -> bool:
    return file.startswith(_NUMPY) or _is_pythons(file)


@lru_cache(maxsize=4096)
def _is_pythons(file: str) -> bool:
    return file.startswith("<frozen") or (file.startswith(_PYTHON) and not file.startswith(_SITE))


def is_library_module(module: ModuleType) -> bool:
    """Whether a module belongs to this package, to NumPy or to Python."""
    file = getattr(module, "__file__", None)
    return is_library_file(file) if file else module.__spec__ is not None


@lru_cache(maxsize=4096)
def is_library_class(cls: type) -> bool:
    """Whether a class belongs to this package, to NumPy or to Python itself."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return is_library_file(file) if file else cls.__module__ in sys.builtin_module_names


class Executed:
    """A context manager that records the code that runs in it, and the arguments of user code.

    codes: all code that ran.
    own: the code of the user, and Python's where the user's code called it, with its globals.
    outside: calls that read something outside of Python's objects, in words. Each block begins
        with none; code and objects are kept.
    settings: functions in C that were called without arguments. What they return depends on the
        state of the process.

    Garbage collection is disabled in the block, since finalizers are not part of the function.
    """

    def __init__(self) -> None:
        self.codes: set[CodeType] = set()
        self.own: dict[CodeType, dict[str, Any]] = {}
        self.outside: list[str] = []
        self.settings: dict[Callable[[], Any], None] = {}
        self._objects: dict[int, ref[Any]] = {}
        self._held: dict[int, Any] = {}
        self._closures: dict[CodeType, set[tuple[int, ...]]] = {}
        self._functions: list[FunctionType] | None = None
        self._skipped: tuple[FrameType, tuple[str, ...]] | None = None  # until these events of it
        self._quiet: dict[int, CodeType] = {}
        self._called_back = {f.__code__ for f in gc.callbacks if isinstance(f, FunctionType)}

    def __enter__(self) -> Executed:
        self._outer, self._collects = sys.getprofile(), gc.isenabled()
        self.outside = []
        self._forward = self._outer if callable(self._outer) else None
        gc.disable()
        sys.setprofile(self._note)
        return self

    def __exit__(self, *error: object) -> None:
        profile_by(self._outer)
        self._skipped = None
        if self._collects:
            gc.enable()

    def _note(self, frame: FrameType, event: Any, argument: Any) -> None:
        if self._skipped is not None:
            skipped, ends = self._skipped
            if frame is skipped and event in ends:
                self._skipped = None
        elif event == "call":
            if id(frame.f_code) not in self._quiet:
                self._note_call(frame, frame.f_code)
        elif event == "c_call":
            if argument in _OUTPUT:
                self._skipped = frame, ("c_return", "c_exception")
            elif id(frame.f_code) not in self._quiet:
                self._note_c_call(frame, argument)
        if self._forward is not None:
            self._forward(frame, event, argument)

    def _note_call(self, frame: FrameType, code: CodeType) -> None:
        is_log = code.co_name in _LOGS and frame.f_globals.get("__name__") == "logging"
        if is_log or code is _IMPORT:
            self._skipped = frame, ("return",)
            return
        of_user = not is_library(code, frame.f_globals)
        if of_user:
            self._note_arguments(code, frame)
        elif not _is_below(code.co_filename):
            self._quiet[id(code)] = code  # of this package: what it calls needs no note
        self.codes.add(code)
        if code in self.own or code in self._called_back:
            return
        if of_user or (_is_pythons(code.co_filename) and _is_of_user(frame)):
            # The globals of code that `exec` runs are reachable as an argument, if they are kept.
            module = sys.modules.get(frame.f_globals.get("__name__", ""))
            is_kept = getattr(module, "__dict__", None) is frame.f_globals
            self.own[code] = frame.f_globals if is_kept else {}
            self._functions = None

    def _note_c_call(self, frame: FrameType, function: Any) -> None:
        if _reads_outside(function):
            if _is_of_user(frame):
                place = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                self.outside.append(f"{function.__qualname__} (at {place})")
        elif _reads_settings(function, frame) and _is_of_user(frame):
            self.settings[function] = None

    def _note_arguments(self, code: CodeType, frame: FrameType) -> None:
        count = code.co_argcount + code.co_kwonlyargcount
        local = frame.f_locals
        closure = tuple([id(local.get(name)) for name in code.co_freevars])
        self._closures.setdefault(code, set()).add(closure)
        self.add_objects(local.get(name) for name in code.co_varnames[:count])

    def add_objects(self, values: Iterable[Any]) -> None:
        """Record objects that the code was called with, without keeping them alive if possible."""
        for value in values:
            if type(value).__module__ == "builtins" or isinstance(value, _NUMBERS):
                continue
            try:
                self._objects[id(value)] = ref(value)
            except TypeError:  # this class has no weak references
                self._held[id(value)] = value

    def release(self) -> None:
        """Let go of objects to which no other reference exists."""
        for key in list(self._held):
            if sys.getrefcount(self._held[key]) == 2:  # this one, and the argument
                del self._held[key]

    def objects(self) -> list[Any]:
        """The arguments of user code that still exist."""
        found = [value for held in self._objects.values() if (value := held()) is not None]
        return [*found, *self._held.values()]

    @classmethod
    def reachable(cls, function: Any) -> Executed:
        """The code that may run when a function is called, found without a call: the functions that
        it names, and the methods of its object and of the objects in its closure."""
        executed = cls()
        executed._functions = []
        waiting, seen = [function], set[int]()
        while waiting:
            value = waiting.pop()
            if id(value) in seen or len(seen) > _MOST_REACHED:
                continue
            seen.add(id(value))
            if isinstance(value, FunctionType):
                if is_library(value.__code__, value.__globals__):
                    continue
                executed.own[value.__code__] = value.__globals__
                executed._functions.append(value)
                cells = [c.cell_contents for c in value.__closure__ or () if _is_filled(c)]
                names = names_of(value.__code__).globals & value.__globals__.keys()
                waiting += [*cells, *(value.__globals__[name] for name in names)]
            elif isinstance(value, MethodType):
                waiting += [value.__func__, value.__self__]
            elif not isinstance(value, (type, ModuleType)):
                for base in type(value).__mro__ if attributes_of(value) else ():
                    waiting += [f for f in vars(base).values() if isinstance(f, FunctionType)]
                waiting += list(attributes_of(value).values())
        executed.codes |= executed.own.keys()
        return executed

    def functions(self) -> list[FunctionType]:
        """The user functions that were defined in functions and ran.

        Guards read their closures and defaults. They reach all other functions by names. The search
        goes through all of Python's objects, so its result is kept.
        """
        if self._functions is None:
            codes = {c for c in self.own if ".<locals>." in c.co_qualname and not _is_inner(c)}
            found = gc.get_referrers(*codes) if codes else []
            made: dict[CodeType, list[FunctionType]] = {}
            for f in found:
                if isinstance(f, FunctionType) and f.__code__ in codes:
                    made.setdefault(f.__code__, []).append(f)
            assigned = Names.union(map(names_of, self.own)).assigned
            self._functions = [f for same in made.values() for f in self._ran(same, assigned)]
        return self._functions

    def _ran(self, same: list[FunctionType], assigned: frozenset[str]) -> list[FunctionType]:
        """The functions of the same code that ran; all, where that is not sure.

        Others that `def` has made, such as the step of another model, have other values in their
        closures than the calls had. Variables that are `assigned` may have changed since."""
        code, closures = same[0].__code__, [_closure(f) for f in same]
        calls = self._closures.get(code)
        if not calls or assigned.intersection(code.co_freevars) or not calls <= {*closures}:
            return same
        return [f for f, closure in zip(same, closures, strict=True) if closure in calls]


def _closure(function: FunctionType) -> tuple[int, ...]:
    """The identities of the values in a closure; of None where a variable has none."""
    cells = function.__closure__ or ()
    return tuple([id(c.cell_contents if _is_filled(c) else None) for c in cells])


def profile_by(profiler: Any) -> None:
    """Let a profile function observe the calls again, or a profiler in C: that of `cProfile`."""
    if hasattr(profiler, "enable"):
        profiler.enable()
    else:
        sys.setprofile(profiler)


def _is_inner(code: CodeType) -> bool:
    """Whether code is that of a comprehension or the like, which ends with the call."""
    return code.co_name[0] == "<" and code.co_name != "<lambda>"


def _is_filled(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _is_of_user(frame: FrameType | None) -> bool:
    """Whether a frame is the user's, or of Python or NumPy and called by the user's code."""
    while frame is not None and _is_below(frame.f_code.co_filename):
        frame = frame.f_back
    return frame is not None and not is_library(frame.f_code, frame.f_globals)


def _reads_outside(function: Any) -> bool:
    """Whether a function in C reads a clock, a file or something else outside."""
    module = function.__module__ if _is_of_module(function) else type(function.__self__).__module__
    name = getattr(function, "__qualname__", "")
    return (module in _OUTSIDE and name != "fspath") or name in _CLOCKS or function is input


def _reads_settings(function: Any, frame: FrameType) -> bool:
    """Whether a function in C is called without arguments, so that it can only read the state of
    the process. Those of `builtins` read the frame: `locals()`."""
    is_variable = isinstance(getattr(function, "__self__", None), ContextVar)
    if not is_variable and (not _is_of_module(function) or function.__module__ == "builtins"):
        return False
    code, at = frame.f_code.co_code, frame.f_lasti
    return dis.opname[code[at]] in ("PRECALL", "CALL") and not code[at + 1]


def _is_of_module(function: Any) -> bool:
    owner = getattr(function, "__self__", None)
    return owner is None or isinstance(owner, ModuleType)
