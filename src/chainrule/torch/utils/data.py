"""`torch.utils.data`: the package's datasets, samplers and loader, with PyTorch's defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from chainrule import data
from chainrule.data.reading import Gathered
from chainrule.data.seeds import order_seed
from chainrule.data.splits import counts_of_parts
from chainrule.errors import ArgumentError
from chainrule.ops.random import Generator, default_generator
from chainrule.torch.adapter import names
from chainrule.torch.adapter.attributes import teach
from chainrule.torch.adapter.placement import require_cpu


class DataLoader(data.DataLoader):
    """The package's loader with PyTorch's defaults, orders and batches.

    The batch size is 1, a batch of tuples is a list, and any object with `__getitem__` and
    `__len__` is a dataset. Each loop draws the numbers that PyTorch draws.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        require_cpu(pin_memory_device or None)
        streams = isinstance(dataset, data.IterableDataset)
        if batch_sampler is not None and batch_size != 1:
            raise ArgumentError("batch_sampler gives batches", given=f"batch_size={batch_size}")
        if sampler is None and batch_sampler is None and not streams:
            sampler = (
                data.RandomSampler(dataset, generator=generator)
                if shuffle
                else data.SequentialSampler(dataset)
            )
            shuffle = False
        self.pin_memory, self.pin_memory_device, self.in_order = pin_memory, "", in_order
        self.is_default = collate_fn is None
        single = batch_size is None and batch_sampler is None
        super().__init__(
            dataset,
            batch_size,
            bool(shuffle),
            sampler=sampler,
            batch_sampler=batch_sampler,
            num_workers=num_workers,
            collate_fn=collate_fn or (data.default_convert if single else data.default_collate),
            drop_last=drop_last,
            timeout=timeout,
            worker_init_fn=worker_init_fn,
            multiprocessing_context=multiprocessing_context,
            generator=generator,
            prefetch_factor=prefetch_factor,
            persistent_workers=persistent_workers,
        )

    def _reader(self, streams: bool) -> Any:
        single = self.batch_size is None and self.batch_sampler is None
        at_once = isinstance(self.dataset, data.Dataset) and self.dataset.at_once
        if self.is_default and at_once and not single and not streams:
            return Gathered(self.dataset)
        return super()._reader(streams)

    def __iter__(self) -> Iterator[Any]:
        self._drawn = order_seed(self.generator or default_generator)  # also without processes
        return super().__iter__()

    def _worker_seed(self) -> int:
        return self._drawn

    def _finished(self, batch: Any) -> Any:
        finished = super()._finished(batch)
        return list(finished) if isinstance(self.reader, Gathered) else finished


teach(DataLoader, "torch.utils.data.DataLoader")


def random_split(
    dataset: Any, lengths: Sequence[int] | Sequence[float], generator: Generator | None = None
) -> list[Any]:
    """Split into random parts of the given lengths, or fractions that add up to 1."""
    counts = counts_of_parts(len(dataset), lengths)
    order = (generator or default_generator).permutation(sum(counts)).tolist()
    ends = np.cumsum(counts)
    return [data.Subset(dataset, order[end - n : end]) for n, end in zip(counts, ends, strict=True)]


__getattr__, __dir__ = names.facade(__name__)
