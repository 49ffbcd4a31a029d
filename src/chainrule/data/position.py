"""The position of a loader: its epoch and batch, which are saved and restored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.data.chunks import ChunkOrder, Chunks
from chainrule.data.seeds import check_seed, check_source, stream
from chainrule.data.transforms import Array
from chainrule.errors import ArgumentError
from chainrule.ops.random import Generator


class Position:
    """Mixin of the loader: where the next loop begins, and the order of an epoch."""

    batch_size: int | None
    shuffle: bool
    drop_last: bool
    has_own_order: bool
    """Whether a sampler, or the dataset itself, gives the order."""
    chunks: Chunks | None = None
    """How the dataset is shuffled by chunks; None if all samples are shuffled together."""

    def _begin(self, length: int | None, seed: int | None, generator: Generator | None) -> None:
        check_source(seed, generator)
        self.generator, self._seeded = generator, seed is not None
        self.seed = seed  # Without a given seed: the seed of the current epoch.
        self._length = length
        self._epoch, self._batch = 0, 0
        self._continues = True  # The next loop continues at (epoch, batch).
        self._run: object = None

    @property
    def epoch(self) -> int:
        """The epoch of the next batch, from 0."""
        return self._epoch

    @property
    def batch(self) -> int:
        """The index of the next batch within its epoch, from 0."""
        return self._batch

    def set_epoch(self, epoch: int, batch: int = 0) -> None:
        """Start the next loop at this epoch and batch; reads nothing and draws no random
        numbers. Raises ArgumentError for a batch that there is not, or that cannot be found again
        since a sampler gives the order."""
        epoch, batch = whole(epoch, "epoch", 0), whole(batch, "batch", 0)
        if batch and self.has_own_order:
            raise ArgumentError(
                "a sampler gives the order, which does not begin in mid-epoch",
                given=f"batch {batch}",
                instead="Start at batch 0, or use the loader's own order: shuffle=True, seed=....",
            )
        if batch and batch > len(self):  # type: ignore[arg-type]
            raise ArgumentError("no such batch", given=batch, expected=f"0 to {len(self)}")  # type: ignore[arg-type]
        if not self._seeded and (batch == 0 or epoch != self._epoch):
            self.seed = None
        self._epoch, self._batch = epoch, batch
        self._continues, self._run = True, None

    def order(self, epoch: int) -> Array:
        """The indices of the samples of an epoch, in the order of reading.

        Raises ArgumentError if they are not known: a sampler gives them, or the seed of the epoch
        is not drawn yet, or no longer kept.
        """
        drawn = self.seed is not None and (self._seeded or epoch == self._epoch)
        if self.has_own_order or (self.shuffle and not drawn):
            raise ArgumentError(
                f"the order of epoch {epoch} is not known: each epoch draws its seed",
                instead="Give the loader a seed: DataLoader(dataset, seed=0, ...).",
            )
        return self._order(self.seed, epoch if self._seeded else 0)

    def _order(self, seed: int | None, epoch: int) -> Array:
        if not self.shuffle or seed is None:
            return np.arange(self._length or 0)
        if self.chunks is not None:
            return ChunkOrder(self.chunks, seed, epoch).samples(0, self._length or 0)
        return stream(seed, epoch).permutation(self._length or 0)

    def _fixed(self) -> dict[str, Any]:
        """What determines the batches, and so is the same when a position is restored."""
        values = {
            "length": self._length,
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
            "seeded": self._seeded,
        }
        if self.chunks is not None:
            values |= {"chunks": len(self.chunks.bounds) - 1, "buffer": self.chunks.buffer}
        return values

    def state_dict(self) -> dict[str, int | None]:
        """The position of the loader as values for JSON. The next batch is the first unread one.

        >>> from chainrule.data import ArrayDataset, DataLoader
        >>> DataLoader(ArrayDataset(np.arange(5)), batch_size=2).state_dict()
        {'length': 5, 'batch_size': 2, 'shuffle': False, 'drop_last': False,
         'seeded': False, 'seed': None, 'epoch': 0, 'batch': 0}
        """
        place = {"seed": self.seed, "epoch": self._epoch, "batch": self._batch}
        return {**self._fixed(), **place}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue at the position of a saved loader, with its seed, order and augmentation.

        Later epochs without a given seed draw it from the current state of the generator.
        Raises ArgumentError, with both values, if the length of the data, batch size, shuffle,
        drop_last or the source of seeds differ, since the position would then mean other samples.
        The loader is unchanged on error.
        """
        here = self.state_dict()
        if set(state) != set(here):
            raise ArgumentError(
                "not the state of a DataLoader", given=sorted(state), expected=sorted(here)
            )
        different = [
            f"{key} was {state[key]} and is {here[key]}"
            for key in self._fixed()
            if state[key] != here[key]
        ]
        if different:
            raise ArgumentError(
                f"the saved loader read other batches: {'; '.join(different)}",
                instead="Restore it with the same data and batch size, or start a new epoch "
                "with set_epoch(epoch).",
            )
        if self._seeded or state["seed"] is not None:
            check_seed(state["seed"])
        self.set_epoch(state["epoch"], state["batch"])
        self.seed = state["seed"]


def whole(value: Any, name: str, least: int) -> int:
    """An integer that is not too small; otherwise raises ArgumentError."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise ArgumentError(f"{name} is a whole number", given=repr(value), expected=f">= {least}")
    if value < least:
        raise ArgumentError(f"{name} is too small", given=value, expected=f">= {least}")
    return int(value)
