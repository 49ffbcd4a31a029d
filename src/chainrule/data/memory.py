"""Whether data fits in memory, and what to do with a table that does not."""

from __future__ import annotations

import os
from contextlib import suppress

from chainrule.data.files import PathLike
from chainrule.errors import ArgumentError
from chainrule.ops.rules import physical_memory

CELL, CHARACTER = 120, 12
"""Bytes of memory for a cell of a table that is read whole, and for a byte of its text."""
_SHARE = 0.5
"""The largest share of memory for one data set."""
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_HEAD, _DELIMITERS = 2**16, ",;\t|"


def memory() -> int:
    """The bytes of memory of this machine, or of the container that this process runs in."""
    found = [physical_memory()]
    for path in _LIMITS:
        with suppress(OSError, ValueError), open(path) as file:
            found.append(int(file.read()))
    return min(found)


def fits(size: float) -> bool:
    """Whether data of this size in bytes can be held in memory while a model is trained."""
    return size <= _SHARE * memory()


def check_text(path: PathLike, factor: int) -> None:
    """Raise ArgumentError, with the command that converts the file, for a table of text that takes
    more memory than there is. factor: the bytes of memory for a byte of the file."""
    name, size = os.fspath(path), os.path.getsize(path)
    if fits(factor * size):
        return
    to = f"{os.path.splitext(name)[0]}.parquet"
    raise ArgumentError(
        f"{name} is too large to be read as text",
        given=f"{_shown(size)}, which take about {_shown(factor * size)} of memory",
        expected=f"at most half of the {_shown(memory())} of this machine",
        instead=f"Write it as Parquet, which is read part by part, and use {to}:\n"
        f"  {_conversion(name, to)}",
    )


def _conversion(path: str, to: str) -> str:
    """A command that writes a table of text as Parquet, without reading it whole."""
    with open(path, "rb") as file:
        line = file.read(_HEAD).decode(errors="replace").partition("\n")[0]
    sign = max(_DELIMITERS, key=line.count)
    parse = "" if sign == "," else f", parse_options=csv.ParseOptions(delimiter={sign!r})"
    code = (
        "from pyarrow import csv, parquet as p; "
        f"r = csv.open_csv({path!r}{parse}); w = p.ParquetWriter({to!r}, r.schema); "
        "[w.write_batch(b) for b in r]; w.close()"
    )
    return f'python -c "{code}"'


def _shown(size: float) -> str:
    """A size in bytes for people."""
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"
