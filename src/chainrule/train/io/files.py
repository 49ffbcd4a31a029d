"""`cr.save` and `cr.load`: tensors, and trees of tensors and plain values, in one safe file.

The file is a safetensors file, which other frameworks read: eight bytes with the header's length,
a JSON header (name, dtype, shape and place of each tensor), then the numbers. Chainrule adds, as
metadata, a SHA-256 of the header, one of each tensor, and the tree that the tensors hang in. So
every byte is covered by a checksum, and reading never runs code: there is no pickle.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.data.files import PathLike, open_regular
from chainrule.errors import ArgumentError, DTypeError, FormatError, NonFiniteError, listing
from chainrule.nn.module import Module
from chainrule.primitive import Array
from chainrule.tensor import Tensor, from_numpy
from chainrule.train.io.atomic import write_atomic
from chainrule.train.io.strict_json import from_json, to_json

FORMAT = 1
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "|b1",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U8": "|u1",
}  # fmt: skip
_CODES = {np.dtype(dtype): code for code, dtype in _DTYPES.items() if code != "BF16"}
_UNREADABLE = (
    "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "F6_E2M3", "F6_E3M2", "C64", "U16", "U32", "U64",
)  # fmt: skip
_LARGEST_HEADER = 100_000_000
_MOST_PARTS = 2_000_000
"""The most names, tensors and list items in a header: each takes up to 250 bytes when read."""
_MAX_RANK = 64
_START = b'{"__metadata__":{"sha256":"'
_DIGEST = slice(len(_START), len(_START) + 64)


def save(value: Any, path: PathLike) -> None:
    """Write a module, a state dict, or a tree of dicts, lists, tensors, numbers and text.

    The file is written atomically, and the same value gives the same bytes. It is an ordinary
    safetensors file. Raises DTypeError for anything that is neither tensor nor JSON, OSError when
    the disk is full: the file that was there is then intact.

    >>> import chainrule as cr, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.safetensors")
    >>> save({"weight": cr.ones(2), "epoch": 3}, path)
    >>> load(path)
    {'weight': tensor([1., 1.]), 'epoch': 3}
    """
    if isinstance(value, (str, os.PathLike)):
        raise DTypeError(
            "save takes what to save first, and then the path", given=type(value).__name__,
            instead="Write cr.save(model, 'model.safetensors').",
        )  # fmt: skip
    tensors: dict[str, Array] = {}
    tree = _encode(value.state_dict() if isinstance(value, Module) else value, "", tensors)
    write_atomic(path, _pack(tensors, tree))


def load(
    path: PathLike, *, dtype: Any = None, verify: bool = True, strict_finite: bool = False
) -> Any:
    """What :func:`save` wrote, or the tensors of any safetensors file.

    Parameters
    ----------
    dtype: convert floating tensors to it; without, dtypes are those of the file, and bfloat16,
        which NumPy lacks, is refused.
    verify: every byte must match its checksum; False also reads files of other programs, which
        have none.
    strict_finite: refuse NaN and infinity, naming the tensors.

    The numbers are copied, so that changing the file later changes nothing. Raises FormatError
    for a file that is damaged or not safetensors, and NonFiniteError.
    """
    tensors, tree = read(path, verify, None if dtype is None else np.dtype(dtype))
    if strict_finite:
        bad = [n for n, a in tensors.items() if a.dtype.kind == "f" and not np.isfinite(a).all()]
        if bad:
            raise NonFiniteError(f"{os.fspath(path)} holds NaN or infinity in {listing(bad)}")
    if tree is None:
        return {name: from_numpy(array) for name, array in tensors.items()}
    try:
        return _decode(tree, tensors, os.fspath(path))
    except RecursionError:
        raise FormatError(f"{os.fspath(path)}: the tree is nested too deep") from None


# -- the tree ----------------------------------------------------------------------------------


def _encode(value: Any, path: str, tensors: dict[str, Array]) -> Any:
    """`value` as JSON, with tensors moved to `tensors` and named by their place in the tree."""
    if isinstance(value, (Tensor, np.ndarray)):
        array = value.detach().numpy() if isinstance(value, Tensor) else value
        if array.dtype.newbyteorder("<") not in _CODES:
            raise DTypeError(f"{path or 'the value'} cannot be saved", given=array.dtype)
        if path in ("", "__metadata__") or path in tensors:
            raise ArgumentError(f"a tensor cannot be saved under the name {path!r}")
        tensors[path] = array
        return {"$tensor": path}
    below = f"{path}/" if path else ""
    if isinstance(value, Mapping):
        items = [(k, _encode(v, f"{below}{k}", tensors)) for k, v in value.items()]
        if all(isinstance(k, str) and not k.startswith("$") for k, _ in items):
            return dict(items)
        if all(isinstance(k, (str, int)) for k, _ in items):
            return {"$items": [list(item) for item in items]}
        raise DTypeError(f"the keys of {path or 'the value'} are not text or whole numbers")
    if isinstance(value, (list, tuple)):
        parts = [_encode(v, f"{below}{i}", tensors) for i, v in enumerate(value)]
        return parts if isinstance(value, list) else {"$tuple": parts}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise DTypeError(
        f"{path or 'the value'} is neither a tensor nor a plain value", given=type(value).__name__,
        instead="Save tensors, numbers, text, None, and dicts and lists of these.",
    )  # fmt: skip


def _decode(tree: Any, tensors: Mapping[str, Array], where: str) -> Any:
    if isinstance(tree, list):
        return [_decode(part, tensors, where) for part in tree]
    if not isinstance(tree, dict):
        return tree
    if len(tree) != 1 or not next(iter(tree)).startswith("$"):
        return {key: _decode(part, tensors, where) for key, part in tree.items()}
    ((kind, part),) = tree.items()
    if kind == "$tensor" and isinstance(part, str) and part in tensors:
        return from_numpy(tensors[part])
    if kind == "$items" and isinstance(part, list) and all(map(_is_pair, part)):
        return {key: _decode(value, tensors, where) for key, value in part}
    if kind == "$tuple" and isinstance(part, list):
        return tuple(_decode(item, tensors, where) for item in part)
    if kind == "$float" and part in ("nan", "inf", "-inf"):
        return float(part)
    raise FormatError(f"{where}: the tree names {kind} {part!r:.80}, which is not there")


def _is_pair(item: Any) -> bool:
    return isinstance(item, list) and len(item) == 2 and isinstance(item[0], (str, int))


# -- bytes -------------------------------------------------------------------------------------


def _pack(tensors: Mapping[str, Array], tree: Any) -> list[bytes | memoryview]:
    """The file in parts. Larger items come first, so that all numbers are aligned."""
    header: dict[str, Any] = {}
    names = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    contents: list[bytes | memoryview] = []
    checksums, place = {}, 0
    for name in names:
        array = tensors[name]
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        content = little.reshape(-1).view(np.uint8).data
        header[name] = {
            "dtype": _CODES[little.dtype],
            "shape": list(array.shape),
            "data_offsets": [place, place + len(content)],
        }
        checksums[name] = hashlib.sha256(content).hexdigest()
        contents.append(content)
        place += len(content)
    ours = {"format": FORMAT, "checksums": checksums, "tree": tree}
    metadata = {"sha256": "0" * 64, "chainrule": to_json(ours).decode()}
    text = to_json({"__metadata__": metadata, **header})
    text += b" " * (-len(text) % 8)
    if (parts := _parts(text)) > _MOST_PARTS:
        raise ArgumentError(
            "too many tensors and plain values for one file", given=f"{parts:,} names and items",
            expected=f"at most {_MOST_PARTS:,}",
            instead="Put long lists of numbers into a tensor, or save several files.",
        )  # fmt: skip
    head = len(text).to_bytes(8, "little") + text
    digest = hashlib.sha256(head).hexdigest().encode()
    start, end = 8 + _DIGEST.start, 8 + _DIGEST.stop
    return [head[:start] + digest + head[end:], *contents]


def read(
    path: PathLike, verify: bool = True, dtype: np.dtype[Any] | None = None
) -> tuple[dict[str, Array], Any]:
    """The arrays of a safetensors file by name, and Chainrule's tree (None if it has none)."""
    where = os.fspath(path)
    with open_regular(path) as (file, size):
        text = _read_header(file, size, where)
        header = from_json(text, where)
        places = _check_header(header, size - 8 - len(text), where)
        ours = _checked_metadata(header, text, where) if verify else _metadata(header, where)
        data = file.read(size - 8 - len(text))
    if len(data) != size - 8 - len(text):
        raise FormatError(f"{where} changed while it was read")
    tensors = {}
    for name, (code, shape, start, end) in places.items():
        content = data[start:end]
        if ours is not None and verify:
            _compare(content, ours["checksums"].get(name), f"{where}: the tensor {name!r:.80}")
        tensors[name] = _array(content, code, shape, dtype, f"{where}: {name!r:.80}")
    return tensors, None if ours is None else ours["tree"]


def _read_header(file: Any, size: int, where: str) -> bytes:
    if size < 8:
        raise FormatError(
            f"{where} is too short for a safetensors file", given=f"{size} bytes",
            expected="at least 8", instead=_other_format(file.read(8)),
        )  # fmt: skip
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
    if (parts := _parts(text)) > _MOST_PARTS:
        raise FormatError(
            f"{where}: the header holds {parts:,} names and items", expected=f"<= {_MOST_PARTS:,}"
        )
    return text


def _parts(text: bytes) -> int:
    """How many objects, lists, names and items a JSON text has at most, without reading it."""
    return len(text) - len(text.translate(None, b"{[:,"))


def _other_format(start: bytes) -> str | None:
    """A hint for the files that people try to load most."""
    if start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        return (
            "It looks like a pickle (.pt, .pth, .pkl) or a zip of one: those can run code when "
            "loaded, so Chainrule never does. Save it as safetensors where it came from."
        )
    if start.startswith(b"\x93NUMPY"):
        return "It is a NumPy file: np.load(path, allow_pickle=False) reads it."
    return None


Place = tuple[str, tuple[int, ...], int, int]


def _check_header(header: Any, data_size: int, where: str) -> dict[str, Place]:
    """Every tensor's (dtype, shape, start, end): they fill the data without gap or overlap."""
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
    if not isinstance(code, str) or code not in _DTYPES:
        known = "a dtype that tensors lack" if code in _UNREADABLE else "an unknown dtype"
        dtypes = listing([*_DTYPES], limit=20)
        raise FormatError(f"{where} has {known}", given=repr(code)[:40], expected=dtypes)
    if not _whole_numbers(shape) or len(shape) > _MAX_RANK:
        raise FormatError(f"{where} has a bad shape", given=repr(shape)[:80])
    if math.prod(size for size in shape if size) >= 2**63:
        raise FormatError(f"{where} has more elements than any memory", given=repr(shape)[:80])
    if not _whole_numbers(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise FormatError(f"{where} has bad data_offsets", given=repr(offsets)[:80])
    needed = math.prod(shape) * np.dtype(_DTYPES[code]).itemsize
    if offsets[1] - offsets[0] != needed:
        raise FormatError(
            f"{where}: shape {tuple(shape)} of {code} takes {needed:,} bytes",
            given=f"{offsets[1] - offsets[0]:,} in the file",
        )
    return code, tuple(shape), offsets[0], offsets[1]


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _metadata(header: dict[str, Any], where: str) -> dict[str, Any] | None:
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise FormatError(f"{where}: the metadata are not text by text")
    if "chainrule" not in metadata:
        return None
    ours = from_json(metadata["chainrule"].encode(), f"{where}: the metadata")
    if not isinstance(ours, dict) or not isinstance(ours.get("format"), int):
        raise FormatError(f"{where}: the metadata name no format version")
    if ours["format"] > FORMAT:
        raise FormatError(
            f"{where} has format version {ours['format']}, newer than this Chainrule reads",
            expected=f"at most {FORMAT}",
            instead="Update Chainrule: pip install --upgrade chainrule.",
        )
    if not isinstance(ours.get("checksums"), dict) or "tree" not in ours:
        raise FormatError(f"{where}: the metadata lack the checksums or the tree")
    return ours


def _checked_metadata(header: dict[str, Any], text: bytes, where: str) -> dict[str, Any]:
    if not text.startswith(_START):
        _metadata(header, where)
        raise FormatError(
            f"{where} has no checksum: Chainrule did not write it, or it is damaged",
            instead="Pass verify=False to read a file of another program.",
        )
    blank = text[: _DIGEST.start] + b"0" * 64 + text[_DIGEST.stop :]
    whole = len(text).to_bytes(8, "little") + blank
    _compare(whole, text[_DIGEST].decode("ascii", "replace"), f"{where}: the header")
    ours = _metadata(header, where)
    if ours is None or set(ours["checksums"]) != set(header) - {"__metadata__"}:
        raise FormatError(f"{where}: the checksums do not belong to these tensors")
    return ours


def _compare(content: bytes, wanted: Any, what: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != wanted:
        raise FormatError(
            f"{what} is damaged: its checksum (SHA-256) does not match", given=found,
            expected=wanted, instead="Use an earlier checkpoint or another copy of the file.",
        )  # fmt: skip


def _array(
    content: bytes, code: str, shape: tuple[int, ...], dtype: np.dtype[Any] | None, where: str
) -> Array:
    if dtype is not None and dtype.kind != "f":
        raise ArgumentError("load converts to a floating dtype", given=dtype, expected="float32")
    array = np.frombuffer(content, _DTYPES[code]).reshape(shape)
    if code == "BF16":
        if dtype is None:
            raise DTypeError(
                f"{where} is bfloat16, which NumPy lacks",
                instead="Pass dtype=cr.float32 to widen it exactly.",
            )
        array = (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if code == "BOOL" and array.size and array.view(np.uint8).max() > 1:
        raise FormatError(f"{where} holds bytes that are neither true nor false")
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return native.astype(dtype) if dtype is not None and native.dtype.kind == "f" else native
