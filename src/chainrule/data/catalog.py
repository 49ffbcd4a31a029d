"""Data sets by name or path, split and preprocessed, as the command line uses them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from chainrule.data.arrow_files import ARROW
from chainrule.data.cells import open_cells
from chainrule.data.columns import TABLES
from chainrule.data.dataset import CLASSIFICATION, ArrayDataset
from chainrule.data.files import PathLike
from chainrule.data.idx import find_idx
from chainrule.data.images import ImageFolder, class_folders
from chainrule.data.memory import fits
from chainrule.data.mnist import MNIST, FashionMNIST
from chainrule.data.schema import Schema
from chainrule.data.shipped import breast_cancer, digits
from chainrule.data.sources import (
    csv_dataset,
    idx_datasets,
    npy_datasets,
    npy_files,
    npz_datasets,
    pixel_order,
)
from chainrule.data.splits import Subset, train_test_split
from chainrule.data.stored import StoredDataset
from chainrule.data.synthetic import blobs, circles, moons, rings, sine, spirals, xor
from chainrule.data.table import table, table_like
from chainrule.data.transforms import (
    Array,
    Compose,
    Flatten,
    Rescale,
    Standardize,
    Transform,
    transform_from_config,
)
from chainrule.errors import ArgumentError, DTypeError, FormatError, ShapeError, shortened

Samples = ArrayDataset | StoredDataset | Subset
"""Raw samples, in memory or in files, with the transform that a model needs."""
Pair = tuple[Samples, Samples]
_SYNTHETIC: dict[str, Callable[..., ArrayDataset]] = {
    "moons": moons,
    "circles": circles,
    "rings": rings,
    "spirals": spirals,
    "blobs": blobs,
    "xor": xor,
    "sine": sine,
}
_BLOCK = 10_000
NAMES = ("digits", "breast_cancer", "mnist", "fashion_mnist", *_SYNTHETIC)


def open_dataset(
    source: PathLike,
    *,
    flat: bool | None = None,
    size: tuple[int, int] | None = None,
    test_size: float = 0.2,
    seed: int = 0,
    **reading: Any,
) -> Pair:
    """(train, test) of a data set with this name or path.

    source: digits, breast_cancer, mnist, fashion_mnist, moons, circles, rings, spirals, blobs,
        xor, sine; a table in a `.csv`, `.tsv`, Parquet or Feather file; an `.npz` file; a folder of
        IDX files, or of class folders of images; a folder with x.npy and y.npy, or one `.npy` file
        (N, columns) with `label` 0 or -1. Arrays in `.npy` files stay there, and so do Parquet and
        Feather files and images that would take more than half of the memory.
    size: (height, width) for image folders, see :class:`ImageFolder`. reading: for tables, see
        :func:`table`.
    flat: images as rows (n, C·H·W) or as (n, C, H, W); by default as the named set gives them,
        and images for paths.
    test_size, seed: the stratified split, if the source has no test part of its own.

    Tables are encoded with statistics of the training part, and pixels are divided by 255:
    `train.transform` is this preprocessing. `train.classes` and `train.task` describe the targets.

    >>> train, test = open_dataset("moons")
    >>> len(train), len(test), train.task, train.classes
    (800, 200, 'classification', ('upper', 'lower'))

    Raises ArgumentError for an unknown name and for labels of one class, FileNotFoundError,
    FormatError.
    """
    name = os.fspath(source)
    if name in NAMES:
        return _open_name(name, flat, test_size, seed)
    train: Samples
    test: Samples | None
    if _is_table(name):
        if not _holds_pixels(name, reading):
            return table(name, test_size=test_size, seed=seed, **reading)
        strict = {k: v for k, v in reading.items() if k in ("label", "task", "delimiter", "header")}
        train, test = csv_dataset(name, **strict), None
    else:
        train, test = _open_path(name, size, reading.get("task"), None, reading.get("label"))
    if train.task == CLASSIFICATION and len(train.classes or ()) == 1:
        raise ArgumentError(
            f"{name}: every sample is of the class {shortened((train.classes or ('',))[0])!r}",
            expected="at least two classes",
        )
    if test is None:
        train, test = train_test_split(train, test_size=test_size, seed=seed)
    transform = _preprocessing(train, bool(flat))
    return train.with_transform(transform), test.with_transform(transform)


def open_like(
    source: Any,
    description: Mapping[str, Any],
    *,
    label: str | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    seed: int = 0,
    test_size: float = 0.2,
) -> Samples:
    """Samples to evaluate a trained model on, read in the same way as its training data.

    source: as in :func:`open_dataset`, or a DataFrame with the columns of the training table.
    description: the record of `train.describe()`. Columns are matched by name; classes and
    preprocessing are those of training. A source with its own test part returns that part, a named
    data set the test part of the same split, and any other file or folder all samples.

    Raises FormatError, with the names, for missing columns and unknown classes, and ShapeError for
    inputs of another shape.
    """
    is_path = isinstance(source, (str, os.PathLike))
    name = os.fspath(source) if is_path else type(source).__name__
    if name in NAMES:
        data = _open_name(name, None, test_size, seed)[1]
    elif not is_path or _is_table(name):
        data = _table_like(source, description, label=label, delimiter=delimiter, header=header)
    else:
        whole, test = _open_path(name, None, description.get("task"), description, label)
        data = whole if test is None else test
    if data.classes != _tuple(description.get("classes")):
        raise FormatError(
            f"{name} has other classes than training",
            given=data.classes,
            expected=description.get("classes"),
        )
    record = description.get("transform")
    data = data.with_transform(None if record is None else transform_from_config(record))
    if list(data.input_shape) != list(description["input_shape"]):
        raise ShapeError(
            f"{name} has inputs of another shape than training",
            given=data.input_shape,
            expected=tuple(description["input_shape"]),
        )
    return data


def _table_like(source: Any, description: Mapping[str, Any], **reading: Any) -> Samples:
    """All labelled rows of a table, without transform, read with the schema of training."""
    if description.get("schema") is not None:
        return table_like(source, Schema.from_config(description["schema"]), **reading)
    if not isinstance(source, (str, os.PathLike)):
        raise DTypeError(
            "the training data was no table", given=type(source).__name__, instead="Pass (x, y)."
        )
    return csv_dataset(
        source,
        task=description.get("task"),
        feature_names=_tuple(description.get("feature_names")),
        classes=_tuple(description.get("classes")),
        **reading,
    )


def _tuple(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _open_name(name: str, flat: bool | None, test_size: float, seed: int) -> Pair:
    if name in _SYNTHETIC:
        return train_test_split(_SYNTHETIC[name](seed=seed), test_size=test_size, seed=seed)
    if name == "digits":
        return digits(True if flat is None else flat, test_size, seed)
    if name == "breast_cancer":
        return breast_cancer(test_size=test_size, seed=seed)
    return (MNIST if name == "mnist" else FashionMNIST)(bool(flat))


def _is_table(name: str) -> bool:
    """Whether the path of a file names a table; ArgumentError if the path does not exist."""
    if not os.path.exists(name):
        raise _unknown(name)
    return os.path.splitext(name)[1].lower() in TABLES


def _holds_pixels(name: str, reading: Mapping[str, Any]) -> bool:
    """Whether the columns of a table are a label and pixels of images: pixel0, pixel1, ..."""
    if name.lower().endswith(ARROW):
        return False
    cells = open_cells(name, delimiter=reading.get("delimiter"), header=reading.get("header"))
    pixels = [column for column in cells.names if column.startswith("pixel")]
    return len(pixels) == len(cells.names) - 1 and pixel_order(pixels) is not None


def _open_path(
    name: str,
    size: tuple[int, int] | None,
    task: str | None,
    like: Mapping[str, Any] | None,
    label: str | int | None,
) -> tuple[Samples, Samples | None]:
    classes = _tuple(like.get("classes")) if like else None
    ending = os.path.splitext(name)[1].lower()
    if ending == ".npy" or (os.path.isdir(name) and npy_files(name)):
        return npy_datasets(name, label, task, classes)
    if os.path.isdir(name):
        return _open_folder(name, size, like, classes)
    if ending == ".npz":
        return npz_datasets(name, task, classes)
    raise ArgumentError(
        f"cannot tell what {name} holds",
        expected="a table (.csv, .tsv, .parquet), an .npy or .npz file, a folder of .npy or IDX "
        "files, or of class folders",
    )


def _open_folder(
    name: str,
    size: tuple[int, int] | None,
    like: Mapping[str, Any] | None,
    classes: tuple[str, ...] | None,
) -> tuple[Samples, Samples | None]:
    if find_idx(name, "train", "images") or find_idx(name, "train", "labels"):
        return idx_datasets(name, classes)
    mode = None
    if like is not None and like.get("image"):
        image = like["image"]
        mode, size = "L" if image["channels"] == 1 else "RGB", (image["height"], image["width"])
    train_part, test_part = os.path.join(name, "train"), os.path.join(name, "test")
    if not (os.path.isdir(train_part) and os.path.isdir(test_part) and _nested(train_part)):
        return _held(ImageFolder(name, size, mode, classes=classes)), None
    train = ImageFolder(train_part, size, mode, classes=classes)
    if train.image is not None:
        size, mode = train.image.shape[1:], "L" if train.image.channels == 1 else "RGB"
    test = ImageFolder(test_part, size, mode, classes=train.classes)
    return _held(train), _held(test)


def _held(data: ImageFolder) -> Samples:
    """The images in memory, if they fit."""
    pixels = len(data) * math.prod(data.input_shape)
    return data.to_memory() if fits(2 * pixels) else data


def _nested(folder: str) -> bool:
    try:
        return bool(class_folders(folder))
    except FormatError:
        return False


def _preprocessing(train: Samples, flat: bool) -> Transform:
    first = train.take([0]).arrays[0]
    if first.dtype.kind == "u" and first.ndim == 4:
        return Compose([Rescale(255), Flatten()]) if flat else Rescale(255)
    standardize = Standardize.of_blocks(_blocks(train), dtype="float32")
    return Compose([standardize, Flatten()]) if flat and first.ndim > 2 else standardize


def _blocks(data: Samples) -> Iterator[Array]:
    """The raw inputs: of a dataset in memory at once, of one in files chunk by chunk."""
    if isinstance(data, ArrayDataset) and data.chunks is None:
        yield data.arrays[0]
        return
    bounds = data.chunks if data.chunks is not None else np.arange(0, len(data) + _BLOCK, _BLOCK)
    for first, last in pairwise(bounds.tolist()):
        yield data.take(np.arange(first, min(last, len(data)))).arrays[0]


def _unknown(name: str) -> ArgumentError:
    from difflib import get_close_matches

    near = get_close_matches(name, NAMES, 1)
    return ArgumentError(
        f"no data set and no file is called {name!r}",
        expected=f"{', '.join(NAMES)}, or a path",
        instead=f"Did you mean {near[0]!r}?" if near else None,
    )
