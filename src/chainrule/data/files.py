"""What every reader does first: open a regular file, know its size, cap what it may unpack to."""

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

# A deflate stream can unpack to 1,032 times its size, honest data rarely to 200 times. Below
# 64 MiB no bomb hurts.
_HONEST_RATIO = 200
_HARMLESS = 64 * 2**20
_CHUNK = 2**22


@contextmanager
def open_regular(path: PathLike) -> Iterator[tuple[BinaryIO, int]]:
    """The open file and its size in bytes; refuses folders, pipes and devices."""
    path = os.fspath(path)
    # O_NONBLOCK: opening a pipe that nobody writes to would otherwise wait for ever.
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
    """A hint for the commonest wrong file of all: the error page of a failed download."""
    if head.lstrip()[:1] == b"<":
        return "The file looks like a web page: was it downloaded completely? Fetch it again."
    return None


def read_stream(stream: BinaryIO, wanted: int, path: PathLike) -> bytearray:
    """Exactly `wanted` bytes and then the end of the stream, in chunks: memory follows the data.

    Raises FormatError for fewer or more bytes, and for a damaged gzip stream. Reading to the end
    is also what makes gzip compare its checksum.
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
