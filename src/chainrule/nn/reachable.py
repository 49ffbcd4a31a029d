"""The objects that an object refers to: elements of containers and attributes, at any depth."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterator
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, GeneratorType, ModuleType
from typing import Any

OPAQUE = (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    GeneratorType,
    ModuleType,
    type,
)
"""Types whose references are not followed: code, classes, modules, frames and generators."""
_PACKAGE = __name__.partition(".")[0]


def reachable(start: Any, is_end: Callable[[Any], bool]) -> Iterator[tuple[Any, bool]]:
    """(object, whether it is found through an attribute) for `start` and all that it refers to.

    Follows the references that the garbage collector follows. So it finds the elements of
    containers of any type, and runs no user code. It does not follow references of classes, of
    functions, of objects of this package, or of an object for which `is_end` is true.

    >>> found = [x for x, _ in reachable([{"a": (1, [2])}, {"b"}], lambda x: False)]
    >>> [2] in found, {"b"} in found
    (True, True)
    """
    seen = {id(start)}
    waiting = [(start, False)]
    while waiting:
        value, inside = waiting.pop()
        yield value, inside
        if is_end(value) or isinstance(value, OPAQUE) or _is_own(value):
            continue
        inside = inside or (hasattr(value, "__dict__") and not isinstance(value, Collection))
        for part in gc.get_referents(value):
            if gc.is_tracked(part) and id(part) not in seen:
                seen.add(id(part))
                waiting.append((part, inside))


def _is_own(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == _PACKAGE
