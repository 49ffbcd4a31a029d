"""The compiled module, or the reason why there is none."""

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
    """Whether the compiled kernels are there; without them everything runs on NumPy."""
    return _native is not None


def why_not() -> str:
    """Why the compiled kernels are not there; empty when they are."""
    return _reason


def module() -> ModuleType:
    """The compiled module; ImportError when there is none."""
    if _native is None:
        raise ImportError(f"the native engine is not available: {_reason}")
    return _native


native_evaluate: Any = getattr(_native, "evaluate", None)
native_replay: Any = getattr(_native, "replay", None)
"""`evaluate(variants, arrays)` and `replay(record, arguments)`, see prepared.h and doors.h of
engine/cpp/runtime: at hand without a look-up, for what happens at every op and every step."""
