"""Whether gradients are recorded: `no_grad`, `enable_grad`, `set_grad_enabled`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ContextDecorator
from typing import Any, TypeVar, overload

from chainrule import settings

F = TypeVar("F", bound=Callable[..., Any])


class _GradientMode(ContextDecorator):
    """A context manager and decorator that sets whether gradients are recorded, per thread.

    The body of a generator or coroutine runs after the call that makes it. So when it decorates
    one, the mode holds while the body runs, and not between its steps.
    """

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self._entered: list[Any] = []

    def __enter__(self) -> None:
        self._entered.append(settings.switch_gradients(self.enabled))

    def __exit__(self, *error: Any) -> None:
        settings.restore(self._entered.pop())

    def __call__(self, function: F) -> F:
        mode = functools.partial(_GradientMode, self.enabled)
        if inspect.isgeneratorfunction(function):
            return _generator(function, mode)
        if inspect.iscoroutinefunction(function):
            return _coroutine(function, mode)
        if inspect.isasyncgenfunction(function):
            return _async_generator(function, mode)
        return super().__call__(function)

    def _recreate_cm(self) -> _GradientMode:
        return _GradientMode(self.enabled)


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
    return _GradientMode(False) if function is None else _GradientMode(False)(function)


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
    return _GradientMode(True) if function is None else _GradientMode(True)(function)


class _GradientSwitch(_GradientMode):
    """A mode that holds from its creation, as in PyTorch. The end of a `with` block ends it."""

    def __init__(self, enabled: bool) -> None:
        super().__init__(enabled)
        self._before = settings.current().gradients
        settings.change(gradients=enabled)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: Any) -> None:
        settings.change(gradients=self._before)

    def __call__(self, function: F) -> F:
        settings.change(gradients=self._before)  # a decorator changes the mode in the function only
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
    return bool(settings.current().gradients)
