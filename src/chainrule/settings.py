"""The only settings: one printable record, scoped to the context, and so to the thread.

The default dtype is one for the whole process, as in PyTorch, but inside of a `use` block.

>>> print(current())
Settings(gradients=True, default_dtype=float32, interpreter=evaluate, engine=native)
>>> with use(gradients=False):
...     current().gradients
False
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import DTypeError

_process: dict[str, np.dtype[Any]] = {"default_dtype": np.dtype(np.float32)}


class Settings(NamedTuple):
    """gradients: record the tape. default_dtype: of Python floats. interpreter: what runs an op.

    `gradients` is None where a walk back needs no record of itself: this level records nothing, and
    the levels below, on which `vmap` and `jvp` compute, do as they are set. False holds for all.
    The interpreter is None for plain evaluation; a capture, or anomaly detection, puts itself here.
    `engine` is "native" for compiled programs on the C++ kernels where they are built, or "numpy".
    """

    gradients: bool | None = True
    own_dtype: np.dtype[Any] | None = None
    interpreter: Any = None
    engine: str = "native"

    @property
    def default_dtype(self) -> np.dtype[Any]:
        """That of the innermost `use` block, or of the process."""
        return self.own_dtype or _process["default_dtype"]

    def __str__(self) -> str:
        interpreter = type(self.interpreter).__name__ if self.interpreter else "evaluate"
        return (
            f"Settings(gradients={self.gradients}, default_dtype={self.default_dtype}, "
            f"interpreter={interpreter}, engine={self.engine})"
        )


_current: ContextVar[Settings] = ContextVar("chainrule_settings", default=Settings())  # noqa: B039
current = _current.get


KEEP = object()
"""Stands for a setting that is not changed."""


class use:
    """Change settings inside a `with` block, for this thread only."""

    __slots__ = ("_changes", "_token")

    def __init__(
        self,
        gradients: Any = KEEP,
        default_dtype: Any = KEEP,
        interpreter: Any = KEEP,
        engine: Any = KEEP,
    ) -> None:
        self._changes = (gradients, default_dtype, interpreter, engine)

    def __enter__(self) -> Settings:
        gradients, default_dtype, interpreter, engine = self._changes
        now = _current.get()
        changed = Settings(
            now.gradients if gradients is KEEP else gradients,
            now.own_dtype if default_dtype is KEEP else default_dtype,
            now.interpreter if interpreter is KEEP else interpreter,
            now.engine if engine is KEEP else engine,
        )
        self._token = _current.set(changed)
        return changed

    def __exit__(self, *error: object) -> None:
        _current.reset(self._token)


def not_here() -> bool | None:
    """What to set `gradients` to so that this level records nothing: None, or False if that is so
    for all levels already."""
    return False if _current.get().gradients is False else None


_switched: tuple[Settings | None, Settings] = (None, Settings())
"""Settings, and the same with gradients switched: the last that were asked for."""


def switch_gradients(on: bool) -> Token[Settings]:
    """Record gradients or not from here on; the token undoes it, see `restore`."""
    global _switched
    now = _current.get()
    if now.gradients is on:
        return _current.set(now)
    before, after = _switched
    if before is not now:
        after = now._replace(gradients=on)
        _switched = now, after
    return _current.set(after)


restore = _current.reset


def change(**changes: Any) -> None:
    """Change settings from here on, for this thread only."""
    _current.set(current()._replace(**changes))


def set_default_dtype(dtype: Any) -> None:
    """Set the floating dtype that Python floats and new parameters get (`float32` at the start).

    It holds for all threads and tasks; inside of a `use(default_dtype=...)` block, for that block.
    """
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        raise DTypeError("the default dtype must be floating", given=dtype, expected="float32")
    _process["default_dtype"] = dtype
    if current().own_dtype is not None:
        change(own_dtype=dtype)


def get_default_dtype() -> np.dtype[Any]:
    """The floating dtype that Python floats and new parameters get."""
    return current().default_dtype
