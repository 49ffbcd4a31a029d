"""Lines for people on standard error, where there is one that takes them."""

from __future__ import annotations

import contextlib
import sys


def say(line: str) -> None:
    """Print a line on standard error. A program without one, or whose reader is gone, goes on."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            print(line, file=sys.stderr, flush=True)
