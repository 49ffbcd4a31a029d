"""The compiled module, or the reason why it is not available."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_native: ModuleType | None
_reason = ""
try:
    if os.environ.get("CHAINRULE_ENGINE", "").lower() in ("0", "off", "numpy"):
        raise ImportError("switched off by CHAINRULE_ENGINE")
    from chainrule.engine import _native  # type: ignore[attr-defined,no-redef]
except ImportError as error:  # not built for this Python, or switched off
    _native, _reason = None, str(error)


def available() -> bool:
    """Whether the compiled kernels are available. Without them, everything runs on NumPy."""
    return _native is not None


def why_not() -> str:
    """Why the compiled kernels are not available; empty if they are."""
    return _reason


def module() -> ModuleType:
    """The compiled module. Raises ImportError if it is not available."""
    if _native is None:
        raise ImportError(f"the native engine is not available: {_reason}")
    return _native


native_replay: Any = getattr(_native, "replay", None)
class_version: Any = getattr(_native, "class_version", lambda cls: -1)
"""`replay(record, arguments, otherwise)` and `class_version(cls)`; see engine/cpp/runtime/doors.h.
They run at every step, so their look-up is done once, here."""

_connect: Any = getattr(_native, "connect", None)
_shortcut: Any = getattr(_native, "Shortcut", None)


def shortcut(kind: str, function: F, *detail: Any) -> F:
    """The function, which the engine runs in C++ for the usual arguments. See the kinds in
    engine/cpp/eager/shortcut.h. The function itself is what the C++ code computes, and runs in all
    other cases."""
    made: F = function if _shortcut is None else _shortcut(kind, function, *detail)
    return made


def connect(**parts: Any) -> None:
    """Tell the engine the Python classes and functions that shortcuts work with; see
    engine/cpp/eager/classes.h."""
    if _connect is not None:
        _connect(**parts)
