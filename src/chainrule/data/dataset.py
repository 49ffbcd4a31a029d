"""Datasets: numbered samples that can be read one by one, or many in one vectorized call."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.data.seeds import SPLIT, generator
from chainrule.data.transforms import Array, Generator, Transform, deterministic
from chainrule.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError

CLASSIFICATION, REGRESSION = "classification", "regression"


class ImageFormat(NamedTuple):
    """What the raw features mean as a picture: (channels, height, width), values 0 to `maximum`."""

    channels: int
    height: int
    width: int
    maximum: float = 255.0

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width


class Dataset(ABC):
    """Samples numbered from 0. Subclass it with `__len__` and `__getitem__(index)`.

    An item is a tuple of arrays or numbers, by custom (input, target). Where many samples can be
    read at once, define `gather` too; where that waits for files, set `waits = True` and the
    loader reads ahead in a thread.

    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 10
    ...     def __getitem__(self, index):
    ...         return float(index), float(index) ** 2
    >>> x, y = Squares().gather([2, 3])
    >>> x, y
    (array([2., 3.], dtype=float32), array([4., 9.], dtype=float32))

    Facts that a model, a metric or a report may ask for; all optional:
    classes: the names of the classes. task: "classification" or "regression".
    feature_names: the names of the input's columns. image: how to draw an input.
    transform: what was applied to the raw input. random: `gather` needs a generator.
    """

    classes: tuple[str, ...] | None = None
    task: str | None = None
    feature_names: tuple[str, ...] | None = None
    image: ImageFormat | None = None
    transform: Transform | None = None
    random: bool = False
    waits: bool = False

    @abstractmethod
    def __len__(self) -> int:
        """The number of samples."""

    @abstractmethod
    def __getitem__(self, index: Any) -> Any:
        """One sample: a tuple such as (input, target)."""

    def gather(
        self, indices: Sequence[int] | Array, generator: Generator | None = None
    ) -> tuple[Array, ...]:
        """The samples at `indices`, stacked: one array of shape (len(indices), ...) per field.

        This default reads them one by one. An exception of `__getitem__` passes through with
        its traceback and a note of the sample's index; fields of unequal shape raise ShapeError.
        """
        rows = [_read_one(self, int(index)) for index in indices]
        return tuple(_stack(self, indices, rows, field) for field in range(len(rows[0])))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input, as a model sees it."""
        return np.shape(_read_one(self, 0)[0])

    def describe(self) -> dict[str, Any]:
        """The facts above as a JSON-ready record, for a run's `config.json`."""
        transform = deterministic(self.transform)
        return {
            "task": self.task,
            "classes": None if self.classes is None else list(self.classes),
            "feature_names": None if self.feature_names is None else list(self.feature_names),
            "image": None if self.image is None else self.image._asdict(),
            "input_shape": list(self.input_shape),
            "transform": None if transform is None else transform.to_config(),
        }


def _read_one(dataset: Dataset, index: int) -> tuple[Any, ...]:
    try:
        item = dataset[index]
    except Exception as error:
        error.add_note(f"while reading sample {index} of {type(dataset).__name__}")
        raise
    return item if isinstance(item, tuple) else (item,)


def _stack(
    dataset: Dataset, indices: Sequence[int] | Array, rows: list[tuple[Any, ...]], field: int
) -> Array:
    first: Array | None = None
    column = []
    for index, row in zip(indices, rows, strict=True):
        if len(row) != len(rows[0]):
            raise ShapeError(
                f"sample {index} of {type(dataset).__name__} has {len(row)} fields",
                expected=f"{len(rows[0])}, as sample {indices[0]} has",
            )
        value = as_numbers(row[field], f"sample {index}, field {field}")
        first = value if first is None else first
        if value.shape != first.shape:
            raise ShapeError(
                f"sample {index} of {type(dataset).__name__} has another shape in field {field}",
                given=value.shape,
                expected=f"{first.shape}, as sample {indices[0]} has",
                instead="Samples of one batch are stacked: resize, crop or pad them.",
            )
        column.append(value)
    return np.stack(column)


def as_numbers(value: Any, name: str) -> Array:
    """`value` as an array of bools, integers or floats; Python floats become float32."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise ShapeError(f"{name} is ragged", expected="rows of equal length") from None
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{name} is not numeric", given=array.dtype, expected="numbers")
    if array.dtype == np.float64 and not hasattr(value, "dtype"):
        array = array.astype(np.float32)
    return array


class ArrayDataset(Dataset):
    """Arrays of equal length: sample i is (arrays[0][i], arrays[1][i], ...).

    Parameters
    ----------
    *arrays: anything `np.asarray` takes; (N, ...) each, N > 0. Not copied where that is possible.
    transform: applied to batches of the first array. target_transform: to those of the last.
    classes, feature_names, task, image: see :class:`Dataset`. `task` follows from the targets
        if not given: integers of shape (N,) are class labels.

    >>> data = ArrayDataset([[1.0, 2.0], [3.0, 4.0]], [0, 1], classes=("no", "yes"))
    >>> len(data), data.task, data[1]
    (2, 'classification', (array([3., 4.], dtype=float32), np.int64(1)))

    Raises ShapeError for unequal lengths and ArgumentError for none, or for length 0.
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
    ) -> None:
        self.arrays = _checked_arrays(arrays)
        if target_transform is not None and len(arrays) < 2:
            raise ArgumentError("target_transform needs a target array", given="one array")
        if task not in (None, CLASSIFICATION, REGRESSION):
            raise ArgumentError("unknown task", given=task, expected="classification, regression")
        self.transform, self.target_transform = transform, target_transform
        self.random = any(t is not None and t.random for t in (transform, target_transform))
        self.classes = None if classes is None else tuple(classes)
        self.feature_names = None if feature_names is None else tuple(feature_names)
        self.task = task or (_guess_task(self.arrays[-1]) if len(arrays) > 1 else None)
        self.image = image
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
                f"label {y[wrong[0]]} at position {wrong[0]} names no class",
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
        return self.gather(places if places.size else np.zeros(0, np.int64))

    def gather(
        self, indices: Sequence[int] | Array, generator: Generator | None = None
    ) -> tuple[Array, ...]:
        """The samples at `indices` in one vectorized read per array, transformed; never views.

        `generator` is needed by random transforms only, and drawn from once per batch.
        """
        try:
            batch = [array.take(indices, axis=0) for array in self.arrays]
        except IndexError:
            raise self._out_of_range(indices) from None
        except TypeError:
            if len(indices) == 0:
                return self.gather(np.zeros(0, np.int64), generator)
            given = np.asarray(indices).dtype
            raise DTypeError("indices are integers", given=given, expected="int64") from None
        if self.transform is not None:
            batch[0] = self.transform(batch[0], generator)
        if self.target_transform is not None:
            batch[-1] = self.target_transform(batch[-1], generator)
        return tuple(batch)

    def _out_of_range(self, indices: Sequence[int] | Array) -> OutOfRangeError:
        n, places = len(self), np.asarray(indices).ravel()
        wrong = np.flatnonzero((places < -n) | (places >= n))
        return OutOfRangeError(
            f"sample {places[wrong[0]]} of a dataset of {n}", expected=f"0 to {n - 1}"
        )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input after the transform (its deterministic part)."""
        transform = deterministic(self.transform)
        x = self.arrays[0][:1]
        return (x if transform is None else transform(x)).shape[1:]

    def take(self, indices: Sequence[int] | Array) -> ArrayDataset:
        """A dataset of the raw samples at `indices`, with the same transforms and facts."""
        return self._like(*(array.take(indices, axis=0) for array in self.arrays))

    def with_transform(self, transform: Transform | None) -> ArrayDataset:
        """The same raw arrays under another `transform`."""
        return self._like(*self.arrays, transform=transform)

    def _like(self, *arrays: Array, **changes: Any) -> ArrayDataset:
        facts: dict[str, Any] = {
            "classes": self.classes,
            "transform": self.transform,
            "target_transform": self.target_transform,
            "feature_names": self.feature_names,
            "task": self.task,
            "image": self.image,
        }
        return ArrayDataset(*arrays, **{**facts, **changes})

    def __repr__(self) -> str:
        shapes = ", ".join(f"{a.dtype}{list(a.shape)}" for a in self.arrays)
        return f"ArrayDataset({shapes}, task={self.task!r}, transform={self.transform!r})"


def _checked_arrays(values: tuple[Any, ...]) -> tuple[Array, ...]:
    if not values:
        raise ArgumentError("a dataset needs at least one array")
    arrays = [as_numbers(value, f"array {place}") for place, value in enumerate(values)]
    lengths = [array.shape[0] if array.ndim else None for array in arrays]
    if None in lengths:
        raise ShapeError("a dataset's arrays have a first axis", given="a single number")
    if len(set(lengths)) > 1:
        raise ShapeError(
            "the arrays differ in length", given=lengths, expected="one length for all"
        )
    if lengths[0] == 0:
        raise ArgumentError("a dataset of length 0", expected="at least one sample")
    # Byte order and strides of a file or a view would slow every later read.
    return tuple(np.ascontiguousarray(a, dtype=a.dtype.newbyteorder("=")) for a in arrays)


def _guess_task(y: Array) -> str:
    return CLASSIFICATION if y.ndim == 1 and y.dtype.kind in "iub" else REGRESSION


class Subset(Dataset):
    """The samples of `dataset` at `indices`, in that order; nothing is copied."""

    def __init__(self, dataset: Dataset, indices: Sequence[int] | Array) -> None:
        places = np.array(indices, dtype=np.int64) if len(indices) else np.zeros(0, np.int64)
        wrong = np.flatnonzero((places < 0) | (places >= len(dataset)))
        if wrong.size:
            raise OutOfRangeError(
                f"index {places[wrong[0]]} at position {wrong[0]} of the subset",
                expected=f"0 to {len(dataset) - 1}",
            )
        self.dataset, self.indices = dataset, places
        self.classes, self.task = dataset.classes, dataset.task
        self.feature_names, self.image = dataset.feature_names, dataset.image
        self.transform, self.random = dataset.transform, dataset.random
        self.waits = dataset.waits

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        if not -len(self) <= index < len(self):
            raise OutOfRangeError(f"sample {index} of a subset of {len(self)}")
        return self.dataset[int(self.indices[index])]

    def gather(
        self, indices: Sequence[int] | Array, generator: Generator | None = None
    ) -> tuple[Array, ...]:
        places = self.indices[np.asarray(indices)]
        if generator is None:
            return self.dataset.gather(places)
        return self.dataset.gather(places, generator)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.dataset.input_shape


def random_split(
    dataset: Dataset, lengths: Sequence[int] | Sequence[float], seed: int = 0
) -> list[Subset]:
    """Parts of the given lengths (or fractions that add up to 1), drawn without overlap.

    Fractions are floored; samples left over go to the first parts in turn, as in PyTorch.

    >>> data = ArrayDataset(np.arange(10))
    >>> [len(part) for part in random_split(data, [0.75, 0.25])]
    [8, 2]
    """
    n = len(dataset)
    counts = _fractions_to_counts(n, lengths)
    if any(count < 0 for count in counts) or sum(counts) != n:
        raise ArgumentError(
            f"the lengths do not add up to the {n} samples", given=f"{list(lengths)}"
        )
    order = generator(seed, SPLIT).permutation(n)
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(counts)[:-1])]


def _fractions_to_counts(n: int, lengths: Sequence[float]) -> list[int]:
    if all(isinstance(length, (int, np.integer)) for length in lengths):
        return [int(length) for length in lengths]
    if not math.isclose(math.fsum(lengths), 1.0, rel_tol=1e-9) or min(lengths) < 0:
        raise ArgumentError("fractions must add up to 1", given=f"{list(lengths)}")
    counts = [math.floor(n * fraction) for fraction in lengths]
    for place in range(n - sum(counts)):
        counts[place % len(counts)] += 1
    return counts


def train_test_split(
    dataset: ArrayDataset, test_size: float = 0.2, seed: int = 0
) -> tuple[ArrayDataset, ArrayDataset]:
    """Two parts of `dataset`; each class keeps its share in both (stratified).

    test_size: the test part's fraction of each class, rounded, and at least one sample of each
    class that has two; targets that are not class labels are split as one class.
    """
    if not 0 < test_size < 1:
        raise ArgumentError("test_size is a fraction", given=test_size, expected="0 < x < 1")
    y = dataset.arrays[-1]
    stratify = dataset.task == CLASSIFICATION and len(dataset.arrays) > 1 and y[0].size == 1
    labels = y.reshape(len(y)) if stratify else np.zeros(len(y), np.int64)
    if np.unique(labels).size == len(labels):  # no class could be in both parts
        labels = np.zeros(len(y), np.int64)
    draw, tests = generator(seed, SPLIT), []
    for label in np.unique(labels):
        members = draw.permutation(np.flatnonzero(labels == label))
        count = min(max(round(test_size * len(members)), 1), len(members) - 1)
        tests.append(members[:count])
    test = np.sort(np.concatenate(tests))
    if not test.size:
        raise ArgumentError("too few samples to split", given=len(dataset), expected=">= 2")
    train = np.setdiff1d(np.arange(len(dataset)), test, assume_unique=True)
    return dataset.take(train), dataset.take(test)
