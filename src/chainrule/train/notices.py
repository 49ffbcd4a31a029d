"""Messages on standard error, if it can be written."""

from __future__ import annotations

import contextlib
import sys

from chainrule.world import world


def has_terminal() -> bool:
    """Whether standard error is a terminal, so that a progress bar can be drawn."""
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # it is closed
        return False


def say(line: str) -> None:
    """Print a line on standard error, on the first rank. If that is not possible, nothing
    happens."""
    if sys.stderr is not None and not world().rank:
        with contextlib.suppress(OSError, ValueError):
            print(line, file=sys.stderr, flush=True)
