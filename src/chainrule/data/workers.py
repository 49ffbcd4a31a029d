"""Worker processes of a loader: they read batches, each its share, and send them back in order."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import random
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np

from chainrule.engine import set_num_threads
from chainrule.errors import WorkerError
from chainrule.ops.random import default_generator

_POLL = 0.5
"""Seconds between two looks at whether the other process lives."""
_FAREWELL = 2.0
"""Seconds that a process has to end by itself."""


class WorkerInfo(NamedTuple):
    """What a worker process knows: its number, of how many, its seed, and its copy of the
    dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: list[WorkerInfo] = []


def get_worker_info() -> WorkerInfo | None:
    """In a worker process of a loader, what it knows; in the main process None.

    An iterable dataset reads it to yield only the share of its process.

    >>> get_worker_info() is None
    True
    """
    return _info[0] if _info else None


class Failure(NamedTuple):
    """An exception of a worker process, with its traceback as text."""

    kind: type[BaseException]
    text: str
    worker: int

    def reraise(self) -> None:
        """Raise an exception of the same class, whose message has the traceback."""
        name = self.kind.__name__
        message = f"Caught {name} in DataLoader worker process {self.worker}.\n{self.text}"
        try:
            error = self.kind(message)
        except Exception:  # its class takes other arguments
            error = WorkerError(message)
        raise error


class Signal(NamedTuple):
    """A message that is no batch and no task: a reader is at its end, or is to restart or stop."""

    word: str


END, RESTART, STOP = Signal("end"), Signal("restart"), Signal("stop")


class Workers:
    """Processes that each have a copy of a `reader`, whose `read(task)` gives a batch or `END`.

    The tasks go to the processes in turn, `prefetch` to each in advance. Process i starts with the
    random state of `seed` + i, and then calls `start(i)`.
    """

    def __init__(
        self,
        reader: Any,
        count: int,
        seed: int,
        *,
        start: Callable[[int], Any] | None = None,
        prefetch: int = 2,
        timeout: float = 0,
        context: Any = None,
    ) -> None:
        self.prefetch, self.timeout = prefetch, timeout
        if context is None or isinstance(context, str):
            context = multiprocessing.get_context(context)
        self.stopped = context.Event()
        self.tasks = [context.Queue() for _ in range(count)]
        for tasks in self.tasks:
            tasks.cancel_join_thread()  # this process may end before its workers
        self.results = [context.Queue() for _ in range(count)]
        self.processes = []
        for place in range(count):
            info = WorkerInfo(place, count, seed + place, reader.dataset)
            own = (reader, self.tasks[place], self.results[place], self.stopped)
            process = context.Process(
                target=_work,
                args=(*own, info, seed, start),
                daemon=True,
                name=f"DataLoader {place}",
            )
            process.start()
            self.processes.append(process)

    def run(self, tasks: Iterator[Any]) -> Iterator[Any]:
        """The batches of the tasks, in their order. Ends when the tasks or all readers do."""
        active = dict.fromkeys(range(len(self.processes)))
        turns, waiting = cycle(range(len(self.processes))), deque[int]()

        def send() -> None:
            place = next((p for p in islice(turns, len(self.processes)) if p in active), None)
            for task in islice(tasks, place is not None):
                self.tasks[place].put(task)  # type: ignore[index]
                waiting.append(place)  # type: ignore[arg-type]

        for _ in range(self.prefetch * len(self.processes)):
            send()
        while waiting:
            place = waiting.popleft()
            batch = self._get(place)
            if isinstance(batch, Signal):
                active.pop(place, None)
            send()
            if isinstance(batch, Failure):
                batch.reraise()
            if not isinstance(batch, Signal):
                yield batch

    def restart(self) -> None:
        """Discard what was not read, and let the readers begin anew."""
        for place, tasks in enumerate(self.tasks):
            tasks.put(RESTART)
            while not (isinstance(found := self._get(place), Signal) and found == RESTART):
                pass

    def _get(self, place: int) -> Any:
        """The next message of a process. Raises WorkerError if it ended, or after `timeout`."""
        began = time.monotonic()
        while True:
            wait = min(_POLL, self.timeout) if self.timeout else _POLL
            was_alive = self.processes[place].is_alive()
            try:
                return pickle.loads(self.results[place].get(timeout=wait))
            except queue.Empty:
                if not was_alive:
                    raise self._died(place) from None
            if self.timeout and time.monotonic() - began >= self.timeout:
                raise WorkerError(f"DataLoader timed out after {self.timeout} seconds")

    def _died(self, place: int) -> WorkerError:
        process = self.processes[place]
        return WorkerError(
            f"DataLoader worker (pid {process.pid}) exited unexpectedly with code "
            f"{process.exitcode}",
            instead="Set num_workers=0 to see the error of the dataset in this process.",
        )

    def close(self) -> None:
        """End the processes."""
        self.stopped.set()
        for tasks in self.tasks:
            tasks.put(STOP)
        end = time.monotonic() + _FAREWELL
        for process in self.processes:
            process.join(max(0.0, end - time.monotonic()))
            if process.is_alive():
                process.terminate()
                process.join()
        for messages in (*self.tasks, *self.results):
            messages.close()


def _work(
    reader: Any, tasks: Any, results: Any, stopped: Any, info: WorkerInfo, seed: int, start: Any
) -> None:
    """The main function of a worker process."""
    parent, failure = os.getppid(), None
    try:
        try:
            _begin(info, seed, start)
        except Exception as error:
            failure = _failure(error, info)
        while os.getppid() == parent:
            try:
                task = tasks.get(timeout=_POLL)
            except queue.Empty:
                continue
            is_signal = isinstance(task, Signal)
            if stopped.is_set() or (is_signal and task == STOP):
                break
            if is_signal:
                reader.restart()
                results.put(pickle.dumps(task))
            else:
                results.put(failure or _read(reader, task, info))
                failure = None
    except KeyboardInterrupt:
        pass  # the main process raises it too
    results.cancel_join_thread()  # nobody reads what is left


def _read(reader: Any, task: Any, info: WorkerInfo) -> bytes:
    """A batch, or the exception that reading or pickling it raised, pickled."""
    try:
        return pickle.dumps(reader.read(task))
    except Exception as error:
        return _failure(error, info)


def _failure(error: Exception, info: WorkerInfo) -> bytes:
    text = "Original " + "".join(traceback.format_exception(error))
    try:
        return pickle.dumps(Failure(type(error), text, info.id))
    except Exception:  # a class that the main process cannot find
        return pickle.dumps(Failure(WorkerError, text, info.id))


def _begin(info: WorkerInfo, seed: int, start: Callable[[int], Any] | None) -> None:
    """Set the random states of a worker process, as PyTorch does, and call the user's function."""
    _info[:] = [info]
    set_num_threads(1)
    random.seed(info.seed)
    default_generator.manual_seed(info.seed)
    words = [info.id, seed & 0xFFFFFFFF, seed >> 32, 0]
    np.random.seed(np.random.SeedSequence(words).generate_state(4))
    if start is not None:
        start(info.id)
