"""`torch.jit`: scripting and tracing return the model itself."""

from __future__ import annotations

from typing import Any, Final

from chainrule.nn.module import Module
from chainrule.torch.adapter import names

__all__ = ["Final", "ScriptModule", "ignore", "script", "trace"]

ScriptModule = Module


def script(obj: Any, *args: Any, **keywords: Any) -> Any:
    """Return the function or module."""
    return obj


def trace(func: Any, *example_inputs: Any, **keywords: Any) -> Any:
    """Return the function or module: nothing is specialized to the examples."""
    return func


def ignore(drop: Any = False, **keywords: Any) -> Any:
    """Return the function."""
    return drop if callable(drop) else lambda function: function


unused = export = script_method = freeze = optimize_for_inference = script


def is_scripting() -> bool:
    """Return False."""
    return False


is_tracing = is_scripting

__getattr__, __dir__ = names.facade(__name__)
