"""The world: the processes that an MPI launcher started together, its ranks, of which this is one.

`world()` finds it at the first call. A process that no launcher started is a world of one, and
imports no MPI. Only buffers are exchanged, never pickled objects.

A sum over ranks is a balanced binary tree over *shards*, whose number is fixed: each rank adds the
subtrees of its own shards, and one of the ranks adds what remains of each element. So the bits of a
sum depend on the number of shards, and not on the number of ranks.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from chainrule.errors import ArgumentError, RankError, missing_dependency

T = TypeVar("T")
Array = np.ndarray[Any, Any]
Node = tuple[int, int]
"""The shards of a subtree: from the first up to, and without, the last."""

LAUNCHED = ("PMI_SIZE", "PMIX_RANK", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
"""What launchers set in the environment of the processes that they start."""
CHILD = "CHAINRULE_RANK_PROCESS"
"""The process that found the world; its own children inherit the variable, and are no ranks."""
TIMEOUT = "CHAINRULE_RANK_TIMEOUT"
"""Seconds to wait for the other ranks; 600 if it is not set."""
_SPIN, _PAUSE, _ANSWER = 2e-3, 1e-4, 2.0
_ASK, _HERE = 1, 2


def subtrees(start: int, stop: int, first: int, last: int) -> list[Node]:
    """The largest subtrees of the tree over `start` … `stop` that lie in `first` … `last`.

    >>> subtrees(0, 8, 4, 8), subtrees(0, 6, 2, 4)
    ([(4, 8)], [(2, 3), (3, 4)])
    """
    if first <= start and stop <= last:
        return [(start, stop)]
    if stop <= first or last <= start:
        return []
    middle = (start + stop) // 2
    return subtrees(start, middle, first, last) + subtrees(middle, stop, first, last)


def tree_sum(start: int, stop: int, known: Mapping[Node, T], add: Callable[[T, T], T]) -> T:
    """The sum of the shards `start` … `stop` as a balanced tree, from subtrees that are known.

    >>> tree_sum(0, 4, {(0, 2): "ab", (2, 3): "c", (3, 4): "d"}, lambda x, y: f"({x}{y})")
    '(ab(cd))'
    """
    if (start, stop) in known:
        return known[start, stop]
    middle = (start + stop) // 2
    return add(tree_sum(start, middle, known, add), tree_sum(middle, stop, known, add))


@lru_cache(maxsize=64)
def nodes_by_rank(shards: int, size: int) -> list[list[Node]]:
    """The subtrees that each rank adds by itself; ArgumentError if the ranks do not divide the
    shards."""
    if shards < 1 or shards % size:
        raise ArgumentError(
            f"{size} ranks cannot share {shards} shards equally",
            expected=f"a multiple of {size} shards",
            instead=f"Use shards={max(shards // size, 1) * size}, or another number of ranks.",
        )
    each = shards // size
    return [subtrees(0, shards, r * each, (r + 1) * each) for r in range(size)]


class World:
    """The ranks of a job. `rank` is the number of this one, and `size` how many there are.

    Each method with communication is called by all ranks, in the same order. Raises RankError if
    another rank does not come within `timeout` seconds.
    """

    def __init__(self, comm: Any = None, timeout: float = 600.0) -> None:
        self._comm, self.timeout = comm, timeout
        self.rank: int = 0 if comm is None else comm.Get_rank()
        self.size: int = 1 if comm is None else comm.Get_size()
        self._talk = None if self.size == 1 else comm.Dup()
        self._calls = 0
        self._memory: dict[Any, Array] = {}

    def add_up(self, rows: Array, shards: int, out: Array) -> Array:
        """Write Σ over all shards into `out`. Row i of `rows` is the sum of the i-th subtree of
        this rank, see `nodes_by_rank`; rows beyond these are not read."""
        table = nodes_by_rank(shards, self.size)
        if self.size == 1:
            out[...] = rows[0]
            return out
        length, count = max(map(len, table)), out.size
        share = -(-count // self.size)
        parts = self._spare("sent", (self.size, length, share), out.dtype)
        if length == 1 and share * self.size == count and rows.flags.c_contiguous:
            parts = rows.reshape(parts.shape)
        else:
            padded = self._spare("padded", (length, self.size * share), out.dtype)
            padded[:, :count] = rows[:length].reshape(length, -1)
            parts[...] = padded.reshape(length, self.size, share).swapaxes(0, 1)
        received = self._spare("received", parts.shape, out.dtype)
        self._wait(self._comm.Ialltoall(_bytes(parts), _bytes(received)))
        known = {n: received[r, i] for r in range(self.size) for i, n in enumerate(table[r])}
        halves = ((0, shards // 2), (shards // 2, shards))
        left, right = (tree_sum(*half, known, _add_into) for half in halves)
        whole = share * self.size == count and out.flags.c_contiguous
        target = out if whole else self._spare("total", (share * self.size,), out.dtype)
        np.add(left, right, out=target.reshape(self.size, share)[self.rank])
        self._wait(self._comm.Iallgather(sys.modules["mpi4py.MPI"].IN_PLACE, _bytes(target)))
        if not whole:
            out[...] = target[:count].reshape(out.shape)
        return out

    def gather(self, data: bytes) -> list[bytes]:
        """The bytes of all ranks, by rank."""
        if self.size == 1:
            return [data]
        lengths = np.empty(self.size, np.int64)
        self._wait(self._comm.Iallgather(np.array([len(data)], np.int64), lengths))
        buffer, ends = bytearray(int(lengths.sum())), np.cumsum(lengths)
        places = (lengths.tolist(), (ends - lengths).tolist())
        self._wait(self._comm.Iallgatherv(data, [buffer, places, _kind("BYTE")]))
        return [bytes(buffer[end - n : end]) for n, end in zip(lengths, ends, strict=True)]

    def broadcast(self, array: Array, source: int = 0) -> Array:
        """The array of the rank `source`, which is written into those of all ranks."""
        if not 0 <= source < self.size:
            raise ArgumentError("no such rank", given=source, expected=f"0 to {self.size - 1}")
        if self.size > 1:
            sent = np.array(array, order="C")
            self._wait(self._comm.Ibcast(_bytes(sent), source))
            array[...] = sent
        return array

    def barrier(self) -> None:
        """Wait until all ranks are here."""
        if self.size > 1:
            self._wait(self._comm.Ibarrier())

    def chosen(self, text: str) -> str:
        """The text of rank 0."""
        return self.gather(text.encode())[0].decode()

    def agree(self, facts: Mapping[str, bytes | str]) -> None:
        """Raise RankError on all ranks unless all have the same facts; it names the first that
        differs, and the rank where it does."""
        texts = [f if isinstance(f, bytes) else f.encode() for f in facts.values()]
        lengths = np.array([len(t) for t in texts], np.int64)
        own = lengths.tobytes() + b"".join(texts)
        for rank, other in enumerate(found := self.gather(own)):
            if other != found[0]:
                name, here, there = _difference([*facts], found[0], other)
                raise RankError(
                    f"rank {rank} differs from rank 0 in {name}",
                    given=there,
                    expected=here,
                    instead="Start all ranks with the same code, data, options and seed "
                    "(cr.manual_seed), on processors of one kind.",
                )

    # -- waiting -------------------------------------------------------------------------------

    def _wait(self, request: Any) -> None:
        """Wait for a call, and answer other ranks that ask who is waiting."""
        self._calls += 1
        start = time.monotonic()
        while not request.Test():
            waited = time.monotonic() - start
            if waited < _SPIN:
                os.sched_yield()
                continue
            time.sleep(_PAUSE)
            self._answer()
            if waited > self.timeout:
                self._report(request)
                return

    def _answer(self) -> None:
        talk: Any = self._talk
        while talk.Iprobe(tag=_ASK):
            asking = np.empty(1, np.int64)
            talk.Recv(asking, tag=_ASK)
            talk.Send(np.array([self._calls]), int(asking[0]), tag=_HERE)

    def _report(self, request: Any) -> None:
        """Ask who else is waiting, and raise RankError that names the others. Returns if the call
        ended in the meantime."""
        talk: Any = self._talk
        others = [r for r in range(self.size) if r != self.rank]
        for other in others:
            talk.Send(np.array([self.rank]), other, tag=_ASK)
        calls, end = {self.rank: self._calls}, time.monotonic() + _ANSWER
        while time.monotonic() < end and len(calls) < self.size:
            if request.Test():
                return
            self._answer()
            for other in others:
                if talk.Iprobe(source=other, tag=_HERE):
                    number = np.empty(1, np.int64)
                    talk.Recv(number, source=other, tag=_HERE)
                    calls[other] = int(number[0])
            time.sleep(_PAUSE)
        absent = [r for r in others if r not in calls]
        problem = f"rank {', '.join(map(str, absent))} did not come within {self.timeout:g} s"
        if not absent:
            problem = f"the ranks wait for each other in different calls: {calls}"
        raise RankError(
            f"{problem} (call {self._calls}, seen from rank {self.rank})",
            instead=f"Look at what that rank does. {TIMEOUT}=SECONDS changes the limit.",
        )

    def _spare(self, purpose: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """Memory that is kept between calls."""
        key = (purpose, shape, dtype)
        if key not in self._memory:
            self._memory[key] = np.zeros(shape, dtype)
        return self._memory[key]


def _add_into(a: Array, b: Array) -> Array:
    return np.add(a, b, out=a)


def _bytes(array: Array) -> list[Any]:
    """An array as bytes, since MPI moves them and adds nothing."""
    return [array.reshape(-1).view(np.uint8), _kind("BYTE")]


def _kind(name: str) -> Any:
    return getattr(sys.modules["mpi4py.MPI"], name)


def _difference(names: Sequence[str], here: bytes, there: bytes) -> tuple[str, str, str]:
    """The first fact that differs between two encoded records, and both values of it."""
    for name, a, b in zip(
        names, _decoded(here, len(names)), _decoded(there, len(names)), strict=True
    ):
        if a != b:
            return name, _shown(a), _shown(b)
    return "the number of facts", str(len(here)), str(len(there))


def _decoded(record: bytes, count: int) -> list[bytes]:
    ends = np.cumsum(np.frombuffer(record[: 8 * count], np.int64)) + 8 * count
    starts = [8 * count, *ends[:-1]]
    return [record[a:b] for a, b in zip(starts, ends, strict=True)]


def _shown(fact: bytes) -> str:
    """A fact as text; a digest, which is no text, by its first digits."""
    try:
        return fact.decode()
    except UnicodeDecodeError:
        return fact.hex()[:12]


_world: World | None = None


def world() -> World:
    """The world of this process."""
    global _world
    if _world is None:
        _world = _found()
    return _world


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Inside, this process is a world of its own: what it computes waits for no other rank."""
    global _world
    before, _world = world(), World()
    try:
        yield
    finally:
        _world = before


def _found() -> World:
    """The world that the launcher made, by its traces in the environment."""
    launched = next((name for name in LAUNCHED if name in os.environ), None)
    is_child = os.environ.get(CHILD, str(os.getpid())) != str(os.getpid())
    if is_child or (launched is None and "mpi4py.MPI" not in sys.modules):
        return World()
    try:
        comm = importlib.import_module("mpi4py.MPI").COMM_WORLD
    except ImportError:
        if launched and os.environ[launched] in ("0", "1"):
            return World()
        raise missing_dependency("mpi4py", "mpi", "training on several ranks") from None
    os.environ[CHILD] = str(os.getpid())
    found = World(comm, float(os.environ.get(TIMEOUT, "600")))
    _check_tasks(found.size)
    if found.size > 1:
        _abort_on_error(comm)
    return found


def _check_tasks(size: int) -> None:
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
    if size == 1 and tasks not in ("0", "1"):
        raise RankError(
            f"srun started {tasks} tasks, and each is alone for MPI",
            instead="Start them with `srun --mpi=pmi2`, or with the mpiexec beside this Python.",
        )


def _abort_on_error(comm: Any) -> None:
    """Let an exception that nobody catches end the job: the others would wait for this rank."""

    def show_and_abort(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        lines = traceback.format_exception(kind, error, trace)
        with contextlib.suppress(Exception):  # at once, so that ranks do not mix their lines
            sys.stderr.write(f"rank {comm.Get_rank()} ends the job:\n{''.join(lines)}")
            sys.stderr.flush()
        comm.Abort(130 if issubclass(kind, KeyboardInterrupt) else 1)

    sys.excepthook = show_and_abort
