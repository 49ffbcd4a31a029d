"""Samplers: the order in which a loader reads the samples of a dataset."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any

import numpy as np

from chainrule.data.seeds import order_seed
from chainrule.errors import ArgumentError, ShapeError
from chainrule.ops.draws import multinomial
from chainrule.ops.random import Generator, default_generator
from chainrule.tensor import Tensor, from_numpy
from chainrule.world import world

_CHUNK = 32
"""How many indices with replacement are drawn together."""


def require_count(name: str, value: Any) -> None:
    """Raise ArgumentError unless a value is an integer ≥ 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(f"{name} = {value!r}", expected="an integer ≥ 1")


class Sampler:
    """Base class: the indices of an epoch. Define `__iter__`, and `__len__` if the number is known.

    >>> class Backwards(Sampler):
    ...     def __init__(self, data):
    ...         self.data = data
    ...     def __iter__(self):
    ...         return iter(range(len(self.data) - 1, -1, -1))
    >>> from chainrule.data import ArrayDataset, DataLoader
    >>> data = ArrayDataset([1.0, 2.0, 3.0])
    >>> [x.tolist() for x, in DataLoader(data, 2, sampler=Backwards(data))]
    [[3.0, 2.0], [1.0]]
    """

    def __init__(self, data_source: Any = None) -> None: ...

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")


class SequentialSampler(Sampler):
    """0, 1, …, n − 1, where n is the length of `data_source`."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """`num_samples` random indices, by default a random order of all.

    Without `replacement`, each index comes once before any comes again. Without a `generator`, each
    epoch draws a seed from the generator of `cr.manual_seed`. Raises ArgumentError unless
    num_samples ≥ 1.

    >>> sorted(RandomSampler([10, 20, 30]))
    [0, 1, 2]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source, self.replacement = data_source, replacement
        self._num_samples, self.generator = num_samples, generator
        if not isinstance(replacement, bool):
            raise ArgumentError(f"replacement = {replacement!r}", expected="True or False")
        if num_samples is not None:
            require_count("num_samples", num_samples)

    @property
    def num_samples(self) -> int:
        """The number of indices of an epoch."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n, count = len(self.data_source), self.num_samples
        generator = self.generator
        if generator is None:
            generator = Generator(seed=order_seed(default_generator))
        if self.replacement:
            for start in range(0, count, _CHUNK):
                size = min(_CHUNK, count - start)
                yield from generator.integers(0, n, (size,)).tolist()
            return
        for start in range(0, count + 1, n or 1):  # the last order is drawn even if none is used
            yield from generator.permutation(n).tolist()[: count - start]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given indices in random order."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        generator = default_generator if self.generator is None else self.generator
        for place in generator.permutation(len(self.indices)).tolist():
            yield self.indices[place]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """`num_samples` of the indices 0, …, n − 1, with probabilities in proportion to n `weights`.

    For example, weights of 1/(size of the class) make the classes of batches equally frequent.
    Raises ArgumentError unless num_samples ≥ 1, and ShapeError for weights that are no vector.

    >>> list(WeightedRandomSampler([0.0, 2.0, 0.0], num_samples=3))
    [1, 1, 1]
    """

    def __init__(
        self,
        weights: Sequence[float] | Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        require_count("num_samples", num_samples)
        if not isinstance(replacement, bool):
            raise ArgumentError(f"replacement = {replacement!r}", expected="True or False")
        values = weights.detach() if isinstance(weights, Tensor) else weights
        self.weights = from_numpy(np.array(values, np.float64))
        if self.weights.ndim != 1:
            raise ShapeError("the weights are one for each index", given=self.weights.shape)
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        yield from multinomial(
            self.weights, self.num_samples, self.replacement, generator=self.generator
        ).tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of `batch_size` indices of another sampler; the last may be shorter.

    With `drop_last`, a shorter list is left out. Raises ArgumentError unless batch_size ≥ 1.

    >>> list(BatchSampler(range(5), 2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool) -> None:
        require_count("batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise ArgumentError(f"drop_last = {drop_last!r}", expected="True or False")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[Any]]:
        indices = iter(self.sampler)
        while batch := list(islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        extra = 0 if self.drop_last else self.batch_size - 1
        return (len(self.sampler) + extra) // self.batch_size  # type: ignore[arg-type]


class DistributedSampler(Sampler):
    """The share of one of several processes: every `num_replicas`-th index, from `rank` on.

    With `shuffle`, the order is drawn from `seed` + the epoch, which `set_epoch` sets; it is the
    same in all processes. So that all get the same number of indices, the first ones are repeated
    at the end, or with `drop_last` the last ones left out. By default, `rank` and `num_replicas`
    are those of `cr.distributed`. Raises ArgumentError unless 0 ≤ rank < num_replicas.

    >>> [list(DistributedSampler(range(5), 2, rank, shuffle=False)) for rank in range(2)]
    [[0, 2, 4], [1, 3, 0]]
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        num_replicas = world().size if num_replicas is None else num_replicas
        rank = world().rank if rank is None else rank
        if not 0 <= rank < num_replicas:
            raise ArgumentError(f"rank = {rank}", expected=f"0 to {num_replicas - 1}")
        self.dataset, self.num_replicas, self.rank = dataset, num_replicas, rank
        self.shuffle, self.seed, self.drop_last, self.epoch = shuffle, seed, drop_last, 0
        share = len(dataset) / num_replicas
        self.num_samples = math.floor(share) if drop_last else math.ceil(share)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        n = len(self.dataset)
        order = list(range(n))
        if self.shuffle:
            order = Generator(seed=self.seed + self.epoch).permutation(n).tolist()
        repeated = order * math.ceil(self.total_size / n) if n else order
        return iter(repeated[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, so that the next order is another one."""
        self.epoch = epoch
