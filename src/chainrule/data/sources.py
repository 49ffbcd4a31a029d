"""Datasets from users' files: CSV files, `.npz` files, IDX folders and image folders.

The functions return raw samples. :mod:`chainrule.data.catalog` splits them and adds preprocessing.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence

import numpy as np

from chainrule.data.cells import Cells, is_missing, is_number, open_cells
from chainrule.data.dataset import (
    CLASSIFICATION,
    REGRESSION,
    ArrayDataset,
    ImageFormat,
)
from chainrule.data.files import PathLike
from chainrule.data.idx import read_idx_folder
from chainrule.data.labels import LABEL_NAMES, are_classes, encode_labels, label_text
from chainrule.data.numbers import to_float32
from chainrule.data.numpy_files import read_npy, read_npz
from chainrule.data.tables import Table, label_numbers, read_table
from chainrule.data.transforms import Array
from chainrule.errors import ArgumentError, FormatError, NonFiniteError, listing

_MANY = 100
_NPZ_NAMES = (
    (("x_train", "y_train"), ("x_test", "y_test")),
    (("x", "y"), None),
    (("X", "y"), None),
    (("data", "target"), None),
)


def _whole(raw: Array) -> bool:
    """Whether the targets are whole numbers, one per sample."""
    return raw.ndim == 1 and (raw.dtype.kind in "biu" or bool((raw == np.round(raw)).all()))


def labelled(
    x: Array,
    raw: Array,
    *,
    task: str | None = None,
    classes: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    where: str = "the labels",
) -> ArrayDataset:
    """A dataset of inputs and raw targets, which become class labels int64 (n,) or float32 numbers
    (n, outputs)."""
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        place = int(np.argmin(np.isfinite(raw).reshape(len(raw), -1).all(1)))
        raise NonFiniteError(f"{where} hold NaN or infinity", given=f"sample {place}")
    if task is None:
        few = raw.dtype.kind == "U" or (_whole(raw) and np.unique(raw).size <= _MANY)
        task = CLASSIFICATION if few or classes else REGRESSION
    if task == REGRESSION:
        y = to_float32(raw, where).reshape(len(raw), -1)
        return ArrayDataset(x, y, feature_names=feature_names, task=REGRESSION)
    if raw.ndim != 1:
        raise FormatError(f"{where} are not class labels", given=raw.shape, expected="(n,)")
    y, names = encode_labels(raw, classes, where)
    return ArrayDataset(x, y, classes=names, feature_names=feature_names, task=CLASSIFICATION)


def csv_dataset(
    path: PathLike,
    label: str | int | None = None,
    *,
    task: str | None = None,
    feature_names: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
) -> ArrayDataset:
    """A dataset from a CSV file of numbers with one label column; errors as in :func:`read_csv`.

    label: the name or the index of the label column; by default the column called label, target,
        class, species or y. Columns `pixel0`, `pixel1`, ... with whole numbers from 0 to 255 become
        a grey image.
    task: by default classification for text and for few different whole numbers, regression for
        other numbers. Numbers and text in one column are an error that names the line.
    feature_names, classes: the values of training, to read a test file in the same way.
    delimiter, header: see :func:`read_csv`.
    """
    wanted = {*(feature_names or ()), *([label] if isinstance(label, str) else [])}
    cells = open_cells(path, delimiter=delimiter, header=header, wanted=wanted)
    table = read_table(cells, _label_column(cells) if label is None else label, feature_names)
    if table.labels is None or not table.names:
        raise FormatError(f"{cells.path} needs a label column and at least one feature")
    raw = _targets(cells, table, task, classes)
    data = labelled(
        table.values,
        raw,
        task=CLASSIFICATION if raw.dtype.kind == "U" else REGRESSION,
        classes=classes,
        feature_names=table.names,
        where=f"{cells.path}: the labels in column {table.label_name}",
    )
    return _as_pixels(data) or data


def _label_column(cells: Cells) -> str:
    found = [name for name in cells.names if name.lower() in LABEL_NAMES]
    if len(found) != 1:
        raise ArgumentError(
            f"{cells.path}: which column is the label?",
            given=f"columns {listing(cells.names)}",
            instead="Name it: label='...' (--label on the command line).",
        )
    return found[0]


def _targets(cells: Cells, table: Table, task: str | None, classes: Sequence[str] | None) -> Array:
    """The label column as float64 numbers or as names of classes."""
    texts: list[str] = [] if table.labels is None else table.labels.tolist()
    missing = [is_missing(text) for text in texts]
    if any(missing):
        raise _bad_label(cells, table, missing.index(True), "the label is missing")
    numeric = [is_number(text) for text in texts]
    if task is None and classes is None and len(set(numeric)) > 1:
        raise _bad_label(
            cells,
            table,
            numeric.index(False),
            "not a number, as other labels are",
            instead="Mend the cell, or pass task='classification' (--task on the command line).",
        )
    names = [label_text(text) for text in texts]
    if task == REGRESSION or (task is None and classes is None and all(numeric)):
        numbers = label_numbers(cells, table)
        if task == REGRESSION or not are_classes(names):
            return numbers
    return np.array(names)


def _bad_label(
    cells: Cells, table: Table, row: int, problem: str, instead: str | None = None
) -> FormatError:
    name = table.label_name or ""
    return cells.error(
        int(table.lines[row]),
        f"column {cells.names.index(name) + 1} ({name}): {problem}",
        given=None if table.labels is None else repr(str(table.labels[row])[:40]),
        instead=instead,
    )


def _as_pixels(data: ArrayDataset) -> ArrayDataset | None:
    """The dataset as uint8 images if the names of its columns are pixels of a square, else None."""
    names, x = data.feature_names or (), data.arrays[0]
    order = pixel_order(names)
    side = math.isqrt(len(names))
    if order is None or side * side != len(names) or side < 2:
        return None
    if x.min() < 0 or x.max() > 255 or (x != np.round(x)).any():
        return None
    return ArrayDataset(
        x.astype(np.uint8)[:, order].reshape(-1, 1, side, side),
        data.arrays[1],
        classes=data.classes,
        feature_names=[names[place] for place in order],
        task=data.task,
        image=ImageFormat(1, side, side),
    )


def pixel_order(names: Sequence[str]) -> list[int] | None:
    """The indices of pixel0, pixel1, ... in `names`; None if there are other names.

    >>> pixel_order(["pixel1", "pixel0", "pixel2"])
    [1, 0, 2]
    """
    matches = [re.fullmatch(r"pixel_?(\d+)", name, re.ASCII) for name in names]
    numbers = [int(match[1]) for match in matches if match]
    first = min(numbers, default=0)
    if sorted(numbers) != list(range(first, first + len(names))):
        return None
    return sorted(range(len(names)), key=numbers.__getitem__)


def npz_datasets(
    path: PathLike, task: str | None = None, classes: Sequence[str] | None = None
) -> tuple[ArrayDataset, ArrayDataset | None]:
    """(train, test) of an `.npz` file with x_train, y_train, x_test, y_test; (all, None) of a file
    with x, y (or X, y; or data, target). uint8 arrays (N, H, W[, C]) are images."""
    return _named_datasets(read_npz(path), os.fspath(path), task, classes)


def npy_datasets(
    path: PathLike,
    label: str | int | None = None,
    task: str | None = None,
    classes: Sequence[str] | None = None,
) -> tuple[ArrayDataset, ArrayDataset | None]:
    """(train, test) of a folder of `.npy` files, named as the arrays of :func:`npz_datasets`; or
    (all, None) of one file (N, columns). The numbers of the inputs stay in the files.

    label: the column of the targets in one file: the first (0) or the last one (-1).
    """
    name = os.fspath(path)
    if os.path.isdir(path):
        found = npy_files(path)
        arrays = {stem: read_npy(file, mmap=True) for stem, file in found.items()}
        return _named_datasets(arrays, name, task, classes)
    table = read_npy(path, mmap=True)
    last = table.shape[1] - 1 if table.ndim == 2 else 0
    column = {"0": 0, "-1": last, str(last): last}.get(str(label))
    if last < 1 or column is None:
        raise ArgumentError(
            f"{name}: which column is the label?",
            given=f"an array {table.shape}, label {label}",
            expected="rows (N, columns), whose first or last column is the label",
            instead="Pass --label=0 or --label=-1, or put x.npy and y.npy into a folder.",
        )
    x = table[:, 1:] if column == 0 else table[:, :-1]
    return _arrays_dataset(x, np.array(table[:, column]), task, classes, name), None


def npy_files(folder: PathLike) -> dict[str, str]:
    """The `.npy` files of a folder by the names of their arrays."""
    paths = {e.name: e.path for e in os.scandir(folder) if e.name.endswith(".npy")}
    return {name.removesuffix(".npy"): path for name, path in sorted(paths.items())}


def _named_datasets(
    arrays: Mapping[str, Array], where: str, task: str | None, classes: Sequence[str] | None
) -> tuple[ArrayDataset, ArrayDataset | None]:
    """The datasets of arrays with the names of :data:`_NPZ_NAMES`."""
    for train, test in _NPZ_NAMES:
        if not all(name in arrays for name in train):
            continue
        x, y = (arrays[name] for name in train)
        first = _arrays_dataset(x, y, task, classes, f"{where}: {train[1]}")
        if test is None or not all(name in arrays for name in test):
            return first, None
        x, y = (arrays[name] for name in test)
        second = _arrays_dataset(x, y, first.task, first.classes, f"{where}: {test[1]}")
        return first, second
    raise FormatError(
        f"{where} lacks the arrays of a dataset",
        given=listing(sorted(arrays)),
        expected="x_train, y_train, x_test, y_test; or x, y",
    )


def _arrays_dataset(
    x: Array, y: Array, task: str | None, classes: Sequence[str] | None, where: str
) -> ArrayDataset:
    if len(x) != len(y) or x.ndim < 1:
        raise FormatError(f"{where}: {x.shape} inputs and {y.shape} targets differ in length")
    if y.ndim == 2 and y.shape[1] == 1 and y.dtype.kind in "iub":
        y = y[:, 0]
    data = labelled(x, y, task=task, classes=classes, where=where)
    images = _as_images(x)
    if images is None:
        return data
    image = ImageFormat(*images.shape[1:])
    return ArrayDataset(images, data.arrays[1], classes=data.classes, task=data.task, image=image)


def _as_images(x: Array) -> Array | None:
    """uint8 (N, H, W), (N, H, W, C) or (N, C, H, W) as (N, C, H, W)."""
    if x.dtype != np.uint8 or x.ndim not in (3, 4):
        return None
    if x.ndim == 3:
        return x[:, None]
    if x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
        return x.transpose(0, 3, 1, 2)
    return x if x.shape[1] in (1, 3) else None


def idx_datasets(
    folder: PathLike, classes: Sequence[str] | None = None
) -> tuple[ArrayDataset, ArrayDataset | None]:
    """(train, test) of a folder with MNIST's file names; test is None without t10k files."""
    train = read_idx_folder(folder, "train")
    test = read_idx_folder(folder, "t10k")
    if train is None:
        raise FormatError(
            f"{os.fspath(folder)} lacks the training images", expected="train-images-idx3-ubyte.gz"
        )
    first = _idx_dataset(train, classes, f"{os.fspath(folder)}: the train labels")
    if test is None:
        return first, None
    return first, _idx_dataset(test, first.classes, f"{os.fspath(folder)}: the t10k labels")


def _idx_dataset(
    part: tuple[Array, Array], classes: Sequence[str] | None, where: str
) -> ArrayDataset:
    x, y = part
    data = labelled(x, y, task=CLASSIFICATION, classes=classes, where=where)
    image = ImageFormat(*x.shape[1:]) if x.dtype == np.uint8 else None
    return ArrayDataset(x, data.arrays[1], classes=data.classes, task=data.task, image=image)
