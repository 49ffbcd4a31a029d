"""The settings: one printable record for each context, and so for each thread and task.

The default dtype holds for the whole process, as in PyTorch, unless a `use` block sets another.

>>> print(current())
Settings(gradients=True, default_dtype=float32, interpreter=evaluate, engine=native)
>>> with use(gradients=False):
...     current().gradients
False
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import DTypeError

_process: dict[str, np.dtype[Any]] = {"default_dtype": np.dtype(np.float32)}


class Settings(NamedTuple):
    """The settings of a context.

    gradients: True records ops on the tape, False does not. None means not on this level, such as
        during a backward pass, while the levels below, where `vmap` and `jvp` compute, may.
    own_dtype: the default dtype of the innermost `use` block that sets one, or None.
    interpreter: the top of the stack of interpreters, or None for plain evaluation.
    engine: "native" runs the C++ kernels where they are built, "numpy" the NumPy references.
    """

    gradients: bool | None = True
    own_dtype: np.dtype[Any] | None = None
    interpreter: Any = None
    engine: str = "native"

    @property
    def default_dtype(self) -> np.dtype[Any]:
        """The default dtype of the innermost `use` block that sets one, else of the process."""
        return self.own_dtype or _process["default_dtype"]

    def __str__(self) -> str:
        interpreter = type(self.interpreter).__name__ if self.interpreter else "evaluate"
        return (
            f"Settings(gradients={self.gradients}, default_dtype={self.default_dtype}, "
            f"interpreter={interpreter}, engine={self.engine})"
        )


context: ContextVar[Settings] = ContextVar("chainrule_settings", default=Settings())  # noqa: B039
current = context.get


def guarded() -> list[tuple[dict[str, Any], str, Any]]:
    """What the settings of this context depend on besides: (dict, key, value), if anything."""
    own = current().own_dtype is not None
    return [] if own else [(_process, key, value) for key, value in _process.items()]


KEEP = object()
"""The value of a setting that `use` leaves unchanged."""


class use:
    """Change settings inside a `with` block, for this thread only.

    >>> with use(engine="numpy") as settings:
    ...     settings.engine
    'numpy'
    """

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
        now = context.get()
        changed = Settings(
            now.gradients if gradients is KEEP else gradients,
            now.own_dtype if default_dtype is KEEP else default_dtype,
            now.interpreter if interpreter is KEEP else interpreter,
            now.engine if engine is KEEP else engine,
        )
        self._token = context.set(changed)
        return changed

    def __exit__(self, *error: object) -> None:
        context.reset(self._token)


def not_here() -> bool | None:
    """The value of `gradients` with which this level records nothing: None, or False if no level
    records."""
    return False if context.get().gradients is False else None


def change(**changes: Any) -> None:
    """Change settings from here on, for this thread only."""
    context.set(current()._replace(**changes))


def set_default_dtype(dtype: Any) -> None:
    """Set the floating dtype of Python floats and new parameters; it is `float32` at the start.

    It holds for all threads and tasks; inside a `use(default_dtype=...)` block, for that block.
    Raises DTypeError unless the dtype is floating.

    >>> set_default_dtype("float64")
    >>> get_default_dtype()
    dtype('float64')
    >>> set_default_dtype("float32")
    """
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        raise DTypeError("the default dtype must be floating", given=dtype, expected="float32")
    _process["default_dtype"] = dtype
    if current().own_dtype is not None:
        change(own_dtype=dtype)


def get_default_dtype() -> np.dtype[Any]:
    """The floating dtype of Python floats and new parameters.

    >>> get_default_dtype()
    dtype('float32')
    """
    return current().default_dtype
