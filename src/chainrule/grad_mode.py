"""Whether gradients are recorded: `no_grad`, `enable_grad`, `set_grad_enabled`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ContextDecorator
from typing import Any, TypeVar, overload

from chainrule import engine
from chainrule.settings import Settings, change, context, current

F = TypeVar("F", bound=Callable[..., Any])
enter, leave = context.set, context.reset


class _GradientMode(ContextDecorator):
    """A context manager and decorator that sets whether gradients are recorded, per thread.

    The body of a generator or coroutine runs after the call that makes it. So when it decorates
    one, the mode holds while the body runs, and not between its steps.
    """

    __slots__ = ("_entered",)
    enabled: bool
    _entered: Any
    """The token of the innermost block, and those of the others in the same form or None."""
    _switched: tuple[Settings | None, Settings] = (None, Settings())
    """Of a class: the settings outside of the last block, and those in it."""

    def __enter__(self) -> None:
        now = current()
        outside, inside = self._switched
        if now is not outside:
            inside = now
            if now.gradients is not self.enabled:
                inside = now._replace(gradients=self.enabled)
                type(self)._switched = now, inside
        self._entered = enter(inside), getattr(self, "_entered", None)

    def __exit__(self, *error: object) -> None:
        token, self._entered = self._entered
        leave(token)

    def __call__(self, function: F) -> F:
        mode = self._recreate_cm
        if inspect.isgeneratorfunction(function):
            return _generator(function, mode)
        if inspect.iscoroutinefunction(function):
            return _coroutine(function, mode)
        if inspect.isasyncgenfunction(function):
            return _async_generator(function, mode)
        return super().__call__(function)

    def _recreate_cm(self) -> _GradientMode:
        return _WithGradients() if self.enabled else _WithoutGradients()


_tokens = vars(_GradientMode)["_entered"]
_GradientMode.__enter__ = engine.shortcut(  # type: ignore[method-assign]
    "enter", _GradientMode.__enter__, _tokens
)
_GradientMode.__exit__ = engine.shortcut(  # type: ignore[method-assign]
    "exit", _GradientMode.__exit__, _tokens
)


class _WithGradients(_GradientMode):
    enabled = True


class _WithoutGradients(_GradientMode):
    enabled = False


def _generator(function: Callable[..., Any], mode: Callable[[], _GradientMode]) -> Any:
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        generator = function(*args, **kwargs)
        resume, value = generator.send, None
        while True:
            try:
                with mode():
                    result = resume(value)
            except StopIteration as end:
                return end.value
            try:
                resume, value = generator.send, (yield result)
            except BaseException as error:  # thrown in, or GeneratorExit when it is closed
                resume, value = generator.throw, error

    return run


def _coroutine(function: Callable[..., Any], mode: Callable[[], _GradientMode]) -> Any:
    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        with mode():
            return await function(*args, **kwargs)

    return run


def _async_generator(function: Callable[..., Any], mode: Callable[[], _GradientMode]) -> Any:
    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        generator = function(*args, **kwargs)
        resume, value = generator.asend, None
        while True:
            try:
                with mode():
                    result = await resume(value)
            except StopAsyncIteration:
                return
            try:
                resume, value = generator.asend, (yield result)
            except BaseException as error:
                resume, value = generator.athrow, error

    return run


@overload
def no_grad(function: None = None) -> _GradientMode: ...
@overload
def no_grad(function: F) -> F: ...
def no_grad(function: Any = None) -> Any:
    """Do not record gradients inside the block or function: a context manager and decorator.

    >>> import chainrule as cr
    >>> x = cr.tensor(2.0, requires_grad=True)
    >>> with cr.no_grad():
    ...     (x * x).requires_grad
    False
    """
    return _WithoutGradients() if function is None else _WithoutGradients()(function)


@overload
def enable_grad(function: None = None) -> _GradientMode: ...
@overload
def enable_grad(function: F) -> F: ...
def enable_grad(function: Any = None) -> Any:
    """Record gradients inside the block or function, also within `no_grad`.

    >>> import chainrule as cr
    >>> x = cr.tensor(2.0, requires_grad=True)
    >>> with cr.no_grad(), cr.enable_grad():
    ...     (x * x).requires_grad
    True
    """
    return _WithGradients() if function is None else _WithGradients()(function)


class _GradientSwitch(_GradientMode):
    """A mode that holds from its creation, as in PyTorch. The end of a `with` block ends it."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self._before = current().gradients
        change(gradients=enabled)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        change(gradients=self._before)

    def __call__(self, function: F) -> F:
        change(gradients=self._before)  # a decorator changes the mode in the function only
        return super().__call__(function)


def set_grad_enabled(mode: bool) -> _GradientMode:
    """Record gradients or not from here on. In a `with` statement or as a decorator: only there.

    >>> import chainrule as cr
    >>> with cr.set_grad_enabled(False):
    ...     cr.is_grad_enabled()
    False
    """
    return _GradientSwitch(mode)


def is_grad_enabled() -> bool:
    """Whether gradients are recorded in this thread.

    >>> import chainrule as cr
    >>> cr.is_grad_enabled()
    True
    """
    return bool(current().gradients)
