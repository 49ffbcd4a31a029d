"""Datasets of raw inputs in files, which are read when they are needed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from chainrule.data.dataset import ArrayDataset, Dataset, ImageFormat
from chainrule.data.numbers import as_indices
from chainrule.data.transforms import Array, Generator, Transform


class StoredDataset(Dataset):
    """Raw inputs in files, with a transform, and targets in memory. Subclass it and define `read`.

    targets: one for each sample. The other parameters are the attributes of a :class:`Dataset`.
    """

    waits = True

    def __init__(
        self,
        targets: Array,
        *,
        classes: Sequence[str] | None = None,
        task: str | None = None,
        feature_names: Sequence[str] | None = None,
        image: ImageFormat | None = None,
        schema: Any = None,
        transform: Transform | None = None,
    ) -> None:
        self.targets, self.task, self.image, self.schema = targets, task, image, schema
        self.classes = None if classes is None else tuple(classes)
        self.feature_names = None if feature_names is None else tuple(feature_names)
        self._use(transform)

    def read(self, places: Array) -> Array:
        """The raw inputs of the samples at these places."""
        raise NotImplementedError(f"{type(self).__name__} has no read")

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(field[0] for field in self.gather([self.place(index)]))

    def gather(
        self, indices: Sequence[int] | Array, generator: Generator | None = None
    ) -> tuple[Array, ...]:
        """The transformed samples at `indices`."""
        places = as_indices(indices)
        raw, transform = self.read(places), self.transform
        return (raw if transform is None else transform(raw, generator)), self.targets[places]

    def take(self, indices: Sequence[int] | Array) -> ArrayDataset:
        """The raw samples at `indices` in memory, with the same transform and facts."""
        places = as_indices(indices)
        return ArrayDataset(
            self.read(places),
            self.targets[places],
            classes=self.classes,
            transform=self.transform,
            task=self.task,
            feature_names=self.feature_names,
            image=self.image,
            schema=self.schema,
        )

    def to_memory(self) -> ArrayDataset:
        """The same dataset with all raw samples in memory."""
        return self.take(np.arange(len(self)))

    def with_transform(self, transform: Transform | None) -> Self:
        """A dataset of the same raw samples with another `transform`."""
        made = copy.copy(self)
        made._use(transform)
        return made

    def with_targets(self, targets: Array) -> Self:
        """A dataset of the same inputs with other targets."""
        made = copy.copy(self)
        made.targets = targets
        return made

    def _use(self, transform: Transform | None) -> None:
        self.transform = transform
        self.random = transform is not None and transform.random
