"""Parquet and Feather files through pyarrow (the extra `tables`), whole or group by group.

A Parquet file has row groups, a Feather (Arrow IPC) file record batches. Both are called groups
here: they are what can be read without the rest of the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

from chainrule.data.files import PathLike, open_regular
from chainrule.errors import FormatError, missing_dependency

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


def read_whole(path: PathLike) -> Any:
    """The table in a file."""
    with _opened(path) as reader:
        if hasattr(reader, "read_row_group"):
            return reader.read(use_threads=False)
        return reader.read_all()


def describe(path: PathLike) -> tuple[Any, list[int]]:
    """The schema of a file, and the number of rows of each group."""
    with _opened(path) as reader:
        if hasattr(reader, "read_row_group"):
            facts = reader.metadata
            return reader.schema_arrow, [
                facts.row_group(place).num_rows for place in range(facts.num_row_groups)
            ]
        places = range(reader.num_record_batches)
        return reader.schema, [reader.get_batch(place).num_rows for place in places]


def read_group(path: PathLike, group: int, columns: Sequence[str]) -> Any:
    """These columns of one group."""
    with _opened(path) as reader:
        if hasattr(reader, "read_row_group"):
            return reader.read_row_group(group, columns=list(columns), use_threads=False)
        return reader.get_batch(group).select(list(columns))
