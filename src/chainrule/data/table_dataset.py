"""The rows of Parquet and Feather files as samples, read group by group (the extra `tables`)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.data.arrow_files import RowGroups
from chainrule.data.dataset import CLASSIFICATION, REGRESSION, Dataset
from chainrule.data.files import PathLike
from chainrule.data.labels import encode_labels
from chainrule.data.numbers import as_indices, to_float32
from chainrule.data.transforms import Array, Generator, Transform
from chainrule.errors import ArgumentError, DTypeError, FormatError, listing


class TableDataset(Dataset):
    """The rows of tables that may be larger than memory: sample i is (numbers (F,), label).

    The tables are Parquet or Feather files with the same columns. Their row groups are read when
    they are needed, and the loader shuffles by groups: write files with groups of at most a few
    megabytes (`row_group_size=10_000`). :func:`table` reads a whole table, of columns of any kind.

    Parameters
    ----------
    paths: a file, or several, one after the other.
    label: the column of the targets; None for samples without targets.
    columns: the columns of the inputs, by default all others. They hold numbers.
    task: by default classification for labels that are text, whole numbers or bools, and
        regression for other numbers.
    classes: the names of the classes in label order; by default found by reading the label column
        once.
    transform: applied to batches of inputs (N, F).

    Inputs become float32, classes int64 (N,), other targets float32 (N, 1). Raises FormatError for
    missing columns and values, and DTypeError for inputs that are no numbers.

    >>> import pyarrow, pyarrow.parquet, tempfile
    >>> rows = pyarrow.table({"size": [1.0, 2.0, 3.0], "kind": ["a", "b", "a"]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pyarrow.parquet.write_table(rows, f"{folder}/t.parquet", row_group_size=2)
    ...     data = TableDataset(f"{folder}/t.parquet", label="kind")
    ...     data.classes, data.chunks, data[2]
    (('a', 'b'), array([0, 2, 3]), (array([3.], dtype=float32), np.int64(0)))
    """

    waits = buffered = True

    def __init__(
        self,
        paths: PathLike | Sequence[PathLike],
        label: str | None = None,
        *,
        columns: Sequence[str] | None = None,
        task: str | None = None,
        classes: Sequence[str] | None = None,
        transform: Transform | None = None,
    ) -> None:
        several = [paths] if isinstance(paths, (str, os.PathLike)) else paths
        self.label, self.transform = label, transform
        self.random = transform is not None and transform.random
        self._groups = groups = RowGroups(several)
        self.chunks = groups.bounds
        names = groups.schemas[0].names
        self.columns = [n for n in names if n != label] if columns is None else [*columns]
        for path, schema in zip(groups.paths, groups.schemas, strict=True):
            self._check(path, schema)
        self.feature_names = tuple(self.columns)
        kind = None if label is None else str(groups.schemas[0].field(label).type)
        self._describe_label(kind, task, classes)

    def _check(self, path: str, schema: Any) -> None:
        wanted = self.columns if self.label is None else [*self.columns, self.label]
        if missing := [name for name in wanted if name not in schema.names]:
            raise FormatError(
                f"{path} lacks the columns {listing(missing)}", given=listing(schema.names)
            )
        for name in self.columns:
            kind = str(schema.field(name).type)
            if not kind.startswith(("int", "uint", "float", "double", "halffloat", "bool")):
                raise DTypeError(
                    f"{path}: column {name} holds no numbers",
                    given=kind,
                    instead="Leave it out by columns=[...], or read the table by cr.data.table.",
                )

    def _describe_label(
        self, kind: str | None, task: str | None, classes: Sequence[str] | None
    ) -> None:
        if task not in (None, CLASSIFICATION, REGRESSION):
            raise ArgumentError("unknown task", given=task, expected="classification, regression")
        if kind is None:
            return
        number = kind.startswith(("float", "double", "halffloat", "decimal"))
        self.task = task or (REGRESSION if number and not classes else CLASSIFICATION)
        if self.task == CLASSIFICATION:
            if classes is None:
                parts = [np.unique(self._label(group)) for group in range(len(self._groups))]
                classes = encode_labels(np.concatenate(parts), None, self.label or "")[1]
            self.classes = tuple(classes)

    def __len__(self) -> int:
        return int(self._groups.bounds[-1])

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(field[0] for field in self.gather([self.place(index)]))

    def gather(
        self, indices: Sequence[int] | Array, generator: Generator | None = None
    ) -> tuple[Array, ...]:
        """The rows at `indices`. Each group that has some of them is read once."""
        fields = self._groups.gather(as_indices(indices), self._fields)
        if self.transform is not None and fields:
            fields[0] = self.transform(fields[0], generator)
        return tuple(fields)

    def _fields(self, group: int) -> tuple[Array, ...]:
        x = np.stack(self._columns(group, self.columns), axis=1)
        if self.task == CLASSIFICATION:
            where = f"{self._groups.where(group)}: the labels in column {self.label}"
            return x, encode_labels(self._label(group), self.classes, where)[0]
        if self.label is not None:
            return x, np.stack(self._columns(group, [self.label]), axis=1)
        return (x,)

    def _columns(self, group: int, names: Sequence[str]) -> list[Array]:
        """Columns of a group as float32."""
        table, where = self._complete(group, names), self._groups.where(group)
        return [
            to_float32(np.asarray(table.column(name)), f"{where}: column {name}") for name in names
        ]

    def _label(self, group: int) -> Array:
        name = self.label or ""
        values = np.array(self._complete(group, [name]).column(name).to_pylist())
        return values.astype(str) if values.dtype.kind in "Ob" else values

    def _complete(self, group: int, names: Sequence[str]) -> Any:
        """These columns of a group; FormatError if one lacks values."""
        table = self._groups.read(group, names)
        for name in names:
            if table.column(name).null_count:
                raise FormatError(
                    f"{self._groups.where(group)}: column {name} lacks values",
                    given=f"{table.column(name).null_count} of {table.num_rows} rows",
                    instead="Fill them, or leave the column out by columns=[...].",
                )
        return table
