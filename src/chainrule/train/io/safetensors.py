"""The safetensors format: named tensors in one file, which other frameworks can read.

A file has eight bytes with the length of the header, a JSON header (dtype, shape and offsets of
each tensor), and the numbers. Chainrule adds a SHA-256 of the header and of each tensor to the
metadata, so that checksums cover every byte.

The library `safetensors` (0.8.0) is not used, for these reasons. It accepts duplicate names, more
than 64 dimensions, and booleans with the value 7. It allocates 1.3 GB for a header of 90 MB. Its
errors do not give the position in the file, nor the system's error for a full disk. It writes
metadata in random order. The tests compare with the library.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.data.files import PathLike, open_regular
from chainrule.errors import ArgumentError, FormatError, listing
from chainrule.primitive import Array
from chainrule.train.io.atomic import Buffer
from chainrule.train.io.strict_json import MOST_PARTS, count_parts, from_json, to_json

FORMAT = 1
DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "BOOL": "|b1",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U8": "|u1",
}
CODES = {np.dtype(dtype): code for code, dtype in DTYPES.items() if code != "BF16"}
_UNREADABLE = (
    "F8_E4M3",
    "F8_E5M2",
    "F8_E8M0",
    "F4",
    "F6_E2M3",
    "F6_E3M2",
    "C64",
    "U16",
    "U32",
    "U64",
)
_LARGEST_HEADER = 100_000_000
_MAX_RANK = 64
_START = b'{"__metadata__":{"sha256":"'
_DIGEST = slice(len(_START), len(_START) + 64)

Place = tuple[str, tuple[int, ...], int, int]
"""The dtype code, the shape, and the start and end of the numbers of a tensor."""


def pack(tensors: Mapping[str, Array]) -> list[Buffer]:
    """The parts of the file. Tensors with larger items come first, so that all are aligned.

    Raises ArgumentError if the header would be larger than `read` accepts.
    """
    header: dict[str, Any] = {}
    contents: list[Buffer] = []
    checksums, place = dict.fromkeys(tensors, ""), 0
    for name in sorted(tensors, key=lambda name: (-tensors[name].itemsize, name)):
        array = tensors[name]
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        content = little.reshape(-1).view(np.uint8).data
        header[name] = {
            "dtype": CODES[little.dtype],
            "shape": list(array.shape),
            "data_offsets": [place, place + len(content)],
        }
        checksums[name] = hashlib.sha256(content).hexdigest()
        contents.append(content)
        place += len(content)
    ours = to_json({"format": FORMAT, "checksums": checksums}).decode()
    text = to_json({"__metadata__": {"sha256": "0" * 64, "chainrule": ours}, **header})
    text += b" " * (-len(text) % 8)
    if len(text) > _LARGEST_HEADER or count_parts(text) > MOST_PARTS:
        raise ArgumentError(
            "too many tensors for one file",
            given=f"{len(tensors):,}",
            instead="Join tensors with cr.cat or cr.stack, or save several files.",
        )
    head = len(text).to_bytes(8, "little") + text
    digest = hashlib.sha256(head).hexdigest().encode()
    start, end = 8 + _DIGEST.start, 8 + _DIGEST.stop
    return [head[:start] + digest + head[end:], *contents]


def read(path: PathLike, verify: bool = True) -> tuple[dict[str, tuple[str, Array]], bool]:
    """(dtype code, array) of each tensor by name, and whether Chainrule wrote the file.

    The arrays have the order in which they were saved, or, for other programs, that of the file.
    bfloat16 is returned as uint16.
    """
    where = os.fspath(path)
    with open_regular(path) as (file, size):
        text = _read_header(file, size, where)
        header = from_json(text, f"{where}: the header")
        places = _check_header(header, size - 8 - len(text), where)
        checksums = _checksums(header, text if verify else None, where)
        found = {}
        for name, place in sorted(places.items(), key=lambda item: item[1][2:]):
            content = _content(file, place[3] - place[2], where)
            what = f"{where}: the tensor {name!r:.80}"
            if verify and checksums is not None:
                _compare(content, checksums[name], what)
            found[name] = place[0], _array(content, place, what)
    return {name: found[name] for name in checksums or found}, checksums is not None


def _read_header(file: Any, size: int, where: str) -> bytes:
    if size < 8:
        raise FormatError(
            f"{where} is too short for a safetensors file",
            given=f"{size} bytes",
            expected="at least 8",
            instead=_other_format(file.read(8)),
        )
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if length > min(size - 8, _LARGEST_HEADER):
        raise FormatError(
            f"{where}: the header's length, bytes 0 to 7, is {length:,}",
            expected=f"at most {min(size - 8, _LARGEST_HEADER):,} in a file of {size:,} bytes",
            instead=_other_format(start),
        )
    text: bytes = file.read(length)
    if not text.startswith(b"{"):
        raise FormatError(
            f"{where}: byte 8 does not begin a JSON object", given=repr(text[:1]), expected="'{'"
        )
    return text


def _other_format(start: bytes) -> str | None:
    """A hint for other common file formats."""
    if start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        return (
            "It looks like a pickle (.pt, .pth, .pkl) or a zip of one: those can run code when "
            "loaded, so Chainrule never does. Save it as safetensors where it came from."
        )
    if start.startswith(b"\x93NUMPY"):
        return "It is a NumPy file: np.load(path, allow_pickle=False) reads it."
    return None


def _check_header(header: Any, data_size: int, where: str) -> dict[str, Place]:
    """The place of each tensor. Checks that they fill the data without gaps or overlaps."""
    if not isinstance(header, dict):
        raise FormatError(f"{where}: the header is no JSON object", given=type(header).__name__)
    places = {
        name: _check_entry(entry, f"{where}: the tensor {name!r:.80}")
        for name, entry in header.items()
        if name != "__metadata__"
    }
    expected = 0
    for name, (_, _, start, end) in sorted(places.items(), key=lambda item: item[1][2:]):
        if start != expected:
            fault = "overlaps another" if start < expected else "follows a gap"
            raise FormatError(
                f"{where}: the tensor {name!r:.80} {fault}",
                given=f"it starts at {start}",
                expected=f"{expected}",
            )
        expected = end
    if expected != data_size:
        raise FormatError(
            f"{where}: {'truncated' if expected > data_size else 'extra data at the end'}",
            given=f"{data_size:,} bytes of numbers",
            expected=f"{expected:,}, as the header says",
        )
    return places


def _check_entry(entry: Any, where: str) -> Place:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise FormatError(f"{where} is not described by dtype, shape and data_offsets alone")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        known = "a dtype that tensors lack" if code in _UNREADABLE else "an unknown dtype"
        dtypes = listing([*DTYPES], limit=20)
        raise FormatError(f"{where} has {known}", given=repr(code)[:40], expected=dtypes)
    if not _whole_numbers(shape) or len(shape) > _MAX_RANK:
        raise FormatError(f"{where} has a bad shape", given=repr(shape)[:80])
    if math.prod(size for size in shape if size) >= 2**63:
        raise FormatError(f"{where} has more elements than any memory", given=repr(shape)[:80])
    if not _whole_numbers(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise FormatError(f"{where} has bad data_offsets", given=repr(offsets)[:80])
    needed = math.prod(shape) * np.dtype(DTYPES[code]).itemsize
    if offsets[1] - offsets[0] != needed:
        raise FormatError(
            f"{where}: shape {tuple(shape)} of {code} takes {needed:,} bytes",
            given=f"{offsets[1] - offsets[0]:,} in the file",
        )
    return code, tuple(shape), offsets[0], offsets[1]


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _checksums(header: dict[str, Any], text: bytes | None, where: str) -> dict[str, str] | None:
    """The checksums of the tensors; None if Chainrule did not write the file.

    text: the bytes of the header, to compare with its checksum; None to skip this.
    """
    ours = _metadata(header, where)
    if text is not None:
        if ours is None or not text.startswith(_START):
            raise FormatError(
                f"{where} has no checksum: Chainrule did not write it, or it is damaged",
                instead="Pass verify=False to read a file of another program.",
            )
        blank = text[: _DIGEST.start] + b"0" * 64 + text[_DIGEST.stop :]
        whole = len(text).to_bytes(8, "little") + blank
        _compare(whole, text[_DIGEST].decode("ascii", "replace"), f"{where}: the header")
    if ours is None:
        return None
    checksums = ours.get("checksums")
    if not isinstance(checksums, dict) or set(checksums) != set(header) - {"__metadata__"}:
        raise FormatError(f"{where}: the checksums do not belong to these tensors")
    return checksums


def _metadata(header: dict[str, Any], where: str) -> dict[str, Any] | None:
    """The metadata that Chainrule added, or None."""
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise FormatError(f"{where}: the metadata are not text by text")
    if "chainrule" not in metadata:
        return None
    ours = from_json(metadata["chainrule"].encode(), f"{where}: the metadata")
    if not isinstance(ours, dict) or type(ours.get("format")) is not int:
        raise FormatError(f"{where}: the metadata name no format version")
    if ours["format"] > FORMAT:
        raise FormatError(
            f"{where} has format version {ours['format']}, newer than this Chainrule reads",
            expected=f"at most {FORMAT}",
            instead="Update Chainrule: pip install --upgrade chainrule.",
        )
    return ours


def _content(file: Any, size: int, where: str) -> Array:
    """The next bytes of the file as a new array."""
    content = np.empty(size, np.uint8)
    left = content.data
    while left:
        if not (count := file.readinto(left)):
            raise FormatError(f"{where} changed while it was read")
        left = left[count:]
    return content


def _compare(content: Any, wanted: Any, what: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != wanted:
        raise FormatError(
            f"{what} is damaged: its checksum (SHA-256) does not match",
            given=found,
            expected=wanted,
            instead="Use an earlier checkpoint or another copy of the file.",
        )


def _array(content: Array, place: Place, what: str) -> Array:
    code, shape = place[:2]
    if code == "BOOL" and content.size and content.max() > 1:
        raise FormatError(f"{what} holds bytes that are neither true nor false")
    array = content.view(DTYPES[code]).reshape(shape)
    return array.astype(array.dtype.newbyteorder("="), copy=False)
