"""`torch.utils.data`: the package's datasets and loader, with PyTorch's default batch size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from chainrule import data
from chainrule.ops.random import Generator, default_generator
from chainrule.tensor import Tensor
from chainrule.torch.adapter import names
from chainrule.torch.adapter.calls import adapted
from chainrule.torch.adapter.mersenne import order_seed

_make = adapted(data.DataLoader.__init__)


class DataLoader(data.DataLoader):
    """The package's loader with the default batch size 1.

    With `shuffle` it uses PyTorch's order.
    """

    def __init__(self, dataset: Any, batch_size: Any = 1, *args: Any, **keywords: Any) -> None:
        _make(self, dataset, batch_size, *args, **keywords)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        order_seed(self.generator or default_generator)  # PyTorch draws a seed for its workers
        if self.shuffle and self.seed is None:
            self.seed = order_seed(default_generator) if self.generator is None else 0
        return self._to_the_end(super().__iter__())

    def _to_the_end(self, batches: Iterator[tuple[Tensor, ...]]) -> Iterator[tuple[Tensor, ...]]:
        yield from batches
        if self.shuffle and self.generator is not None:
            self.generator.permutation(self._length)  # PyTorch draws one more that it does not use

    def _order(self, seed: int | None, epoch: int) -> Any:
        if not self.shuffle or self._seeded:
            return super()._order(seed, epoch)
        source = Generator(seed=seed or 0) if self.generator is None else self.generator
        return source.permutation(self._length).numpy()


def random_split(
    dataset: Any, lengths: Sequence[int] | Sequence[float], generator: Generator | None = None
) -> list[Any]:
    """Split into random parts of the given lengths, or fractions that add up to 1."""
    sizes = [len(part) for part in data.random_split(dataset, lengths, seed=0)]
    order = (generator or default_generator).permutation(sum(sizes)).numpy()
    ends = np.cumsum(sizes)
    return [data.Subset(dataset, order[end - n : end]) for n, end in zip(sizes, ends, strict=True)]


__getattr__, __dir__ = names.facade(__name__)
