"""`torch.compile`: the package's compiler, where every function runs.

A function that cannot be compiled as one program, because it depends on numbers or prints, runs
eagerly after one warning. The results are the same.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

from chainrule.compiler.compiled import Compiled, compiled_module, replayed
from chainrule.compiler.executable import Executable
from chainrule.errors import CaptureError
from chainrule.nn.module import Module
from chainrule.settings import current

Function = Callable[..., Any]

MOST_CAPTURES = 8
"""The most captures of one function. Calls that need another one run eagerly, as in PyTorch."""


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: Any = None,
    disable: bool = False,
) -> Any:
    """Compile a function or a module. With `fullgraph`, raise CaptureError if that is impossible.

    The other options choose between PyTorch's compilers, and have no effect.

    >>> import chainrule as cr
    >>> double = compile(lambda x: x * 2)
    >>> double(cr.ones(2))
    tensor([2., 2.])
    """
    if model is None:
        return functools.partial(compile, fullgraph=fullgraph, disable=disable)
    if disable:
        return model
    compiler = functools.partial(CompiledOrEager, fullgraph=fullgraph)
    if not isinstance(model, Module):
        return compiler(model)
    compiled = compiled_module(model, compiler)
    setattr(type(compiled), "_orig_mod", model)  # noqa: B010 - as PyTorch names it
    return compiled


class CompiledOrEager(Compiled):
    """A compiled function that runs eagerly if it cannot be captured."""

    def __init__(self, function: Function, fullgraph: bool) -> None:
        super().__init__(function)
        self._fullgraph, self._refused = fullgraph, False

    def __call__(self, *args: Any, **named: Any) -> Any:
        if not self._refused and current().interpreter is None:
            try:
                return super().__call__(*args, **named)
            except _TooManyCaptures:
                pass
            except CaptureError as error:
                if self._fullgraph:
                    raise
                self._refused = True
                name = getattr(self, "__name__", "a function")
                warnings.warn(f"{name} runs eagerly: {error}", stacklevel=2)
        return self.function(*args, **named)

    def like(self, function: Function) -> CompiledOrEager:
        """Another function, compiled in the same way."""
        return CompiledOrEager(function, self._fullgraph)

    def _capture(
        self, key: Any, args: tuple[Any, ...], named: dict[str, Any], reason: str | None
    ) -> Executable:
        if self.captures == MOST_CAPTURES:
            raise _TooManyCaptures("a function has too many forms")
        with contextlib.redirect_stdout(_NoOutput(sys.stdout)):
            return super()._capture(key, args, named, reason)


CompiledOrEager.__call__ = replayed(CompiledOrEager.__call__)  # type: ignore[method-assign]


class _TooManyCaptures(CaptureError):
    """A call that needs a capture beyond the limit."""


class _NoOutput:
    """Standard output during a capture. It refuses what the function prints, which a program would
    not print again."""

    def __init__(self, output: Any) -> None:
        self._output, self._thread = output, threading.get_ident()

    def write(self, text: str) -> Any:
        """Write the text of other threads."""
        if threading.get_ident() == self._thread:
            raise CaptureError("a compiled function prints only while it is captured")
        return self._output.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._output, name)
