"""PyTorch's two file formats: a zip archive, and before version 1.6 a sequence of pickles."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

from chainrule.errors import FormatError
from chainrule.torch.files.pickles import Entry, Order, Storage, Unpickler, bytes_of

_NEWEST = 10
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001


def is_archive(start: bytes) -> bool:
    """Whether a file with these first bytes is one of PyTorch's."""
    return start.startswith((b"PK\x03\x04", b"\x80\x02\x8a\n"))


def read(file: BinaryIO, size: int, where: str) -> Any:
    """The object in a file of PyTorch's. Raises FormatError for a damaged file."""
    start = file.read(4)
    file.seek(0)
    return _Zip(file, size, where).load() if start[:2] == b"PK" else _legacy(file, size, where)


class _Zip:
    """A zip archive: `data.pkl` describes the object, `data/KEY` are its storages, uncompressed."""

    def __init__(self, file: BinaryIO, size: int, where: str) -> None:
        self.where, self.size, self._left = where, size, size
        self._storages: dict[str, Storage] = {}
        self._order: Order = "<"
        try:
            self._archive = zipfile.ZipFile(file)
            members = self._archive.infolist()
        except (zipfile.BadZipFile, *_BROKEN) as error:
            raise self._damage(f"{error}") from error
        names = [member.filename for member in members]
        if len(set(names)) < len(names):
            raise self._damage("a name is there twice")
        self._folder = names[0].partition("/")[0] if names else ""
        self._members = dict(zip(names, members, strict=True))
        if f"{self._folder}/constants.pkl" in self._members:
            raise FormatError(
                f"{where} holds TorchScript code",
                expected="tensors and plain values",
                instead="Where it was written, save model.state_dict() instead.",
            )

    def load(self) -> Any:
        """The object that data.pkl describes."""
        version = self._text("version", "3")
        if not version.isdigit() or int(version) > _NEWEST:
            raise FormatError(
                f"{self.where} has the format version {version:.20}", expected=f"at most {_NEWEST}"
            )
        order = self._text("byteorder", "little")
        if order not in ("little", "big"):
            raise self._damage("the byte order is neither little nor big")
        self._order = "<" if order == "little" else ">"
        pickle = self._read("data.pkl")
        return Unpickler(self.where, self.size, self._storage).load(io.BytesIO(pickle))

    def _text(self, name: str, default: str) -> str:
        known = f"{self._folder}/{name}" in self._members
        return self._read(name).decode("ascii", "replace").strip() if known else default

    def _storage(self, entry: Entry) -> Storage:
        known = self._storages.get(entry.key)
        if known is None:
            data = self._read(f"data/{entry.key}")
            if len(data) != bytes_of(entry.kind, entry.numbers):
                raise self._damage(
                    f"storage {entry.key:.20} has {len(data):,} bytes, and should have "
                    f"{entry.numbers:,} numbers of {entry.kind}"
                )
            known = self._storages[entry.key] = Storage.of(data, entry.kind, self._order)
        if (known.kind, known.numbers.size) != (entry.kind, entry.numbers):
            raise self._damage(f"storage {entry.key:.20} is described in two ways")
        return known

    def _read(self, name: str) -> bytes:
        """The bytes of a member. All members together have no more bytes than the file."""
        member = self._members.get(f"{self._folder}/{name}")
        if member is None:
            raise self._damage(f"{name:.40} is missing")
        packed = member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1
        self._left -= member.file_size
        if packed or member.file_size != member.compress_size or self._left < 0:
            raise self._damage(f"{name:.40} is packed, or larger than the file")
        try:
            return self._archive.read(member)
        except (zipfile.BadZipFile, *_BROKEN) as error:
            raise self._damage(f"{name:.40}: {error}") from error

    def _damage(self, what: str) -> FormatError:
        return FormatError(f"{self.where}: the archive is damaged, or not PyTorch's: {what:.200}")


_BROKEN = (
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    IndexError,
    OverflowError,
    LookupError,
    struct.error,
)
"""The exceptions of the zip reader for damaged archives."""


def _legacy(file: BinaryIO, size: int, where: str) -> Any:
    """Magic number, version and system; then the object, the storages' keys, and their numbers.

    The numbers come after the object. So the object is read twice: first to find its storages,
    then with their numbers.
    """
    plain = Unpickler(where, size, _no_storage)
    if plain.load(file) != _LEGACY_MAGIC or _next(file, size, where) != _LEGACY_PROTOCOL:
        raise FormatError(f"{where} is a pickle, and not one of PyTorch's files")
    if _next(file, size, where).get("little_endian") is not True:
        raise FormatError(f"{where} was written on a machine with another byte order")
    start = file.tell()
    named: dict[str, Entry] = {}
    _Survey(where, size, lambda entry: _note(named, entry, where)).load(file)
    keys = _next(file, size, where)
    if not isinstance(keys, list) or set(map(str, keys)) != set(named):
        raise FormatError(f"{where}: the list of storages does not fit the object")
    storages = dict(_numbers(file, [named[key] for key in keys], where))
    file.seek(start)
    return Unpickler(where, size, lambda entry: storages[entry.key]).load(file)


def _next(file: BinaryIO, size: int, where: str) -> Any:
    """The next pickle of plain values."""
    return Unpickler(where, size, _no_storage).load(file)


def _no_storage(entry: Entry) -> Storage:
    raise FormatError(f"a storage {entry.key:.20} where plain values are expected")


def _note(named: dict[str, Entry], entry: Entry, where: str) -> Storage:
    if named.setdefault(entry.key, entry) != entry:
        raise FormatError(f"{where}: storage {entry.key:.20} is described in two ways")
    return Storage.of(b"", entry.kind)


class _Survey(Unpickler):
    """Reads the object without building its tensors."""

    def _tensor(self, *args: Any) -> Any:
        return None

    def _parameter(self, *args: Any) -> Any:
        return None


def _numbers(file: BinaryIO, entries: list[Entry], where: str) -> Iterator[tuple[str, Storage]]:
    """The storages in their order: 8 bytes with the count, then the numbers."""
    for entry in entries:
        count = int.from_bytes(file.read(8), "little")
        wanted = bytes_of(entry.kind, entry.numbers)
        data = file.read(wanted) if count == entry.numbers else b""
        if count != entry.numbers or len(data) != wanted:
            raise FormatError(
                f"{where}: storage {entry.key:.20} is not complete",
                given=f"{count:,} numbers",
                expected=f"{entry.numbers:,} of {entry.kind}",
            )
        yield entry.key, Storage.of(data, entry.kind)
