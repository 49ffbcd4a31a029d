"""Readers: how a loader makes a batch of indices, in its own process or in a worker.

A reader has the `dataset`, `read(task)`, and `indices(task)`: the indices that it reads. `read`
returns END when a stream has no further batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, pairwise
from typing import Any

import numpy as np

from chainrule.data.chunks import ChunkBuffer, ChunkOrder, Chunks
from chainrule.data.dataset import Dataset, IterableDataset
from chainrule.data.seeds import SHARD, place_generator
from chainrule.data.transforms import Array
from chainrule.data.workers import END

Collate = Callable[[Any], Any]
Part = tuple[int, int, int]
"""(first, last, count): of `count` shards of a batch, those from `first` to `last` − 1."""


def part_edges(size: int, part: Part) -> list[int]:
    """The places in a batch where the shards of a part begin, and where the last one ends."""
    first, last, count = part
    return [shard * size // count for shard in range(first, last + 1)]


class Gathering:
    """Base class of what reads arrays by the `gather` of a dataset.

    spans: whether tasks have positions in the order of an epoch, in place of indices.
    """

    spans = False

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        is_stale = isinstance(dataset, Dataset) and not Dataset.at_once.__get__(dataset)
        self.gather = partial(Dataset.gather, dataset) if is_stale else dataset.gather

    def restart(self) -> None:
        """Nothing that depends on a loop is kept between batches."""


class Gathered(Gathering):
    """Reads a batch by `gather`. A task is (indices, key), where the key is None or selects the
    generator of the batch: (seed, epoch, number, purpose)."""

    def read(self, task: Any) -> tuple[Array, ...]:
        """The fields of the samples, as arrays."""
        indices, key = task
        if key is None:
            return self.gather(indices)
        return self.gather(indices, place_generator(*key))

    def indices(self, task: Any) -> list[int]:
        """The indices of the batch."""
        return list(task[0])

    def pieces(self, task: Any, part: Part) -> list[Any]:
        """Tasks for a part of the batch: one for each shard that has transforms of its own."""
        (indices, key), (first, _, count) = task, part
        edges = part_edges(len(indices), part)
        if key is None:
            return [(indices[edges[0] : edges[-1]], None)] if edges[0] < edges[-1] else []
        seed, epoch, number, _ = key
        return [
            (indices[a:b], (seed, epoch, number * count + shard, SHARD))
            for shard, (a, b) in enumerate(pairwise(edges), first)
            if a < b
        ]

    def one(self, task: Any) -> Any:
        """A task for one sample of the batch."""
        return task[0][:1], task[1]


class Chunked(Gathering):
    """Reads batches of the shuffled order from a buffer of chunks. A task is (start, stop, seed,
    epoch): positions in the order of an epoch."""

    spans = True

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

    def pieces(self, task: Any, part: Part) -> list[Any]:
        """Tasks for a part of the batch."""
        start, stop, *epoch = task
        edges = part_edges(stop - start, part)
        return [(start + edges[0], start + edges[-1], *epoch)] if edges[0] < edges[-1] else []

    def one(self, task: Any) -> Any:
        """A task for one sample of the batch."""
        start, _, *epoch = task
        return start, start + 1, *epoch


class Parted(Gathering):
    """Reads a part of the batches of another reader: some of the shards that each is cut into."""

    def __init__(self, reader: Gathered | Chunked, part: Part) -> None:
        self.dataset, self.gather = reader.dataset, reader.gather
        self.reader, self.part, self.spans = reader, part, reader.spans

    def read(self, task: Any) -> tuple[Array, ...]:
        """The fields of the samples; arrays of length 0 for a part without samples."""
        found = [self.reader.read(piece) for piece in self.reader.pieces(task, self.part)]
        if not found:
            return tuple([array[:0] for array in self.reader.read(self.reader.one(task))])
        if len(found) == 1:
            return found[0]
        return tuple([np.concatenate(arrays) for arrays in zip(*found, strict=True)])

    def indices(self, task: Any) -> list[int]:
        """The indices of the part."""
        pieces = self.reader.pieces(task, self.part)
        return [index for piece in pieces for index in self.reader.indices(piece)]


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
