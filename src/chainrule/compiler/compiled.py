"""`cr.compile`: turns a function, usually a whole training step, into executables."""

from __future__ import annotations

import functools
import os
import sys
import warnings
from collections.abc import Callable, Hashable
from copy import deepcopy
from types import MethodType
from typing import Any, TypeVar, overload

from chainrule import engine, tree
from chainrule.compiler.arguments import layout_if_other
from chainrule.compiler.executable import MISSED, Executable, ReferenceExecutable
from chainrule.compiler.guards import Unguarded
from chainrule.compiler.native_executable import NativeExecutable
from chainrule.compiler.passes import optimize
from chainrule.compiler.repeat import FirstRunDiffers, repeatable_capture
from chainrule.errors import CaptureError
from chainrule.nn.module import Module
from chainrule.settings import Settings, current
from chainrule.tensor import Tensor

M = TypeVar("M", bound=Module)
F = TypeVar("F", bound=Callable[..., Any])

MOST_EXECUTABLES = 16
"""The most executables that one function keeps; the oldest is dropped first."""


class Compiled(Unguarded):
    """A function that runs as executables, one for each signature of its arguments."""

    __slots__ = ("_record",)
    __name__: str
    __qualname__: str
    _record: engine.Record | None
    unguarded = frozenset({"function", "captures", "_executables", "_recent", "_has_warned"})

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.captures = 0
        self._executables: dict[Any, list[Executable]] = {}
        self._recent: dict[bool, tuple[Executable, ...]] = {False: (), True: ()}
        self._record = None  # of the first of them, for calls without keywords
        self._has_warned = False

    def __call__(self, *args: Any, **named: Any) -> Any:
        given: tuple[Any, ...] = args
        if named:
            named = dict(sorted(named.items()))
            given = (*args, named)
        recent = self._recent[bool(named)]
        for executable in recent:
            result = executable(given)
            if result is not MISSED:
                if executable is not recent[0]:
                    self._put_first(executable, bool(named))
                return result
        settings = current()
        if settings.interpreter is not None:
            return self.function(*args, **named)  # inside a capture or another interpreter
        leaves = [x for x in tree.flatten(given) if isinstance(x, Tensor)]
        try:
            executable = self._find(args, named, leaves, settings)
        except FirstRunDiffers:
            return self.function(*args, **named)
        except CaptureError:
            raise
        except Exception as error:
            if os.environ.get("CHAINRULE_STRICT", "0") != "0":
                raise
            return self._eagerly(error, args, named)
        shares = executable.shares(leaves)
        result = self.function(*args, **named) if shares else executable.on(leaves)
        self._put_first(executable, bool(named))
        return result

    def _put_first(self, executable: Executable, named: bool) -> None:
        """Let the next call, with or without keywords, try this executable first."""
        others = [x for x in self._recent[named] if x is not executable]
        self._recent[named] = (executable, *others)
        if not named:
            self._record = executable.record

    def _find(
        self,
        args: tuple[Any, ...],
        named: dict[str, Any],
        leaves: list[Tensor],
        settings: Settings,
    ) -> Executable:
        """The executable for these arguments: one whose guards hold, else a new capture."""
        key = _signature((args, named), settings)
        reason = None
        for executable in self._executables.get(key, ()):
            reason = executable.broken() if executable.takes(leaves) else "other tensors as state"
            if reason is None:
                return executable
        return self._capture(key, args, named, reason)

    def _eagerly(self, error: Exception, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Run the function eagerly after an error during compilation. If this raises too, the error
        is in the user's code; otherwise it is in the compiler, which is reported as a warning."""
        result = self.function(*args, **named)
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"{getattr(self, '__name__', 'a function')} runs eagerly, because of an error in "
                f"the compiler: {type(error).__name__}: {error}. Please report it; with "
                "CHAINRULE_STRICT=1 it is raised",
                stacklevel=3,
            )
        return result

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        """As a method: each object gets its own compiled function, stored in its attributes."""
        if owner is None:
            return self
        bound = self.like(MethodType(self.function, owner))
        vars(owner)[self.__name__] = bound
        return bound

    def __deepcopy__(self, memo: dict[int, Any]) -> Compiled:
        return self.like(deepcopy(self.function, memo))

    def like(self, function: Callable[..., Any]) -> Compiled:
        """Another function, compiled in the same way."""
        return type(self)(function)

    def __reduce__(self) -> Any:
        """Pickle by name, as functions are pickled; a method by its object."""
        if isinstance(self.function, MethodType):
            return _as_method, (self.function.__self__, type(self.function.__self__), self.__name__)
        home = sys.modules.get(self.__module__)
        if getattr(home, self.__qualname__, None) is not self:
            raise CaptureError(
                f"a compiled function is pickled by its name, and {self.__module__} has no "
                f"attribute {self.__qualname__} that is this function",
                instead="Pickle the objects that it uses, and compile the function again.",
            )
        return self.__qualname__

    def _capture(
        self, key: Any, args: tuple[Any, ...], named: dict[str, Any], reason: str | None
    ) -> Executable:
        executable = executable_of(self.function, args, named)
        self.captures += 1
        if len(self.executables) == MOST_EXECUTABLES:
            oldest = next(iter(self._executables))
            dropped = self._executables[oldest].pop()
            for named_too, recent in self._recent.items():
                self._recent[named_too] = tuple([x for x in recent if x is not dropped])
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
        """All executables: for each signature, the newest first."""
        return [executable for found in self._executables.values() for executable in found]


def replayed(call: F) -> F:
    """`__call__` of a compiled function. The engine runs it alone, as long as that is possible with
    the executable that is tried first."""
    return engine.shortcut("replay", call, vars(Compiled)["_record"])


Compiled.__call__ = replayed(Compiled.__call__)  # type: ignore[method-assign]


def executable_of(
    function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]
) -> Executable:
    """Capture a function for these arguments, optimize the graph, and plan it."""
    trace, guards = repeatable_capture(function, args, named)
    graph = optimize(trace.graph)
    native = engine.available() and current().engine == "native"
    kind = NativeExecutable if native else ReferenceExecutable
    return kind(trace, guards, graph, (*args, named) if named else args)


def _as_method(owner: Any, kind: type, name: str) -> Compiled:
    function = getattr(kind, name)
    plain = function.function if isinstance(function, Compiled) else function
    return Compiled(MethodType(plain, owner))


@overload
def compile(function: M) -> M: ...  # type: ignore[overload-overlap]
@overload
def compile(function: Callable[..., Any]) -> Compiled: ...
def compile(function: Any) -> Any:
    """Compile a function of tensors into one program.

    The first call captures the function as a graph, optimizes it, and runs it. Later calls with
    arguments of the same specs run the program. A whole training step can be compiled: forward
    pass, loss, `backward`, clipping, the update of the optimizer, random numbers, running
    statistics. State (parameters, buffers, optimizer state, gradients, learning rates, the random
    state) is found automatically. Python values that the function reads are guarded: if one has
    changed, or the arguments have other specs, the function is captured again.

    A compiled function takes keyword arguments, and `compile` also decorates methods. Results carry
    gradients where those of the function do: the call is one node on the tape, and a second program
    computes its derivative.

    For a module, `compile` returns a module that shares all attributes with it, and whose `forward`
    is compiled. `model = cr.compile(model)` trains in an eager loop.

    Raises CaptureError for code that depends on numbers (`.item()`, `if tensor:`, `.numpy()`), for
    a computed tensor that is kept outside of the function without `assign`, and for code that does
    something else at each call: counting, drawing from `random`, advancing an iterator.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, 2.0], requires_grad=True)
    >>> @cr.compile
    ... def step(x):
    ...     loss = ((w * x) ** 2).sum()
    ...     loss.backward()
    ...     with cr.no_grad():
    ...         w.assign(w - 0.1 * w.grad)
    ...     w.grad = None
    ...     return loss.detach()
    >>> step(cr.tensor([1.0, 1.0])), step(cr.tensor([1.0, 1.0]))
    (tensor(5.), tensor(3.2))
    """
    return compiled_module(function) if isinstance(function, Module) else Compiled(function)


def compiled_module(
    module: Module, compiler: Callable[[Callable[..., Any]], Compiled] = Compiled
) -> Module:
    """A module that shares the `__dict__` of another one, and whose `forward` runs compiled. Its
    class is a new subclass."""
    kind = type(module)
    forward = compiler(MethodType(kind.forward, module))
    own = {
        "forward": staticmethod(forward),
        "__deepcopy__": lambda self, memo: compiled_module(deepcopy(module, memo), compiler),
        "__reduce__": lambda self: (compiled_module, (module, compiler)),
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
    }
    compiled: Module = object.__new__(type(kind.__name__, (kind,), own))
    compiled.__dict__ = module.__dict__
    return compiled


def _signature(given: tuple[Any, ...], settings: Settings) -> Any:
    """The key of an executable: settings, and the specs, values and structure of arguments."""
    parts: list[Any] = [settings.gradients, settings.default_dtype, settings.engine]
    seen: dict[int, int] = {}
    for leaf in tree.flatten(given):
        if isinstance(leaf, Tensor):
            first = seen.setdefault(id(leaf), len(seen))
            spec = leaf._data.shape, leaf._data.dtype, leaf._requires_grad
            parts.append((*spec, first, layout_if_other(leaf._data)))
        elif isinstance(leaf, float):
            parts.append((type(leaf), leaf.hex()))  # tells 0.0 from −0.0
        elif isinstance(leaf, Hashable):
            parts.append((type(leaf), leaf))
        else:
            raise CaptureError(
                f"an argument is a {type(leaf).__name__}, neither a tensor nor a plain value",
                instead="Convert arrays with cr.tensor(x).",
            )
    return (tuple(parts), _structure(given))


def _structure(value: Any) -> Any:
    if isinstance(value, dict):
        return (type(value), *((key, _structure(item)) for key, item in value.items()))
    if isinstance(value, (tuple, list)):
        return (type(value), *map(_structure, value))
    return None
