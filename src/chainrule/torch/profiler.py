"""`torch.profiler`: nothing is recorded. `chainrule.compile(step).report()` shows times."""

from __future__ import annotations

from contextlib import ContextDecorator
from typing import Any

from chainrule.torch.adapter import names


class record_function(ContextDecorator):
    """A `with` block with a name for the profiler, which there is none of: it has no effect."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name, self.args = name, args

    def __enter__(self) -> record_function:
        return self

    def __exit__(self, *error: Any) -> None:
        pass


__getattr__, __dir__ = names.facade(__name__)
