"""Datasets: samples by index, read one by one or many in one vectorized call."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.data.numbers import (
    as_indices,
    chunk_bounds,
    equal_arrays,
    is_in_file,
    rows_of,
    stacked,
)
from chainrule.data.transforms import Array, Generator, Transform, deterministic
from chainrule.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError

CLASSIFICATION, REGRESSION = "classification", "regression"


class ImageFormat(NamedTuple):
    """The raw features as an image: (channels, height, width), with values from 0 to `maximum`."""

    channels: int
    height: int
    width: int
    maximum: float = 255.0

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width


class Dataset:
    """Samples with indices from 0. Subclass it and define `__len__` and `__getitem__(index)`.

    An item is a tuple of arrays or numbers, usually (input, target). If many samples can be read at
    once, define `gather` too. If reading waits for files, set `waits = True`: the loader then reads
    ahead in a thread. `first + second` joins two datasets.

    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 10
    ...     def __getitem__(self, index):
    ...         return float(index), float(index) ** 2
    >>> x, y = Squares().gather([2, 3])
    >>> x, y
    (array([2., 3.], dtype=float32), array([4., 9.], dtype=float32))

    Optional attributes for models, metrics and reports:
    classes: the names of the classes. task: "classification" or "regression".
    feature_names: the names of the input's columns. image: how to draw an input. schema: the
    schema of a table. transform: the transform of the raw input. random: whether `gather` needs a
    generator. chunks: the bounds 0, …, N of neighbouring samples that are best read together; the
    loader then shuffles by chunks. buffered: whether a part of a chunk takes as long to read as all
    of it; the loader then keeps the chunks that it shuffles in memory.
    """

    classes: tuple[str, ...] | None = None
    task: str | None = None
    feature_names: tuple[str, ...] | None = None
    image: ImageFormat | None = None
    schema: Any = None
    transform: Transform | None = None
    random: bool = False
    waits: bool = False
    chunks: Array | None = None
    buffered: bool = False

    def __getitem__(self, index: Any) -> Any:
        """One sample: a tuple such as (input, target)."""
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__")

    def place(self, index: int) -> int:
        """The place of a sample, 0 to N − 1; a negative index counts from the end.

        Raises OutOfRangeError for an index that no sample has.
        """
        n = len(self)
        if not -n <= index < n:
            raise OutOfRangeError(f"sample {index} of a dataset of {n}")
        return index % n

    if TYPE_CHECKING:  # len() of a dataset that has no length raises TypeError

        def __len__(self) -> int: ...

    def __add__(self, other: Any) -> Any:
        return ConcatDataset([self, other])

    @property
    def at_once(self) -> bool:
        """Whether `gather` reads a batch at once, and gives the same numbers as `__getitem__`.

        A class that defines only `__getitem__` has the `gather` of another one.
        """
        kinds = type(self).__mro__
        owner = next(kind for kind in kinds if {"gather", "__getitem__"} & vars(kind).keys())
        return "gather" in vars(owner)

    def gather(
        self, indices: Sequence[int] | Array, generator: Generator | None = None
    ) -> tuple[Array, ...]:
        """The samples at `indices`, stacked: one array of shape (len(indices), ...) per field.

        The default reads them one by one. An exception of `__getitem__` is raised unchanged, with a
        note that names the index of the sample. Fields of unequal shape raise ShapeError.
        """
        rows = [read_one(self, int(index)) for index in indices]
        return stacked(rows, [str(index) for index in indices], type(self).__name__)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input, as a model sees it."""
        return np.shape(read_one(self, 0)[0])

    def describe(self) -> dict[str, Any]:
        """These attributes as a record for JSON, for the `config.json` of a run."""
        transform = deterministic(self.transform)
        return {
            "task": self.task,
            "classes": None if self.classes is None else list(self.classes),
            "feature_names": None if self.feature_names is None else list(self.feature_names),
            "image": None if self.image is None else self.image._asdict(),
            "schema": None if self.schema is None else self.schema.to_config(),
            "input_shape": list(self.input_shape),
            "transform": None if transform is None else transform.to_config(),
        }


def read_one(dataset: Any, index: int) -> tuple[Any, ...]:
    """The fields of a sample. An exception of `__getitem__` gets a note that names the sample."""
    try:
        item = dataset[index]
    except Exception as error:
        error.add_note(f"while reading sample {index} of {type(dataset).__name__}")
        raise
    return item if isinstance(item, tuple) else (item,)


class IterableDataset(Dataset):
    """Samples that come one after the other, without an index. Define `__iter__`.

    A loader reads as many as a batch has. With `num_workers`, each process iterates over its own
    copy: divide the samples by `get_worker_info()`, or each comes several times. Two of them are
    chained by `+`.

    >>> class Countdown(IterableDataset):
    ...     def __iter__(self):
    ...         return iter([3, 2, 1])
    >>> from chainrule.data import DataLoader
    >>> [batch.tolist() for batch in DataLoader(Countdown() + Countdown(), batch_size=4)]
    [[3, 2, 1, 3], [2, 1]]
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")

    def __add__(self, other: Any) -> ChainDataset:
        return ChainDataset([self, other])


class ChainDataset(IterableDataset):
    """The samples of several iterable datasets, one after the other.

    Raises DTypeError for datasets that are not iterable.
    """

    def __init__(self, datasets: Iterable[IterableDataset]) -> None:
        self.datasets = datasets

    def _each(self) -> Iterator[IterableDataset]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise DTypeError(
                    "a chain is of iterable datasets",
                    given=type(dataset).__name__,
                    instead="Join datasets with an index by ConcatDataset.",
                )
            yield dataset

    def __iter__(self) -> Iterator[Any]:
        for dataset in self._each():
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self._each())


class ConcatDataset(Dataset):
    """The samples of several datasets, one after the other: also `first + second`.

    Raises ArgumentError if there is no dataset, and DTypeError for an iterable dataset.

    >>> both = ArrayDataset([1.0, 2.0]) + ArrayDataset([3.0])
    >>> len(both), both[2], both[-1]
    (3, (np.float32(3.0),), (np.float32(3.0),))
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError("there is no dataset to join")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise DTypeError("an iterable dataset has no indices", instead="Use ChainDataset.")
        self.cumulative_sizes = list(accumulate(map(len, self.datasets)))
        self.waits = any(getattr(dataset, "waits", False) for dataset in self.datasets)
        self.buffered = any(getattr(dataset, "buffered", False) for dataset in self.datasets)
        self.chunks = self._joined_chunks()

    def _joined_chunks(self) -> Array | None:
        """The chunks of the parts. A part without chunks is one, if another part has some."""
        found = [getattr(dataset, "chunks", None) for dataset in self.datasets]
        if all(bounds is None for bounds in found):
            return None
        starts = [0, *self.cumulative_sizes[:-1]]
        bounds = [
            start + (np.array([0, len(dataset)]) if own is None else own)
            for start, dataset, own in zip(starts, self.datasets, found, strict=True)
        ]
        return np.unique(np.concatenate(bounds))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: Any) -> Any:
        index = self.place(index)
        part = bisect_right(self.cumulative_sizes, index)
        start = self.cumulative_sizes[part - 1] if part else 0
        return self.datasets[part][index - start]

    @property
    def at_once(self) -> bool:
        """Whether there are chunks to be read at once, by the parts."""
        parts = self.datasets if self.chunks is not None else [None]
        return super().at_once and all(getattr(dataset, "at_once", False) for dataset in parts)

    def gather(
        self, indices: Sequence[int] | Array, generator: Generator | None = None
    ) -> tuple[Array, ...]:
        """The samples at `indices`, read by the parts that have them."""
        if not self.at_once:
            return super().gather(indices)
        places = as_indices(indices)
        owners, found = np.searchsorted(self.cumulative_sizes, places, side="right"), []
        for part in (parts := np.unique(owners)):
            start = self.cumulative_sizes[part] - len(self.datasets[part])
            found.append(self.datasets[part].gather(places[owners == part] - start))
        if len(parts) == 1:
            return found[0]
        back = np.argsort(np.argsort(owners, kind="stable"), kind="stable")
        return tuple([np.concatenate(field)[back] for field in zip(*found, strict=True)])


class ArrayDataset(Dataset):
    """Arrays of equal length: sample i is (arrays[0][i], arrays[1][i], ...).

    Parameters
    ----------
    *arrays: values that `np.asarray` accepts, each (N, ...) with N > 0. Copied only if necessary.
        Arrays that lie in a file, such as `np.memmap`, stay there: a batch is read when it is
        needed, and the loader reads ahead and shuffles by chunks.
    transform: applied to batches of the first array. target_transform: applied to the last array.
    classes, feature_names, task, image, schema: see :class:`Dataset`. By default, `task` follows
        from the targets: integers of shape (N,) are class labels.

    >>> data = ArrayDataset([[1.0, 2.0], [3.0, 4.0]], [0, 1], classes=("no", "yes"))
    >>> len(data), data.task, data[1]
    (2, 'classification', (array([3., 4.], dtype=float32), np.int64(1)))

    Raises ShapeError for unequal lengths, and ArgumentError for no array or for length 0.
    """

    def __init__(
        self,
        *arrays: Any,
        classes: Sequence[str] | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        feature_names: Sequence[str] | None = None,
        task: str | None = None,
        image: ImageFormat | None = None,
        schema: Any = None,
    ) -> None:
        self.arrays = equal_arrays(arrays)
        if target_transform is not None and len(arrays) < 2:
            raise ArgumentError("target_transform needs a target array", given="one array")
        if task not in (None, CLASSIFICATION, REGRESSION):
            raise ArgumentError("unknown task", given=task, expected="classification, regression")
        self.transform, self.target_transform = transform, target_transform
        self.random = any(t is not None and t.random for t in (transform, target_transform))
        self.classes = None if classes is None else tuple(classes)
        self.feature_names = None if feature_names is None else tuple(feature_names)
        self.task = task or (_guess_task(self.arrays[-1]) if len(arrays) > 1 else None)
        self.image, self.schema = image, schema
        self.waits = any(map(is_in_file, self.arrays))
        self.chunks = chunk_bounds(self.arrays) if self.waits else None
        self._check_facts()

    def _check_facts(self) -> None:
        x, y = self.arrays[0], self.arrays[-1]
        if self.feature_names is not None and x[0].size != len(self.feature_names):
            raise ShapeError(
                f"{len(self.feature_names)} feature names for inputs of shape {x.shape[1:]}"
            )
        if self.classes is None or y.ndim != 1 or y.dtype.kind not in "iu":
            return
        wrong = np.flatnonzero((y < 0) | (y >= len(self.classes)))
        if wrong.size:
            raise OutOfRangeError(
                f"label {y[wrong[0]]} at position {wrong[0]} is not a class",
                expected=f"0 to {len(self.classes) - 1}",
            )

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        if isinstance(index, slice):
            return self.gather(np.arange(len(self))[index])
        if isinstance(index, (int, np.integer)) and not isinstance(index, bool):
            return tuple(array[0] for array in self.gather([int(index)]))
        places = np.asarray(index)
        if places.dtype == np.bool_ and places.shape == (len(self),):
            places = np.flatnonzero(places)
        return self.gather(places)

    def gather(
        self, indices: Sequence[int] | Array, generator: Generator | None = None
    ) -> tuple[Array, ...]:
        """The transformed samples at `indices`, one vectorized read per array; always copies.

        Only random transforms need `generator`; they draw from it once per batch.
        """
        places = as_indices(indices)
        try:
            batch = [rows_of(array, places) for array in self.arrays]
        except IndexError:
            raise self._out_of_range(places) from None
        if self.transform is not None:
            batch[0] = self.transform(batch[0], generator)
        if self.target_transform is not None:
            batch[-1] = self.target_transform(batch[-1], generator)
        return tuple(batch)

    def _out_of_range(self, places: Array) -> OutOfRangeError:
        n = len(self)
        wrong = places[(places < -n) | (places >= n)]
        return OutOfRangeError(f"sample {wrong[0]} of a dataset of {n}", expected=f"0 to {n - 1}")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input after the deterministic part of the transform."""
        transform = deterministic(self.transform)
        x = self.arrays[0][:1]
        return (x if transform is None else transform(x)).shape[1:]

    def take(self, indices: Sequence[int] | Array) -> ArrayDataset:
        """A dataset of the raw samples at `indices`, with the same transforms and facts."""
        places = as_indices(indices)
        return self._like(*(rows_of(array, places) for array in self.arrays))

    def with_transform(self, transform: Transform | None) -> ArrayDataset:
        """A dataset of the same raw arrays with another `transform`."""
        return self._like(*self.arrays, transform=transform)

    @property
    def targets(self) -> Array:
        """The last array, as it is before the transforms."""
        return self.arrays[-1]

    def with_targets(self, targets: Array) -> ArrayDataset:
        """A dataset of the same inputs with other targets."""
        return self._like(*self.arrays[:-1], targets, target_transform=None)

    def _like(self, *arrays: Array, **changes: Any) -> ArrayDataset:
        facts: dict[str, Any] = {
            "classes": self.classes,
            "transform": self.transform,
            "target_transform": self.target_transform,
            "feature_names": self.feature_names,
            "task": self.task,
            "image": self.image,
            "schema": self.schema,
        }
        return ArrayDataset(*arrays, **{**facts, **changes})

    def __repr__(self) -> str:
        shapes = ", ".join(f"{a.dtype}{list(a.shape)}" for a in self.arrays)
        return f"ArrayDataset({shapes}, task={self.task!r}, transform={self.transform!r})"


def _guess_task(y: Array) -> str:
    return CLASSIFICATION if y.ndim == 1 and y.dtype.kind in "iub" else REGRESSION
