"""The files of CIFAR-10: pickles in torchvision's folder, or the binary version, or its archive."""

from __future__ import annotations

import os
import tarfile
from typing import Any

import numpy as np

from chainrule.data.download import RemoteFile, cache_folder, fetch
from chainrule.data.files import open_regular
from chainrule.errors import FormatError
from chainrule.primitive import Array
from chainrule.torch.files.pickles import Entry, Storage, Unpickler

_ARCHIVE = RemoteFile(
    "cifar-10-binary.tar.gz",
    170_052_171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
_MIRRORS = ("https://www.cs.toronto.edu/~kriz",)
_PIXELS = 3 * 32 * 32
_IN_A_FILE = 10_000

Part = tuple[Array, Array]


def _names(train: bool) -> list[str]:
    return [f"data_batch_{i}" for i in range(1, 6)] if train else ["test_batch"]


def read_folder(folder: str, train: bool) -> Part | None:
    """Pixels (N, 3, 32, 32) and labels of one part, or None if the folder has no such files."""
    for below, suffix, read in (
        ("cifar-10-batches-bin", ".bin", _read_binary),
        ("cifar-10-batches-py", "", _read_pickle),
    ):
        paths = [os.path.join(folder, below, name + suffix) for name in _names(train)]
        if all(map(os.path.isfile, paths)):
            return _joined([read(path) for path in paths])
    return None


def downloaded(train: bool) -> Part:
    """One part of the archive in the cache, which is downloaded if it is missing."""
    path = fetch(_ARCHIVE, _MIRRORS, os.path.join(cache_folder(), "cifar10"))
    parts = []
    with tarfile.open(path) as archive:
        for name in _names(train):
            member = archive.extractfile(f"cifar-10-batches-bin/{name}.bin")
            if member is None:
                raise FormatError(f"{path} has no {name}.bin")
            parts.append(_of_records(member.read(), f"{path}: {name}.bin"))
    return _joined(parts)


def _joined(parts: list[Part]) -> Part:
    return np.concatenate([p for p, _ in parts]), np.concatenate([labels for _, labels in parts])


def _read_binary(path: str) -> Part:
    with open_regular(path) as (file, _):
        return _of_records(file.read(), path)


def _of_records(content: bytes, where: str) -> Part:
    """Records of one byte with the label and 3,072 with the picture."""
    if not content or len(content) % (1 + _PIXELS):
        raise FormatError(
            f"{where} has {len(content):,} bytes", expected=f"a multiple of {1 + _PIXELS:,}"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + _PIXELS)
    return _checked(records[:, 1:], records[:, 0].astype(np.int64), where)


def _read_pickle(path: str) -> Part:
    """A dict with `data`, bytes (N, 3072), and `labels`."""
    with open_regular(path) as (file, size):
        found: Any = Unpickler(path, size, _no_storage).load(file)
    fields = {str(k): v for k, v in found.items()} if isinstance(found, dict) else {}
    pixels, labels = fields.get("data"), fields.get("labels")
    if not isinstance(pixels, np.ndarray) or not isinstance(labels, list):
        raise FormatError(f"{path} has no array `data` and list `labels`")
    return _checked(pixels, np.array(labels, np.int64), path)


def _no_storage(entry: Entry) -> Storage:
    raise FormatError(f"a tensor {entry.key:.20} where CIFAR-10 is expected")


def _checked(pixels: Array, labels: Array, where: str) -> Part:
    count = len(labels)
    if pixels.dtype != np.uint8 or pixels.shape != (count, _PIXELS) or count > _IN_A_FILE:
        raise FormatError(f"{where}: the pictures are not 3 × 32 × 32 bytes", given=pixels.shape)
    if ((labels < 0) | (labels > 9)).any():
        raise FormatError(f"{where} has a label out of range", expected="0 to 9")
    return np.ascontiguousarray(pixels).reshape(-1, 3, 32, 32), labels
