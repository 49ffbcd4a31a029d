"""Readers: how a loader makes a batch of indices, in its own process or in a worker.

A reader has the `dataset`, `read(task)`, and `indices(task)`: the indices that it reads. `read`
returns END when a stream has no further batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

from chainrule.data.chunks import ChunkBuffer, ChunkOrder, Chunks
from chainrule.data.dataset import Dataset, IterableDataset
from chainrule.data.seeds import BATCH, place_generator
from chainrule.data.transforms import Array
from chainrule.data.workers import END

Collate = Callable[[Any], Any]


class Gathering:
    """Base class of what reads arrays by the `gather` of a dataset."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        is_stale = isinstance(dataset, Dataset) and not Dataset.at_once.__get__(dataset)
        self.gather = partial(Dataset.gather, dataset) if is_stale else dataset.gather

    def restart(self) -> None:
        """Nothing that depends on a loop is kept between batches."""


class Gathered(Gathering):
    """Reads a batch by `gather`. A task is (indices, key), where the key is None or selects the
    generator of the batch: (seed, epoch, number)."""

    def read(self, task: Any) -> tuple[Array, ...]:
        """The fields of the samples, as arrays."""
        indices, key = task
        if key is None:
            return self.gather(indices)
        seed, epoch, number = key
        return self.gather(indices, place_generator(seed, epoch, number, BATCH))

    def indices(self, task: Any) -> list[int]:
        """The indices of the batch."""
        return list(task[0])


class Chunked(Gathering):
    """Reads batches of the shuffled order from a buffer of chunks. A task is (start, stop, seed,
    epoch): positions in the order of an epoch."""

    def __init__(self, dataset: Dataset, chunks: Chunks) -> None:
        super().__init__(dataset)
        self.buffer = ChunkBuffer(self.gather, dataset.random, chunks)

    def read(self, task: Any) -> tuple[Array, ...]:
        """The fields of the samples at these positions."""
        return self.buffer.read(*task)

    def indices(self, task: Any) -> list[int]:
        """The indices of the samples at these positions."""
        start, stop, seed, epoch = task
        found: list[int] = ChunkOrder(self.buffer.chunks, seed, epoch).samples(start, stop).tolist()
        return found


class Samples:
    """Reads samples one by one, and makes a batch of them by `collate`. A task is a list of
    indices, or with `single` one index."""

    def __init__(self, dataset: Any, collate: Collate, single: bool = False) -> None:
        self.dataset, self.collate, self.single = dataset, collate, single

    def read(self, task: Any) -> Any:
        """The batch, or the sample."""
        if self.single:
            return self.collate(self.dataset[task])
        several = getattr(self.dataset, "__getitems__", None)
        samples = [self.dataset[i] for i in task] if several is None else several(list(task))
        return self.collate(samples)

    def indices(self, task: Any) -> list[Any]:
        """The indices of the batch, or of the sample."""
        return [task] if self.single else list(task)

    def restart(self) -> None:
        """Nothing is kept between batches."""


class Stream:
    """Reads the samples of an iterable dataset as they come; the tasks have no meaning.

    With `size` None, each sample is a batch. With `drop_last`, a shorter last batch is left out.
    """

    def __init__(
        self, dataset: IterableDataset, collate: Collate, size: int | None, drop_last: bool
    ) -> None:
        self.dataset, self.collate, self.size, self.drop_last = dataset, collate, size, drop_last
        self.samples: Iterator[Any] | None = None

    def read(self, task: Any) -> Any:
        """The next batch, or END."""
        if self.samples is None:
            self.samples = iter(self.dataset)
        found = list(islice(self.samples, 1 if self.size is None else self.size))
        if not found or (self.drop_last and len(found) < (self.size or 1)):
            return END
        return self.collate(found[0] if self.size is None else found)

    def indices(self, task: Any) -> list[Any]:
        """Samples of a stream have no indices."""
        return []

    def restart(self) -> None:
        """Begin the dataset anew."""
        self.samples = None
