"""Parquet and Feather files through pyarrow (the extra `tables`), whole or group by group.

A Parquet file has row groups, a Feather (Arrow IPC) file record batches. Both are called groups
here: they are what can be read without the rest of the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from chainrule.data.files import PathLike, open_regular
from chainrule.data.transforms import Array
from chainrule.errors import ArgumentError, FormatError, listing, missing_dependency

PARQUET, FEATHER = (".parquet", ".pq"), (".feather", ".arrow")
ARROW = (*PARQUET, *FEATHER)


def _module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError:
        raise missing_dependency("pyarrow", "tables", "reading Parquet and Feather files") from None


@contextmanager
def _opened(path: PathLike) -> Iterator[Any]:
    """The open file, as a reader of pyarrow's. Its errors become FormatError."""
    name, arrow = os.fspath(path), _module("pyarrow")
    is_parquet = name.lower().endswith(PARQUET)
    kind = "Parquet" if is_parquet else "Feather"
    with open_regular(path):  # folders, pipes and devices are refused
        pass
    try:
        with arrow.memory_map(name) as file:
            if is_parquet:
                yield _module("pyarrow.parquet").ParquetFile(file)
            else:
                yield _module("pyarrow.ipc").open_file(file)
    except (arrow.ArrowException, OSError) as error:
        raise FormatError(f"{name}: not a sound {kind} file: {error}") from error


def cells_of(path: PathLike) -> int:
    """The number of cells in the table of a file."""
    schema, sizes = _describe(path)
    return len(schema.names) * sum(sizes)


def read_whole(path: PathLike) -> Any:
    """The table in a file."""
    with _opened(path) as reader:
        if hasattr(reader, "read_row_group"):
            return reader.read(use_threads=False)
        return reader.read_all()


class RowGroups:
    """The row groups of Parquet and Feather files, one file after the other, as chunks of rows.

    schemas: that of each file. bounds: the first row of each group, and the number of rows.
    """

    def __init__(self, paths: Sequence[PathLike]) -> None:
        self.paths = [os.fspath(path) for path in paths]
        found = [_describe(path) for path in self.paths]
        groups = [
            (size, file, place)
            for file, (_, sizes) in enumerate(found)
            for place, size in enumerate(sizes)
            if size
        ]
        self.schemas = [schema for schema, _ in found]
        self.bounds: Array = np.cumsum([0, *(size for size, *_ in groups)])
        self._places = [(file, place) for _, file, place in groups]
        self._kept: tuple[int, tuple[Array, ...]] | None = None
        if not groups:
            raise ArgumentError("a dataset of length 0", given=listing(self.paths))

    def __len__(self) -> int:
        return len(self._places)

    def where(self, group: int) -> str:
        """The file of a group, and its number there."""
        file, place = self._places[group]
        return f"{self.paths[file]}, group {place}"

    def read(self, group: int, columns: Sequence[str]) -> Any:
        """These columns of one group, as a table of Arrow's."""
        file, place = self._places[group]
        with _opened(self.paths[file]) as reader:
            if hasattr(reader, "read_row_group"):
                return reader.read_row_group(place, columns=list(columns), use_threads=False)
            batch = reader.get_batch(place).select(list(columns))
            return _module("pyarrow").Table.from_batches([batch])

    def split(self, places: Array) -> Iterator[tuple[int, Array, Array]]:
        """(group, at, rows) of each group that has some of these rows: those of `places` at `at`
        are `rows` of the group."""
        groups = np.searchsorted(self.bounds, places, side="right") - 1
        for group in np.unique(groups).tolist():
            at = np.flatnonzero(groups == group)
            yield group, at, places[at] - self.bounds[group]

    def gather(self, places: Array, fields: Callable[[int], tuple[Array, ...]]) -> list[Array]:
        """The rows at these places of the fields (N, ...) of groups. Each group is read once; the
        last one is kept, for batches that follow each other."""
        result: list[Array] = []
        for group, at, rows in self.split(places):
            if self._kept is None or self._kept[0] != group:
                self._kept = group, fields(group)
            own = self._kept[1]
            result = result or [np.empty((len(places), *a.shape[1:]), a.dtype) for a in own]
            for field, array in zip(result, own, strict=True):
                field[at] = array[rows]
        return result


def _describe(path: PathLike) -> tuple[Any, list[int]]:
    """The schema of a file, and the number of rows of each group."""
    with _opened(path) as reader:
        if hasattr(reader, "read_row_group"):
            facts = reader.metadata
            return reader.schema_arrow, [
                facts.row_group(place).num_rows for place in range(facts.num_row_groups)
            ]
        places = range(reader.num_record_batches)
        return reader.schema, [reader.get_batch(place).num_rows for place in places]
