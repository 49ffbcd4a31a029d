"""IDX files, the format of MNIST: a magic number, the dimensions, then the numbers, big-endian.

offset 0   two zero bytes, the dtype code, the rank
offset 4   one unsigned 32-bit integer per dimension
then       the numbers, last axis fastest
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from typing import Any, BinaryIO

import numpy as np

from chainrule.data.files import (
    PathLike,
    looks_like_html,
    open_regular,
    read_stream,
    too_large,
    unpacking_limit,
)
from chainrule.data.memory import fits
from chainrule.data.numpy_files import mapped
from chainrule.data.transforms import Array
from chainrule.errors import ArgumentError, FormatError

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_RANK = 8
_GZIP = b"\x1f\x8b"


def read_idx(path: PathLike, max_bytes: int | None = None, mmap: bool = False) -> Array:
    """The array in an IDX file. Gzip compression is detected from the first bytes.

    max_bytes: the limit of the unpacked size of a gzipped file; by default 200 times its size, and
    at least 64 MiB.

    Raises FormatError, with file and offset, for a wrong magic number, dimensions that do not fit
    the size of the file, and damaged or truncated gzip data. Sizes are checked before memory is
    allocated.
    """
    with open_regular(path) as (file, size):
        packed = file.read(2) == _GZIP
        file.seek(0)
        if not packed:
            dims, dtype, offset = _read_sizes(file, path, size, None)
            if mmap:
                return mapped(os.fspath(path), dims, dtype, offset)
            return _read_numbers(file, path, dims, dtype)
        if mmap:
            raise ArgumentError(
                f"{os.fspath(path)} is gzipped, and so cannot be mapped into memory",
                instead="Unpack it (gunzip), or leave out mmap=True.",
            )
        with gzip.GzipFile(fileobj=file) as stream:
            limit = unpacking_limit(size, max_bytes)
            dims, dtype, _ = _read_sizes(stream, path, None, limit)  # type: ignore[arg-type]
            return _read_numbers(stream, path, dims, dtype)  # type: ignore[arg-type]


def _read_numbers(
    stream: BinaryIO, path: PathLike, dims: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    content = read_stream(stream, math.prod(dims) * dtype.itemsize, path)
    return np.frombuffer(content, dtype).reshape(dims).astype(dtype.newbyteorder("="), copy=False)


def _read_sizes(
    stream: BinaryIO, path: PathLike, size: int | None, limit: int | None
) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """The dimensions, the dtype, and the offset of the numbers."""
    head = _read_head(stream, 4, 0, path)
    dtype, rank = _check_magic(head, path)
    dims = tuple(np.frombuffer(_read_head(stream, 4 * rank, 4, path), ">u4").tolist())
    offset = 4 + 4 * rank
    wanted = math.prod(dims) * dtype.itemsize
    if size is not None and size - offset != wanted:
        raise FormatError(
            f"{os.fspath(path)}: the header at offset 4 declares dimensions {dims}, that is "
            f"{wanted:,} bytes of content",
            given=f"{size - offset:,} bytes from offset {offset}",
            expected=f"{wanted:,}",
        )
    if limit is not None and wanted > limit:
        raise too_large(path, f"dimensions {dims} declared at offset 4", wanted, limit)
    if math.prod(max(extent, 1) for extent in dims) > 2**62:
        raise FormatError(f"{os.fspath(path)}: impossible dimensions at offset 4", given=list(dims))
    return dims, dtype, offset


def _read_head(stream: BinaryIO, count: int, offset: int, path: PathLike) -> bytes:
    try:
        head = stream.read(count)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FormatError(
            f"{os.fspath(path)}: damaged at offset {offset}: {error}", instead="Fetch it again."
        ) from error
    if len(head) < count:
        raise FormatError(
            f"{os.fspath(path)}: the header ends early, at offset {offset + len(head)}",
            given=f"{len(head)} bytes",
            expected=f"{count} bytes from offset {offset}",
        )
    return head


def _check_magic(head: bytes, path: PathLike) -> tuple[np.dtype[np.generic], int]:
    code, rank = head[2], head[3]
    if head[:2] != b"\0\0" or code not in _DTYPES:
        codes = ", ".join(f"{known:02x}" for known in _DTYPES)
        raise FormatError(
            f"{os.fspath(path)}: not an IDX file: wrong magic number at offset 0-3",
            given=head.hex(" "),
            expected=f"00 00, a dtype code ({codes}), a rank",
            instead=looks_like_html(head),
        )
    if not 1 <= rank <= _MAX_RANK:
        raise FormatError(
            f"{os.fspath(path)}: the rank at offset 3 is out of range",
            given=rank,
            expected=f"1 to {_MAX_RANK}",
        )
    return np.dtype(_DTYPES[code]), rank


def read_idx_pair(images: PathLike, labels: PathLike) -> tuple[Array, Array]:
    """Images (N, H, W) as (N, 1, H, W), and as many labels (N,) as int64. Images that are not
    packed, and take more than half of the memory, stay in their file."""
    packed = os.fspath(images).endswith(".gz")
    is_large = not packed and not fits(2 * os.path.getsize(images))
    x, y = read_idx(images, mmap=is_large), read_idx(labels)
    if x.ndim != 3 or y.ndim != 1 or y.dtype.kind not in "iu":
        raise FormatError(
            f"{os.fspath(images)} and {os.fspath(labels)} are not images with labels",
            given=f"{x.dtype} {x.shape} and {y.dtype} {y.shape}",
            expected="(N, H, W) and integers (N,)",
        )
    if len(x) != len(y):
        raise FormatError(
            f"{os.fspath(images)} and {os.fspath(labels)} differ in length",
            given=f"{len(x):,} images and {len(y):,} labels",
            expected="one label per image",
        )
    return x[:, None], y.astype(np.int64)


_STEMS = ("{part}-{what}-idx{rank}-ubyte", "{part}-{what}.idx{rank}-ubyte")


def find_idx(folder: PathLike, part: str, what: str) -> str | None:
    """The file of one part ("train", "t10k") and kind ("images", "labels"), or None."""
    rank = 3 if what == "images" else 1
    for stem in _STEMS:
        for suffix in (".gz", ""):
            name = stem.format(part=part, what=what, rank=rank) + suffix
            if os.path.isfile(path := os.path.join(folder, name)):
                return path
    return None


def read_idx_folder(folder: PathLike, part: str) -> tuple[Array, Array] | None:
    """Images and labels of one part of a folder with MNIST's file names; None if both are
    missing."""
    images, labels = find_idx(folder, part, "images"), find_idx(folder, part, "labels")
    if images is None and labels is None:
        return None
    if images is None or labels is None:
        missing = "images" if images is None else "labels"
        raise FormatError(f"{os.fspath(folder)} lacks the {part} {missing}", given=images or labels)
    return read_idx_pair(images, labels)
