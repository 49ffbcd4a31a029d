"""The compiled module, or the reason why it is not available."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

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


native_evaluate: Any = getattr(_native, "evaluate", None)
native_replay: Any = getattr(_native, "replay", None)
class_version: Any = getattr(_native, "class_version", lambda cls: -1)
"""`evaluate(variants, arrays)`, `replay(record, arguments)` and `class_version(cls)`.

See prepared.h and doors.h in engine/cpp/runtime. They run for every op and every step, so their
look-up is done once, here."""
