"""Reading ahead: a thread of this process reads batches while the loop uses earlier ones."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Iterator
from typing import Any

_END = object()


def read_ahead(batches: Iterator[Any], depth: int) -> Iterator[Any]:
    """The same items, read up to `depth` ahead by one thread. Its exceptions are raised here."""
    ready: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def work() -> None:
        try:
            for item in batches:
                ready.put((item, None))
                if stopped.is_set():
                    return
            ready.put((_END, None))
        except BaseException as error:
            ready.put((_END, error))

    # Settings are scoped to the context: the thread uses those of the loop.
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), daemon=True, name="DataLoader")
    try:
        thread.start()
    except RuntimeError:  # The system cannot start a thread.
        yield from batches
        return
    try:
        while True:
            item, error = _next(ready, thread)
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stopped.set()
        while thread.is_alive():
            while not ready.empty():
                ready.get_nowait()
            thread.join(0.005)


def _next(ready: queue.Queue[Any], thread: threading.Thread) -> Any:
    while True:
        try:
            return ready.get(timeout=1.0)
        except queue.Empty:
            # A forked process inherits the queue, but not the thread.
            if not thread.is_alive() and ready.empty():
                raise RuntimeError(
                    "the DataLoader's reading thread is gone (was the process forked in mid-loop?);"
                    " start a new loop in the child process"
                ) from None
