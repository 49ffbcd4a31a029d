"""`.npy` and `.npz` files without pickles. Headers are checked before memory is allocated."""

from __future__ import annotations

import ast
import math
import os
import re
import struct
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

from chainrule.data.files import (
    PathLike,
    looks_like_html,
    open_regular,
    read_stream,
    too_large,
    unpacking_limit,
)
from chainrule.data.transforms import Array
from chainrule.errors import FormatError, listing, shortened

if TYPE_CHECKING:
    import zipfile

_Header = tuple[tuple[int, ...], bool, np.dtype[Any], int]
"""The shape, whether the first axis is the fastest, the dtype, and the offset of the numbers."""
_MAX_HEADER = 10_000
_STORED_OR_DEFLATED = (0, 8)
_HAS_DESCRIPTOR = 8
_ODD_NUMBER = re.compile(rb"\d[a-zA-Z_]")


def read_npy(path: PathLike, mmap: bool = False) -> Array:
    """The array in a `.npy` file. Raises FormatError for pickled objects and for bytes that do not
    match the header.

    mmap: leave the numbers in the file, which is mapped into memory and cannot be written. Parts
        are read when they are used, so the array may be larger than memory.
    """
    where = os.fspath(path)
    with open_regular(path) as (file, size):
        if not mmap:
            return _read_array(file, where, size)
        shape, fortran, dtype, offset = _checked_header(file, where, size)
        return mapped(where, shape, dtype, offset, "F" if fortran else "C")


def mapped(
    path: str, shape: tuple[int, ...], dtype: Any, offset: int, order: Literal["C", "F"] = "C"
) -> Array:
    """An array whose numbers stay in a file. An empty one has none there."""
    if not math.prod(shape):
        return np.empty(shape, dtype, order)
    return np.memmap(path, dtype, "r", offset, shape, order)


def read_npz(path: PathLike, max_bytes: int | None = None) -> dict[str, Array]:
    """All arrays in an `.npz` file by name.

    max_bytes: the limit of the unpacked size; by default 200 times the size of the file, and at
    least 64 MiB. Raises FormatError for pickled objects, larger archives, duplicate names, members
    that are not arrays, bytes that belong to no member, and damaged files.
    """
    import zipfile  # Slow to import, and needed here only.

    with open_regular(path) as (file, size):
        try:
            with zipfile.ZipFile(file) as archive:
                _check_members(archive, path, unpacking_limit(size, max_bytes))
                _check_layout(archive, file, path)
                return {
                    info.filename.removesuffix(".npy"): _read_member(archive, info, path)
                    for info in archive.infolist()
                }
        except FormatError:
            raise
        except _damages(zipfile.BadZipFile) as error:
            file.seek(0)
            raise FormatError(
                f"{os.fspath(path)}: not a sound .npz archive: {error}",
                instead=looks_like_html(file.read(16)),
            ) from error


def _damages(bad_zip: type[Exception]) -> tuple[type[Exception], ...]:
    """The exceptions that zipfile raises if offsets, lengths or flags in the archive are wrong."""
    return (
        bad_zip,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        RuntimeError,
        OverflowError,
        KeyError,
        IndexError,
        struct.error,
    )


def _check_members(archive: zipfile.ZipFile, path: PathLike, limit: int) -> None:
    infos = archive.infolist()
    names = [info.filename for info in infos]
    if not names:
        raise FormatError(f"{os.fspath(path)} holds no arrays")
    if len(set(names)) < len(names):
        raise FormatError(f"{os.fspath(path)} holds one name twice", given=listing(names))
    for info in infos:
        outside = info.filename.startswith("/") or ".." in info.filename.split("/")
        sound = info.filename.endswith(".npy") and info.filename == info.orig_filename
        if outside or not sound:
            raise FormatError(
                f"{os.fspath(path)} holds {shortened(info.orig_filename)!r}, which is no array",
                expected="names that end in .npy, without a way out of the archive",
            )
        if info.compress_type not in _STORED_OR_DEFLATED or info.flag_bits & 1:
            raise FormatError(
                f"{os.fspath(path)}: {info.filename} is encrypted or compressed in an unusual way",
                expected="a file written by numpy.savez or savez_compressed",
            )
    total = sum(info.file_size for info in infos)
    if total > limit:
        raise too_large(path, "the archive", total, limit)


def _check_layout(archive: zipfile.ZipFile, file: BinaryIO, path: PathLike) -> None:
    """Check that the members in the directory fill the file up to the directory.

    The directory has no checksum, so one flipped bit can hide an entry. The bytes of the hidden
    member then belong to no entry.
    """
    place = 0
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        if info.header_offset != place:
            break
        file.seek(place + 26)
        name_and_extra = sum(struct.unpack("<HH", file.read(4)))
        place += 30 + name_and_extra + info.compress_size
        if info.flag_bits & _HAS_DESCRIPTOR:
            place += _descriptor_size(file, place)
    if place != archive.start_dir:
        raise FormatError(
            f"{os.fspath(path)}: bytes {place:,} to {archive.start_dir:,} belong to no array that "
            "the directory at the end names",
            expected="a file written by numpy.savez, without gap",
            instead="Fetch or write the file again.",
        )


def _descriptor_size(file: BinaryIO, place: int) -> int:
    """The number of bytes after a member whose size was unknown when it was written.

    They are an optional signature, the checksum, and two sizes of 4 or 8 bytes.
    """
    file.seek(place)
    signature = 4 if file.read(4) == b"PK\x07\x08" else 0
    for width in (4, 8):
        file.seek(place + signature + 4 + 2 * width)
        if file.read(4) in (b"PK\x03\x04", b"PK\x01\x02"):
            return signature + 4 + 2 * width
    return 0


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: PathLike) -> Array:
    where = f"{os.fspath(path)}: {info.filename}"
    with archive.open(info) as stream:
        return _read_array(stream, where, info.file_size)  # type: ignore[arg-type]


def _read_array(stream: BinaryIO, where: str, size: int) -> Array:
    shape, fortran, dtype, _ = _checked_header(stream, where, size)
    wanted = math.prod(shape) * dtype.itemsize
    flat = np.frombuffer(read_stream(stream, wanted, where), dtype)
    array = flat.reshape(shape, order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _checked_header(stream: BinaryIO, where: str, size: int) -> _Header:
    """The header of an array of numbers that takes `size` bytes."""
    shape, fortran, dtype, offset = _read_header(stream, where)
    if dtype.hasobject:
        raise FormatError(
            f"{where} holds pickled Python objects: reading them could run code of its author",
            given=dtype,
            expected="numbers",
            instead="Ask for the file as numeric arrays.",
        )
    if dtype.kind not in "biuf":
        raise FormatError(f"{where} holds no numbers", given=dtype, expected="bool, int or float")
    wanted = math.prod(shape) * dtype.itemsize
    if size - offset != wanted:
        raise FormatError(
            f"{where}: the header declares {dtype} {shape}, that is {wanted:,} bytes of content",
            given=f"{size - offset:,} bytes from offset {offset}",
            expected=f"{wanted:,}",
        )
    return shape, fortran, dtype, offset


def _read_header(stream: BinaryIO, where: str) -> _Header:
    magic = stream.read(8)
    if magic[:1] == b"\x80":
        raise FormatError(
            f"{where} is a pickle, not an array: loading it could run code of its author",
            given=magic.hex(" "),
            expected="93 4e 55 4d 50 59 (a .npy file)",
        )
    if magic[:6] != b"\x93NUMPY" or magic[6:] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise FormatError(
            f"{where}: not a .npy file: wrong magic number at offset 0-7",
            given=magic.hex(" ") or "an empty file",
            expected="93 4e 55 4d 50 59, version 1 to 3",
            instead=looks_like_html(magic),
        )
    width = 2 if magic[6] == 1 else 4
    prefix = stream.read(width)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < width or length > _MAX_HEADER:
        raise FormatError(
            f"{where}: bad header length at offset 8", given=length, expected=f"<= {_MAX_HEADER}"
        )
    text = stream.read(length)
    shape, fortran, dtype = _parse_header(text, where)
    return shape, fortran, dtype, 8 + width + length


def _parse_header(text: bytes, where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    if _ODD_NUMBER.search(text):  # Python would only warn.
        raise _bad_header(text, where)
    try:
        record = ast.literal_eval(text.decode("latin-1").strip(" \n"))
        shape, fortran, descr = (record.pop(key) for key in ("shape", "fortran_order", "descr"))
        sound = (
            not record and isinstance(shape, tuple) and all(type(extent) is int for extent in shape)
        )
        dtype = np.dtype(descr if isinstance(descr, str) else "V1")
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        SyntaxError,
        RecursionError,
        MemoryError,
    ) as error:
        raise _bad_header(text, where) from error
    if not sound or not isinstance(fortran, bool) or any(extent < 0 for extent in shape):
        raise _bad_header(text, where)
    # A dimension of 0 would hide an impossible product of the others.
    if len(shape) > 32 or math.prod(max(extent, 1) for extent in shape) > 2**62:
        raise FormatError(f"{where}: impossible dimensions at offset 10", given=shape[:40])
    return shape, fortran, dtype


def _bad_header(text: bytes, where: str) -> FormatError:
    return FormatError(
        f"{where}: bad header at offset 10", given=text[:60], expected="a shape and a dtype"
    )
