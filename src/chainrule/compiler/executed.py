"""The code that ran during a capture, and the objects that it was called with.

A profile function of Python (`sys.setprofile`) observes each call. Guards need the names that the
code looks up, and the objects whose attributes user code may have read: its arguments.
"""

from __future__ import annotations

import dis
import gc
import sys
import sysconfig
from functools import lru_cache
from pathlib import Path
from types import CellType, CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from chainrule.tensor import Tensor

_PACKAGE = str(Path(__file__).parents[1])
_LIBRARIES = (
    _PACKAGE,
    str(Path(np.__file__).parent),
    sysconfig.get_paths()["stdlib"],
)
_SITE = sysconfig.get_paths()["purelib"]

_MOST_REACHED = 10_000
_NUMBERS = (Tensor, np.generic)


def _is_filled(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


class Names(NamedTuple):
    """The names that code looks up: globals, attributes, and strings, which may be names of
    attributes or keys."""

    globals: frozenset[str]
    attributes: frozenset[str]
    strings: frozenset[str]


@lru_cache(maxsize=4096)
def names_of(code: CodeType) -> Names:
    """The names that code looks up, and the code of functions defined in it."""
    found: tuple[set[str], set[str], set[str]] = (set(), set(), set())
    for instruction in dis.get_instructions(code):
        if "GLOBAL" in instruction.opname or instruction.opname == "LOAD_NAME":
            found[0].add(instruction.argval)
        elif "ATTR" in instruction.opname or "METHOD" in instruction.opname:
            found[1].add(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, str):
            found[2].add(constant)
        elif isinstance(constant, CodeType):
            for own, inner in zip(found, names_of(constant), strict=True):
                own |= inner
    return Names(*map(frozenset, found))


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
    if file.startswith("<frozen"):
        return True
    in_site = file.startswith(_SITE) and not file.startswith(_LIBRARIES[:2])
    return file.startswith(_LIBRARIES) and not in_site


class Executed:
    """A context manager that records the code that runs in it, and the arguments of user code.

    codes: the code objects, with their globals.
    objects: the arguments, by id.

    Garbage collection is disabled in the block, since finalizers are not part of the function.
    """

    def __init__(self) -> None:
        self.codes: dict[CodeType, dict[str, Any]] = {}
        self.objects: dict[int, Any] = {}

    def __enter__(self) -> Executed:
        self._outer, self._collects = sys.getprofile(), gc.isenabled()
        gc.disable()
        sys.setprofile(self._note)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(self._outer)
        if self._collects:
            gc.enable()

    def _note(self, frame: FrameType, event: Any, argument: Any) -> None:
        if event == "call":
            code = frame.f_code
            self.codes.setdefault(code, frame.f_globals)
            if not is_library(code, frame.f_globals):
                self._note_arguments(code, frame)
        if self._outer is not None:
            self._outer(frame, event, argument)

    def _note_arguments(self, code: CodeType, frame: FrameType) -> None:
        count = code.co_argcount + code.co_kwonlyargcount
        local = frame.f_locals
        for name in code.co_varnames[:count]:
            value = local.get(name)
            if type(value).__module__ != "builtins" and not isinstance(value, _NUMBERS):
                self.objects[id(value)] = value

    @classmethod
    def reachable(cls, function: Any) -> Executed:
        """The code that may run when a function is called, found without a call: the functions that
        it names, and the methods of its object and of the objects in its closure."""
        executed = cls()
        waiting, seen = [function], set[int]()
        while waiting:
            value = waiting.pop()
            if id(value) in seen or len(seen) > _MOST_REACHED:
                continue
            seen.add(id(value))
            if isinstance(value, FunctionType):
                if is_library(value.__code__, value.__globals__):
                    continue
                executed.codes[value.__code__] = value.__globals__
                cells = [c.cell_contents for c in value.__closure__ or () if _is_filled(c)]
                names = names_of(value.__code__).globals & value.__globals__.keys()
                waiting += [*cells, *(value.__globals__[name] for name in names)]
            elif isinstance(value, MethodType):
                waiting += [value.__func__, value.__self__]
            elif not isinstance(value, (type, ModuleType)) and hasattr(value, "__dict__"):
                for base in type(value).__mro__:
                    waiting += [f for f in vars(base).values() if isinstance(f, FunctionType)]
                waiting += list(vars(value).values())
        return executed

    def user_codes(self) -> dict[CodeType, dict[str, Any]]:
        """The code that belongs neither to a library nor to callbacks of the garbage collector,
        with its globals."""
        called_back = {f.__code__ for f in gc.callbacks if isinstance(f, FunctionType)}
        own = self.codes.keys() - called_back
        return {c: g for c, g in self.codes.items() if c in own and not is_library(c, g)}

    def names(self) -> Names:
        """All names that any of the code looks up."""
        every = [names_of(code) for code in self.codes] or [Names(*[frozenset()] * 3)]
        return Names(*(frozenset().union(*part) for part in zip(*every, strict=True)))

    def functions(self) -> list[FunctionType]:
        """The user functions that ran, and others of the same code: guards read their closures and
        defaults. Comprehensions and other unnamed code are left out."""
        codes = [c for c in self.user_codes() if c.co_name[0] != "<" or c.co_name == "<lambda>"]
        if not codes:
            return []
        wanted = set(codes)
        found = gc.get_referrers(*codes)
        return [f for f in found if isinstance(f, FunctionType) and f.__code__ in wanted]
