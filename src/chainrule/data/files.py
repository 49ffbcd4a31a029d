"""Common steps of all readers: open a regular file, get its size, limit the unpacked size."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from chainrule.errors import FormatError

PathLike = str | os.PathLike[str]

# A deflate stream can expand 1,032 times; real data rarely expands 200 times. Up to 64 MiB a
# malicious file does no harm.
_HONEST_RATIO = 200
_HARMLESS = 64 * 2**20
_CHUNK = 2**22


@contextmanager
def open_regular(path: PathLike) -> Iterator[tuple[BinaryIO, int]]:
    """The open file and its size in bytes. Folders, pipes and devices are refused."""
    path = os.fspath(path)
    # O_NONBLOCK: otherwise, opening a pipe without a writer would block forever.
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    if os.path.isdir(path):
        raise FormatError(f"{path} is a folder", expected="a file")
    with open(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise FormatError(f"{path} is not a regular file", expected="a file on disk")
        yield file, status.st_size


def unpacking_limit(packed: int, max_bytes: int | None) -> int:
    """How many bytes a compressed file of `packed` bytes may unpack to."""
    return max(_HARMLESS, _HONEST_RATIO * packed) if max_bytes is None else max_bytes


def too_large(path: PathLike, what: str, wanted: int, limit: int) -> FormatError:
    """The error for data that would unpack to more than the cap."""
    return FormatError(
        f"{os.fspath(path)}: {what} would unpack to {wanted:,} bytes",
        expected=f"at most {limit:,}",
        instead="If you trust the file, raise the cap: max_bytes=...",
    )


def looks_like_html(head: bytes) -> str | None:
    """A hint if the file is a web page, as after a failed download."""
    if head.lstrip()[:1] == b"<":
        return "The file looks like a web page: was it downloaded completely? Fetch it again."
    return None


def read_stream(stream: BinaryIO, wanted: int, path: PathLike) -> bytearray:
    """Reads exactly `wanted` bytes up to the end of the stream, in chunks.

    Memory grows with the data, not with the declared size. Raises FormatError for fewer or more
    bytes, and for a damaged gzip stream: gzip checks its checksum at the end of the stream.
    """
    data = bytearray()
    try:
        while len(data) < wanted and (chunk := stream.read(min(_CHUNK, wanted - len(data)))):
            data += chunk
        extra = len(stream.read(1))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FormatError(
            f"{os.fspath(path)}: compressed data damaged after {len(data):,} bytes: {error}",
            expected=f"{wanted:,} bytes of content",
            instead="Fetch the file again.",
        ) from error
    if len(data) < wanted or extra:
        raise FormatError(
            f"{os.fspath(path)}: the content {'is too long' if extra else 'ends early'}",
            given=f"more than {wanted:,} bytes" if extra else f"{len(data):,} bytes",
            expected=f"{wanted:,} bytes, as the header says",
        )
    return data
