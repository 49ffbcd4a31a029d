"""`torch.compile`: the package's compiler, with PyTorch's promise that every function runs.

What cannot become one program, because it looks at numbers on the way, runs eagerly, after one
warning; the results are the same.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from chainrule.compiler import Compiled
from chainrule.errors import CaptureError
from chainrule.nn.module import Module

Function = Callable[..., Any]


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
    """Run a function or module as a program; with `fullgraph`, or raise CaptureError.

    The other options choose between compilers of PyTorch's, and change nothing here.

    >>> import chainrule as cr
    >>> double = compile(lambda x: x * 2)
    >>> double(cr.ones(2))
    tensor([2., 2.])
    """
    if model is None:
        return functools.partial(compile, fullgraph=fullgraph, disable=disable)
    if disable or isinstance(model, Module):
        return model  # a module in training: its step is what can be compiled
    return Tried(model, fullgraph)


class Tried:
    """A function that runs as a program, and eagerly once it is known that it cannot."""

    def __init__(self, function: Function, fullgraph: bool) -> None:
        functools.update_wrapper(self, function)
        self._eager, self._compiled, self._fullgraph = function, Compiled(function), fullgraph
        self._refused = False

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        if self._refused:
            return self._eager(*args, **keywords)
        try:
            return self._compiled(*args, **keywords)
        except CaptureError as error:
            if self._fullgraph:
                raise
            self._refused = True
            warnings.warn(f"{self._eager} runs eagerly: {error}", stacklevel=2)
            return self._eager(*args, **keywords)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)
