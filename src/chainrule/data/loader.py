"""The loader: batches of tensors, in an order that depends only on (seed, epoch), or that a sampler
gives."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, repeat, starmap
from typing import Any

import numpy as np

from chainrule.data.ahead import read_ahead
from chainrule.data.chunks import ChunkOrder, Chunks
from chainrule.data.collate import default_collate, default_convert
from chainrule.data.dataset import IterableDataset
from chainrule.data.position import Position, whole
from chainrule.data.reading import Chunked, Gathered, Gathering, Part, Parted, Samples, Stream
from chainrule.data.samplers import BatchSampler
from chainrule.data.seeds import BATCH, CHUNK, draw_seed, place_generator
from chainrule.data.workers import Signal, Workers
from chainrule.errors import ArgumentError, DTypeError, ShapeError, listing
from chainrule.ops.random import Generator
from chainrule.tensor import from_numpy

_AHEAD = 2
_BUFFER_BYTES = 2**25


class DataLoader(Position):
    """Iterates over `dataset` in batches: one tuple of tensors (batch_size, ...) per step.

    Each batch is read by one call of `dataset.gather`. With `shuffle`, the order of epoch e is
    `np.random.Generator(np.random.Philox(key=[seed, e])).permutation(n)`. The augmentation of batch
    b uses a generator of (seed, e, b). Neither depends on earlier reads, so a restored loader
    continues with the same bits. The random state of NumPy and Python is never used.

    A dataset with `chunks`, such as arrays in files, is shuffled by chunks: the chunks come in
    random order, and as many as a buffer holds are shuffled together. This order too depends only
    on (seed, epoch).

    Parameters
    ----------
    batch_size: samples per batch, >= 1. The last batch may be smaller, unless `drop_last`. None
        gives single samples.
    shuffle: whether each epoch has a new order; by default the order of the dataset.
    sampler, batch_sampler: the indices of each epoch instead, one by one or in lists. The position
        of such a loader can be restored only at the start of an epoch.
    collate_fn: makes a batch of a list of samples, as `default_collate` does.
    num_workers: processes that read batches; with 0, this one does. `worker_init_fn(i)` is called
        in process i. Each prepares `prefetch_factor` batches, by default 2. With
        `persistent_workers` they live as long as the loader. An error in a process is raised here,
        also if a process ends, or has no batch after `timeout` seconds.
    seed: 0 to 2⁶⁴ − 1, for orders that depend only on the epoch. By default, each epoch draws a
        seed from `generator`, or from the generator of `cr.manual_seed`, and uses the order of
        epoch 0. Two loops or two loaders then have different orders, and a program that sets the
        seed is reproducible.
    prefetch: number of batches that a background thread reads ahead; 0 for no thread. By default 2
        if the dataset waits for files, and 0 for arrays in memory, where a thread does not pay off.
        If no thread can be started, the loop reads each batch itself.
    buffer: the number of samples that are shuffled together, for a dataset with `chunks`: by
        default as many as take 32 MiB, and at least one chunk.
    part: (first, last, count) reads a part of each batch: of `count` shards, those from `first` up
        to, and without, `last`. `cr.distributed.part()` is that of this process. Each shard has an
        augmentation of its own.

    Each `for` loop is one epoch and continues at the position that `load_state_dict` restored. A
    loop that ends early also counts as an epoch. An IterableDataset gives its samples in its own
    order, in batches by `default_collate`.

    >>> from chainrule.data import ArrayDataset
    >>> loader = DataLoader(ArrayDataset(np.arange(5)), batch_size=2)
    >>> [batch.numpy().tolist() for batch, in loader]
    [[0, 1], [2, 3], [4]]
    >>> loader.epoch, len(loader)
    (1, 3)

    Raises ArgumentError for an empty dataset, a batch size below 1, options that exclude each
    other, or settings without any batch.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 32,
        shuffle: bool = False,
        *,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        seed: int | None = None,
        prefetch: int | None = None,
        buffer: int | None = None,
        part: Part | None = None,
    ) -> None:
        self.dataset, self.collate_fn = dataset, collate_fn
        self.batch_size = None if batch_size is None else whole(batch_size, "batch_size", 1)
        self.shuffle, self.drop_last = bool(shuffle), bool(drop_last)
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self.num_workers = whole(num_workers, "num_workers", 0)
        self.timeout, self.worker_init_fn = timeout, worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.prefetch_factor, self.persistent_workers = prefetch_factor, persistent_workers
        ahead = _AHEAD if getattr(dataset, "waits", False) and not num_workers else 0
        self.prefetch = whole(ahead if prefetch is None else prefetch, "prefetch", 0)
        streams = isinstance(dataset, IterableDataset)
        self.has_own_order = streams or sampler is not None or batch_sampler is not None
        self._check(streams)
        self.chunks = self._shuffled_chunks(buffer)
        self.part, self.reader = part, self._reader(streams)
        if part is not None:
            self.reader = self._parted(*part)
        if sampler is not None and self.batch_size is not None:
            self.batch_sampler = BatchSampler(sampler, self.batch_size, self.drop_last)
        self._begin(None if self.has_own_order else len(dataset), seed, generator)
        self._workers: Workers | None = None
        if not self.has_own_order:
            self._check_length()

    def _check(self, streams: bool) -> None:
        """Refuse options that exclude each other."""
        has_sampler = self.sampler is not None
        if streams and (self.shuffle or has_sampler or self.batch_sampler is not None):
            raise ArgumentError(
                "an iterable dataset has no indices to shuffle or to sample",
                instead="Shuffle in its __iter__.",
            )
        if has_sampler and self.shuffle:
            raise ArgumentError("sampler and shuffle both give the order", expected="one of them")
        if self.batch_sampler is not None and (has_sampler or self.shuffle or self.drop_last):
            raise ArgumentError("batch_sampler gives batches", expected="no other option for them")
        if self.batch_size is None and self.drop_last:
            raise ArgumentError("there are no batches to drop", given="batch_size=None")
        if self.timeout < 0:
            raise ArgumentError(f"timeout = {self.timeout}", expected="seconds ≥ 0")
        if not self.num_workers and (self.prefetch_factor or self.persistent_workers):
            raise ArgumentError(
                "prefetch_factor and persistent_workers are for processes",
                instead="Set num_workers > 0.",
            )

    def _shuffled_chunks(self, buffer: int | None) -> Chunks | None:
        bounds = getattr(self.dataset, "chunks", None) if self.shuffle else None
        if bounds is not None:
            room = _room(self.dataset) if buffer is None else whole(buffer, "buffer", 1)
            return Chunks(bounds, room)
        if buffer is not None:
            raise ArgumentError(
                f"buffer = {buffer!r} is for shuffled data that is read by chunks",
                instead="Leave it out: other data is shuffled as a whole.",
            )
        return None

    def _reader(self, streams: bool) -> Any:
        single = self.batch_size is None and self.batch_sampler is None
        default = default_convert if single else default_collate
        if streams:
            collate = self.collate_fn or default
            return Stream(self.dataset, collate, self.batch_size, self.drop_last)
        if self.collate_fn is not None or single:
            return Samples(self.dataset, self.collate_fn or default, single)
        if not hasattr(self.dataset, "gather"):
            raise _no_dataset(self.dataset)
        if self.chunks is not None and self.dataset.buffered:
            return Chunked(self.dataset, self.chunks)
        return Gathered(self.dataset)

    def _parted(self, first: int, last: int, count: int) -> Parted:
        if self.has_own_order or not isinstance(self.reader, (Gathered, Chunked)):
            raise ArgumentError(
                "a loader reads a part of its own batches, which `gather` of the dataset reads",
                instead="Leave out samplers, collate_fn and batch_size=None, or use "
                "DistributedSampler.",
            )
        if not 0 <= first < last <= count:
            raise ArgumentError(
                "no such part", given=(first, last, count), expected="0 ≤ first < last ≤ count"
            )
        return Parted(self.reader, (first, last, count))

    def size_of(self, batch: int) -> int:
        """The number of samples of a batch of the loader's own order, with all its parts."""
        size, length = self.batch_size or 1, self._length or 0
        return max(0, min(size, length - batch * size))

    def _check_length(self) -> None:
        if not self._length:
            raise ArgumentError("the dataset has length 0", expected="at least one sample")
        if len(self) < 1:
            raise ArgumentError(
                f"batch_size {self.batch_size} with drop_last leaves no batch of {self._length} "
                "samples",
                instead="Use a smaller batch_size or drop_last=False.",
            )

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        count = len(self.dataset) if self.sampler is None else len(self.sampler)  # type: ignore[arg-type]
        if self.batch_size is None:
            return count
        return (count + (0 if self.drop_last else self.batch_size - 1)) // self.batch_size

    def __iter__(self) -> Iterator[Any]:
        if not self._continues and self._batch > 0:
            self.set_epoch(self._epoch + 1)
        run = self._run = object()
        self._continues = False
        epoch, first = self._epoch, self._batch
        random = isinstance(self.reader, Gathering) and self.dataset.random
        if self.seed is None and (self.shuffle or random):
            self.seed = draw_seed(self.generator)
        batches = self._batches(first)
        try:
            for index, batch in enumerate(batches, first + 1):
                if self._run is run:
                    self._batch = index
                yield self._finished(batch)
        finally:
            batches.close()  # type: ignore[attr-defined]
        if self._run is run:
            self.set_epoch(epoch + 1)

    def _finished(self, batch: Any) -> Any:
        """A batch as the loop gets it: tensors for arrays that were gathered."""
        if isinstance(self.reader, Gathering):
            return tuple(map(from_numpy, batch))
        return batch

    # -- reading -------------------------------------------------------------------------------

    def _indices(self) -> Iterator[Any]:
        """The indices of each batch of an epoch; None for each batch of a stream."""
        if isinstance(self.reader, Stream):
            return repeat(None)
        given = self.sampler if self.batch_sampler is None else self.batch_sampler
        if given is not None:
            return iter(given)
        seed, epoch = self.seed, self._epoch if self._seeded else 0
        if self.batch_size is None:
            return iter(self._order(seed, epoch).tolist())
        if not self.shuffle:
            return starmap(np.arange, self._spans())
        if self.chunks is not None and seed is not None:
            return starmap(ChunkOrder(self.chunks, seed, epoch).samples, self._spans())
        order = self._order(seed, epoch)
        return (order[start:stop] for start, stop in self._spans())

    def _spans(self) -> Iterator[tuple[int, int]]:
        """The positions in the order of an epoch, from start to stop − 1, of each batch."""
        size, length = self.batch_size or 1, self._length or 0
        for number in range(len(self)):
            yield number * size, min(length, (number + 1) * size)

    def _tasks(self, first: int) -> Iterator[Any]:
        """What the reader reads, from a batch on."""
        seed, epoch = self.seed, self._epoch if self._seeded else 0
        if isinstance(self.reader, Gathering) and self.reader.spans:
            for start, stop in islice(self._spans(), first, None):
                yield start, stop, seed, epoch
            return
        random = isinstance(self.reader, Gathering) and self.dataset.random and seed is not None
        for number, indices in enumerate(islice(self._indices(), first, None), first):
            if isinstance(self.reader, Gathering):
                yield indices, ((seed, epoch, number, BATCH) if random else None)
            else:
                yield indices

    def _batches(self, first: int) -> Iterator[Any]:
        tasks = self._tasks(first)
        if self.num_workers:
            return self._by_workers(tasks)
        batches = self._one_by_one(tasks, first)
        return read_ahead(batches, self.prefetch) if self.prefetch else batches

    def _one_by_one(self, tasks: Iterator[Any], first: int) -> Iterator[Any]:
        self.reader.restart()
        gathers, epoch = isinstance(self.reader, Gathering), self._epoch
        for number, task in enumerate(tasks, first):
            try:
                batch = self.reader.read(task)
                if gathers and number == first:
                    _check_batch(batch, len(self.reader.indices(task)))
            except Exception as error:
                samples = listing(self.reader.indices(task))
                error.add_note(f"while reading batch {number} of epoch {epoch}: samples {samples}")
                raise
            if isinstance(batch, Signal):
                return
            yield batch

    def _by_workers(self, tasks: Iterator[Any]) -> Iterator[Any]:
        workers, seed = self._workers, self._worker_seed()
        if workers is None:
            workers = Workers(
                self.reader,
                self.num_workers,
                seed,
                start=self.worker_init_fn,
                prefetch=self.prefetch_factor or _AHEAD,
                timeout=self.timeout,
                context=self.multiprocessing_context,
            )
        else:
            workers.restart()
        if self.persistent_workers and self._workers is None:
            self._workers = workers
            weakref.finalize(self, workers.close)
        try:
            yield from workers.run(tasks)
        finally:
            if not self.persistent_workers:
                workers.close()

    def _worker_seed(self) -> int:
        """The seed of the random states of the worker processes."""
        return draw_seed(self.generator)


def _room(dataset: Any) -> int:
    """The number of samples that take `_BUFFER_BYTES`, at least one."""
    draws = [place_generator(0, 0, 0, CHUNK)] if dataset.random else []
    sample = sum(array.nbytes for array in dataset.gather(np.arange(1), *draws))
    return max(1, _BUFFER_BYTES // max(1, sample))


def _no_dataset(value: Any) -> DTypeError:
    if isinstance(value, Iterator):
        instead = "Loop over the batches of an iterator themselves; it has no numbered samples."
    else:
        instead = "Wrap arrays: cr.data.ArrayDataset(x, y), or give a function collate_fn=...."
    return DTypeError("DataLoader takes a Dataset", given=type(value).__name__, instead=instead)


def _check_batch(arrays: Any, count: int) -> None:
    if not isinstance(arrays, tuple) or not all(isinstance(a, np.ndarray) for a in arrays):
        raise DTypeError(
            "gather returns a tuple of NumPy arrays",
            given=type(arrays).__name__,
            instead="Return (x, y), or (x,) for a single array.",
        )
    shapes = [array.shape for array in arrays]
    if any(shape[:1] != (count,) for shape in shapes):
        raise ShapeError(f"gather was asked for {count} samples", given=f"shapes {shapes}")
