"""Parts of a dataset: subsets by index, and random splits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from chainrule.data.dataset import CLASSIFICATION, ArrayDataset, ConcatDataset, Dataset
from chainrule.data.numbers import as_indices
from chainrule.data.seeds import SPLIT, check_source, draw_seed, stream
from chainrule.data.transforms import Array
from chainrule.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError
from chainrule.ops.random import Generator
from chainrule.tensor import Tensor

FACTS = (
    "classes",
    "task",
    "feature_names",
    "image",
    "schema",
    "transform",
    "random",
    "waits",
    "buffered",
)
"""The attributes of a dataset that its parts have too."""


class Subset(Dataset):
    """The samples of `dataset` at `indices`, in this order, without a copy.

    A list as index gives the samples of `dataset` at a list. Raises OutOfRangeError for indices
    that the dataset does not have.
    """

    def __init__(self, dataset: Any, indices: Sequence[int] | Array) -> None:
        if hasattr(dataset, "__len__"):
            places = as_indices(indices)
            wrong = np.flatnonzero((places < 0) | (places >= len(dataset)))
            if wrong.size:
                raise OutOfRangeError(
                    f"index {places[wrong[0]]} at position {wrong[0]} of the subset",
                    expected=f"0 to {len(dataset) - 1}",
                )
        self.dataset, self.indices = dataset, indices
        for name in FACTS:
            setattr(self, name, getattr(dataset, name, getattr(Dataset, name)))
        if (chunks := getattr(dataset, "chunks", None)) is not None:
            self.chunks = _chunks_of_part(as_indices(indices), chunks)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        if not -len(self) <= index < len(self):
            raise OutOfRangeError(f"sample {index} of a subset of {len(self)}")
        return self.dataset[int(self.indices[index])]

    def gather(
        self, indices: Sequence[int] | Array, generator: np.random.Generator | None = None
    ) -> tuple[Array, ...]:
        """The samples at `indices`, read by the dataset."""
        places = as_indices(self.indices)[as_indices(indices)]
        own = self.dataset if isinstance(self.dataset, Dataset) else ConcatDataset([self.dataset])
        return own.gather(places) if generator is None else own.gather(places, generator)

    def take(self, indices: Sequence[int] | Array) -> ArrayDataset:
        """A dataset in memory of the raw samples at `indices`, for one whose dataset has `take`."""
        taken: ArrayDataset = self.dataset.take(as_indices(self.indices)[as_indices(indices)])
        return taken

    def with_transform(self, transform: Any) -> Subset:
        """The same samples with another transform, for one whose dataset has `with_transform`."""
        return Subset(self.dataset.with_transform(transform), self.indices)

    @property
    def targets(self) -> Array:
        """The targets of these samples, as they are before the transforms."""
        return np.asarray(self.dataset.targets)[as_indices(self.indices)]

    @property
    def at_once(self) -> bool:
        """Whether the dataset reads a batch at once."""
        return super().at_once and getattr(self.dataset, "at_once", False)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input, as a model sees it."""
        shape: tuple[int, ...] = self.dataset.input_shape
        return shape


def _chunks_of_part(places: Array, bounds: Array) -> Array | None:
    """The bounds of the same chunks among ascending indices; None for indices in another order."""
    if (np.diff(places) < 0).any():
        return None
    return np.unique(np.searchsorted(places, bounds))


def random_split(
    dataset: Dataset,
    lengths: Sequence[int] | Sequence[float],
    generator: Generator | None = None,
    *,
    seed: int | None = None,
) -> list[Subset]:
    """Random parts without overlap, of the given lengths or of fractions that add up to 1.

    Lengths from fractions are rounded down. The remaining samples go to the first parts, one each,
    as in PyTorch.

    By default the generator of `cr.manual_seed` is used, so two calls give different splits. With
    `generator`, that one is used. With `seed`, the split depends only on the seed.

    >>> data = ArrayDataset(np.arange(10))
    >>> [len(part) for part in random_split(data, [0.75, 0.25])]
    [8, 2]
    """
    n = len(dataset)
    counts = counts_of_parts(n, lengths)
    check_source(seed, generator)
    order = stream(draw_seed(generator) if seed is None else seed, SPLIT).permutation(n)
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(counts)[:-1])]


def counts_of_parts(n: int, lengths: Sequence[float]) -> list[int]:
    """The lengths of parts of n samples: the given ones, or those of fractions that add up to 1."""
    if min(lengths, default=0) < 0:
        raise ArgumentError("parts of a negative length do not add up", given=f"{list(lengths)}")
    if math.isclose(math.fsum(lengths), 1.0, rel_tol=1e-9):
        counts = [math.floor(n * fraction) for fraction in lengths]
        for place in range(n - sum(counts)):
            counts[place % len(counts)] += 1
        return counts
    if not all(float(length).is_integer() for length in lengths):
        raise ArgumentError("fractions must add up to 1", given=f"{list(lengths)}")
    if sum(lengths) != n:
        raise ArgumentError(
            f"the lengths do not add up to the {n} samples", given=f"{list(lengths)}"
        )
    return [int(length) for length in lengths]


@overload
def train_test_split(
    dataset: ArrayDataset, /, *, test_size: float = 0.2, seed: int = 0
) -> tuple[ArrayDataset, ArrayDataset]: ...
@overload
def train_test_split(*arrays: Any, test_size: float = 0.2, seed: int = 0) -> tuple[Any, ...]: ...
def train_test_split(*arrays: Any, test_size: float = 0.2, seed: int = 0) -> tuple[Any, ...]:
    """Two parts of a dataset, or of each array, stratified: each class has the same share in both.

    arrays: one dataset, which gives (train, test), as subsets if it lies in a file; or arrays,
        lists, tensors and DataFrames of equal length, such as `x, y`, which give (x_train, x_test,
        y_train, y_test), as in scikit-learn. The last array has the labels.
    test_size: the fraction of each class in the test part, rounded; at least one sample of each
        class that has two. Without class labels, the samples are split as one class.

    >>> x_train, x_test, y_train, y_test = train_test_split(
    ...     [[0], [1], [2], [3], [4], [5]], ["a", "a", "a", "b", "b", "b"], test_size=1 / 3)
    >>> len(x_train), x_test, y_test
    (4, [[1], [4]], ['a', 'b'])
    """
    if not 0 < test_size < 1:
        raise ArgumentError("test_size is a fraction", given=test_size, expected="0 < x < 1")
    if len(arrays) == 1 and isinstance(arrays[0], Dataset):
        dataset: Any = arrays[0]
        parts = _split(_classes_of(dataset), len(dataset), test_size, seed)
        if isinstance(dataset, ArrayDataset) and dataset.chunks is None:
            return tuple(dataset.take(part) for part in parts)
        return tuple(Subset(dataset, part) for part in parts)  # it may be larger than memory
    lengths = [_length(array) for array in arrays]
    if len(set(lengths)) != 1:
        raise ShapeError("the arrays differ in length", given=lengths, expected="one length")
    labels = _labels(arrays[-1]) if len(arrays) > 1 else None
    parts = _split(labels, lengths[0], test_size, seed)
    return tuple(_rows(array, part) for array in arrays for part in parts)


def _split(labels: Array | None, n: int, test_size: float, seed: int) -> tuple[Array, Array]:
    """The indices of the training and the test part, ascending."""
    if labels is None or np.unique(labels).size == n:  # no class has two samples
        labels = np.zeros(n, np.int64)
    draw, tests = stream(seed, SPLIT), []
    for label in np.unique(labels):
        members = draw.permutation(np.flatnonzero(labels == label))
        count = min(max(round(test_size * len(members)), 1), len(members) - 1)
        tests.append(members[:count])
    test = np.sort(np.concatenate(tests))
    if not test.size:
        raise ArgumentError("too few samples to split", given=n, expected=">= 2")
    return np.setdiff1d(np.arange(n), test, assume_unique=True), test


def _classes_of(dataset: Any) -> Array | None:
    """The class labels of a dataset (N,); None for other targets, and for unknown ones."""
    y = getattr(dataset, "targets", None) if dataset.task == CLASSIFICATION else None
    return None if y is None or np.size(y) != len(y) else np.reshape(y, len(y))


def _length(array: Any) -> int:
    if not hasattr(array, "__len__") or isinstance(array, str):
        raise DTypeError(
            "train_test_split takes a dataset or arrays",
            given=type(array).__name__,
            instead="Options have names: train_test_split(x, y, test_size=0.2, seed=0).",
        )
    return len(array)


def _labels(y: Any) -> Array | None:
    """The class labels to stratify by; None for numbers of which most are different."""
    values = np.asarray(y.detach().numpy() if isinstance(y, Tensor) else y)
    if values.size != len(values) or values.dtype.kind not in "biuUO":
        return None
    values = values.reshape(-1).astype(str) if values.dtype.kind == "O" else values.reshape(-1)
    return values if 2 * np.unique(values).size <= values.size else None


def _rows(array: Any, places: Array) -> Any:
    """The rows of an array, a tensor, a list or a DataFrame, of the same type."""
    if isinstance(array, (list, tuple)):
        return [array[place] for place in places]
    return (array.iloc if hasattr(array, "iloc") else array)[places]
