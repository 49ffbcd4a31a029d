"""Ctrl-C and SIGTERM as requests to stop after the current step."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupts:
    """Inside `with Interrupts() as interrupts`, the first SIGINT or SIGTERM is only recorded.

    `interrupts.pending` is its name, and the training loop stops at the next safe point. With
    `shared`, only `noted` is its name, and `pending` is set when all ranks know of it. A second
    SIGINT raises KeyboardInterrupt immediately. Afterwards the previous handlers are restored. In
    threads other than the main one, Python delivers no signals, and nothing changes.
    """

    def __init__(self, shared: bool = False) -> None:
        self.shared = shared
        self.noted: str | None = None
        self.pending: str | None = None
        self._old: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                old = signal.getsignal(number)
                if old is not None and old is not signal.SIG_IGN:
                    self._old[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        self._old.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.noted is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.noted = signal.Signals(number).name
        if not self.shared:
            self.pending = self.noted
