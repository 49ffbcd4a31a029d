"""Lines for people on standard error, where there is one that takes them."""

from __future__ import annotations

import contextlib
import sys


def has_terminal() -> bool:
    """Whether standard error is a terminal, which a bar can be drawn on."""
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # it is closed
        return False


def say(line: str) -> None:
    """Print a line on standard error. A process without one, or whose reader is gone, goes on."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            print(line, file=sys.stderr, flush=True)
