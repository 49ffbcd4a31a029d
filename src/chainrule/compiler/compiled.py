"""`cr.compile`: a function, usually a whole training step, as executables that run in one go."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Hashable
from typing import Any

from chainrule import tree
from chainrule.compiler.executable import MISSED, Executable, executable_of
from chainrule.errors import CaptureError
from chainrule.settings import Settings, current
from chainrule.tensor import Tensor

MOST_EXECUTABLES = 16
"""How many executables one function may have; the oldest goes first."""


class Compiled:
    """A function that runs as executables, one for each signature of its arguments."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.captures = 0
        self._executables: dict[Any, list[Executable]] = {}
        self._last: Executable | None = None

    def __call__(self, *args: Any) -> Any:
        settings = current()
        last = self._last
        if last is not None and (last.settings is settings or last.settings == settings):
            result = last(args)
            if result is not MISSED:
                return result
        if settings.interpreter is not None:
            return self.function(*args)  # inside another capture, or watched for anomalies
        leaves = tree.flatten(args)
        key = _signature(args, leaves, settings)
        reason = None
        for executable in self._executables.get(key, ()):
            reason = executable.broken()
            if reason is None:
                break
        else:
            executable = self._capture(key, args, reason)
        self._last = executable
        return executable.on([x for x in leaves if isinstance(x, Tensor)])

    def _capture(self, key: Any, args: tuple[Any, ...], reason: str | None) -> Executable:
        executable = executable_of(self.function, args)
        self.captures += 1
        if len(self.executables) == MOST_EXECUTABLES:
            oldest = next(iter(self._executables))
            self._executables[oldest].pop()
            if not self._executables[oldest]:
                del self._executables[oldest]
        self._executables[key] = [executable, *self._executables.pop(key, [])]
        if self.captures == 2 * MOST_EXECUTABLES:
            warnings.warn(
                f"{getattr(self, '__name__', 'a compiled function')} was captured {self.captures} "
                f"times, the last because of {reason or 'a new shape'}; a value that changes at "
                "each call should be a tensor",
                stacklevel=3,
            )
        return executable

    @property
    def executables(self) -> list[Executable]:
        """The executables there are: for each signature, the newest first."""
        return [executable for found in self._executables.values() for executable in found]


def compile(function: Callable[..., Any]) -> Compiled:
    """Run a function of tensors as one program: captured once, improved by passes, then called.

    A whole training step fits: forward, loss, `backward`, clipping, the optimizer's update, random
    numbers, running statistics. State (parameters, buffers, optimizer state, gradients, learning
    rates, the random state) is found by itself. What the capture takes for granted is guarded; when
    it no longer holds, or the arguments have other shapes, the function is captured again.

    Raises CaptureError for what depends on numbers: `.item()`, `if tensor:`, `.numpy()`, and for
    tensors kept outside by other means than `assign`. The results carry no gradient: call
    `backward` inside.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, 2.0], requires_grad=True)
    >>> @cr.compile
    ... def step(x):
    ...     loss = ((w * x) ** 2).sum()
    ...     loss.backward()
    ...     with cr.no_grad():
    ...         w.assign(w - 0.1 * w.grad)
    ...     w.grad = None
    ...     return loss
    >>> step(cr.tensor([1.0, 1.0])), step(cr.tensor([1.0, 1.0]))
    (tensor(5.), tensor(3.2))
    """
    return Compiled(function)


def _signature(args: tuple[Any, ...], leaves: list[Any], settings: Settings) -> Any:
    """What tells executables of a function apart: specs, plain values, structure, mode."""
    parts: list[Any] = [settings.gradients, settings.default_dtype, settings.engine]
    for leaf in leaves:
        if isinstance(leaf, Tensor):
            if leaf._requires_grad:
                raise CaptureError(
                    "an argument of a compiled function requires gradients",
                    instead="Pass x.detach(); what to differentiate by is found as state, by name.",
                )
            parts.append((leaf._data.shape, leaf._data.dtype))
        elif isinstance(leaf, float):
            parts.append((type(leaf), leaf.hex()))  # tells 0.0 from −0.0
        elif isinstance(leaf, Hashable):
            parts.append((type(leaf), leaf))
        else:
            raise CaptureError(
                f"an argument is a {type(leaf).__name__}, neither a tensor nor a plain value",
                instead="Convert arrays with cr.tensor(x).",
            )
    return (tuple(parts), _structure(args))


def _structure(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple((key, _structure(item)) for key, item in value.items())
    if isinstance(value, (tuple, list)):
        return (type(value), *map(_structure, value))
    return None
