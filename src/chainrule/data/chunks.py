"""Shuffling data that is read in chunks: the order of an epoch, and the buffer that gives it.

Neighbouring samples of a file are read together, as a chunk. The chunks of an epoch come in random
order. The samples of a group of them, about as many as the buffer holds, are shuffled. Every number
is a function of (seed, epoch), so any position of the order can be found again, and no
permutation of all samples is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from chainrule.data.numbers import as_indices
from chainrule.data.seeds import CHUNK, GROUP, place_generator, stream
from chainrule.data.transforms import Array


class Chunks(NamedTuple):
    """How samples are read together. Chunk i is the samples bounds[i] to bounds[i + 1] − 1, and a
    group has about `buffer` samples."""

    bounds: Array
    buffer: int


class ChunkOrder:
    """The order of the samples in one epoch.

    The chunks are permuted. A group begins with each chunk that begins beyond a further multiple of
    `buffer` samples. The samples of a group are permuted.

    >>> order = ChunkOrder(Chunks(np.array([0, 3, 6, 8]), buffer=4), seed=0, epoch=0)
    >>> order.starts.tolist(), sorted(order.samples(0, 8).tolist())
    ([0, 5, 8], [0, 1, 2, 3, 4, 5, 6, 7])
    """

    def __init__(self, chunks: Chunks, seed: int, epoch: int) -> None:
        self.bounds, self.key = chunks.bounds, (seed, epoch)
        sizes = np.diff(self.bounds)
        self.chunks = stream(seed, epoch).permutation(len(sizes))
        starts = np.cumsum(sizes[self.chunks]) - sizes[self.chunks]
        self._firsts = np.flatnonzero(np.diff(starts // chunks.buffer, prepend=-1))
        self.starts = np.append(starts[self._firsts], self.bounds[-1])
        """The position at which each group begins, and the number of samples."""
        self._kept = (-1, np.empty(0, np.intp))  # the last group, and its samples in their order

    def group(self, number: int) -> Array:
        """The chunks of a group, in the order of reading."""
        first, *rest = self._firsts[number : number + 2].tolist()
        return self.chunks[first : rest[0] if rest else None]

    def within(self, number: int) -> Array:
        """The order of the samples of a group, as places among those of its chunks."""
        size = int(self.starts[number + 1] - self.starts[number])
        return place_generator(*self.key, number, GROUP).permutation(size)

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """(group, first, last) of the groups that share the positions start to stop − 1."""
        while start < stop:
            number = int(np.searchsorted(self.starts, start, side="right")) - 1
            base, end = int(self.starts[number]), min(stop, int(self.starts[number + 1]))
            yield number, start - base, end - base
            start = end

    def samples(self, start: int, stop: int) -> Array:
        """The indices of the samples at the positions start to stop − 1."""
        found = [np.empty(0, np.intp)]
        for number, first, last in self.pieces(start, stop):
            if number != self._kept[0]:
                chunks = self.group(number)
                members = [np.arange(self.bounds[c], self.bounds[c + 1]) for c in chunks]
                self._kept = number, np.concatenate(members)[self.within(number)]
            found.append(self._kept[1][first:last])
        return np.concatenate(found)


class Group:
    """The samples of a group in memory, of which the first `count` are read."""

    def __init__(self, order: ChunkOrder, number: int) -> None:
        self.order, self.within = order, order.within(number)
        self.left = iter(order.group(number).tolist())
        self.count = 0
        self.fields: tuple[Array, ...] = ()

    def fill(self, share: float, gather: Any, random: bool) -> None:
        """Read chunks until this share of the samples is there. A random transform of a chunk draws
        from the generator of (seed, epoch, chunk)."""
        while self.count < share * len(self.within):
            chunk = next(self.left)
            first, last = (int(bound) for bound in self.order.bounds[chunk : chunk + 2])
            draws = [place_generator(*self.order.key, chunk, CHUNK)] if random else []
            try:
                arrays = gather(np.arange(first, last), *draws)
            except Exception as error:
                error.add_note(f"while reading the chunk of samples {first} to {last - 1}")
                raise
            if not self.fields:
                size = len(self.within)
                self.fields = tuple([np.empty((size, *a.shape[1:]), a.dtype) for a in arrays])
            end = self.count + last - first
            for field, array in zip(self.fields, arrays, strict=True):
                field[self.count : end] = array
            self.count = end

    def take(self, first: int, last: int) -> tuple[Array, ...]:
        """The samples at these places of the group's order."""
        places = as_indices(self.within[first:last])
        return tuple([field.take(places, axis=0) for field in self.fields])


class ChunkBuffer:
    """Reads any positions of the orders of epochs, chunk by chunk. It holds the current group, and
    reads the next one little by little, so that each batch takes the same time."""

    def __init__(self, gather: Any, random: bool, chunks: Chunks) -> None:
        self.gather, self.random, self.chunks = gather, random, chunks
        self.order: ChunkOrder | None = None
        self.groups: dict[int, Group] = {}

    def read(self, start: int, stop: int, seed: int, epoch: int) -> tuple[Array, ...]:
        """The samples at the positions start to stop − 1 of an epoch."""
        if self.order is None or self.order.key != (seed, epoch):
            self.order, self.groups = ChunkOrder(self.chunks, seed, epoch), {}
        found = []
        for number, first, last in self.order.pieces(start, stop):
            self.groups = {n: g for n, g in self.groups.items() if n in (number, number + 1)}
            group = self._filled(self.order, number, 1.0)
            found.append(group.take(first, last))
            if number + 2 < len(self.order.starts):
                self._filled(self.order, number + 1, last / len(group.within))
        if len(found) == 1:
            return found[0]
        return tuple([np.concatenate(field) for field in zip(*found, strict=True)])

    def _filled(self, order: ChunkOrder, number: int, share: float) -> Group:
        if number not in self.groups:
            self.groups[number] = Group(order, number)
        self.groups[number].fill(share, self.gather, self.random)
        return self.groups[number]
