"""Files that are there whole or not at all, and folders that only one process trains in.

A file is written under a temporary name beside its place, flushed to the disk (fsync), renamed
over the old one, and the rename is flushed too: after a kill, a full disk or a power failure
there is the old file or the new one, never a half.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from chainrule.data.files import PathLike, open_regular
from chainrule.errors import CheckpointError, FormatError

_TEMPORARY = re.compile(r"\..+\.chainrule-(\d+)\.tmp", re.DOTALL)
_CHUNK = 2**22
_LARGEST_JSON = 64 * 2**20

Buffer = bytes | bytearray | memoryview


def write_atomic(path: PathLike, parts: Iterable[Buffer]) -> None:
    """Replace the file at `path` by the parts, one after another.

    The permissions are those the umask gives. Raises CheckpointError if a folder or a symbolic
    link stands there, and OSError (disk full, quota, no permission, folder gone), naming the path
    and the bytes needed. The old file is then intact and nothing is left behind.
    """
    path = os.fspath(path)
    folder = os.path.dirname(path) or "."
    _refuse_odd_places(path)
    pieces = [memoryview(part).cast("B") for part in parts]
    temporary = os.path.join(folder, f".{os.path.basename(path)}.chainrule-{os.getpid()}.tmp")
    try:
        with _new_file(temporary) as file:
            for piece in pieces:
                while piece:  # a disk that is filling up takes a part first, and then refuses
                    piece = piece[file.write(piece[:_CHUNK]) :]
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _flush_folder(folder)
    except OSError as error:
        _forget(temporary)
        size = sum(map(len, pieces))
        reason = f"{error.strerror}: writing {size:,} bytes failed; what was there is unchanged"
        raise type(error)(error.errno, reason, path) from error
    except BaseException:
        _forget(temporary)
        raise


def _new_file(temporary: str) -> Any:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)  # of an earlier process that had this number, or of this very one
    return open(os.open(temporary, flags, 0o666), "wb", buffering=0)


def _refuse_odd_places(path: str) -> None:
    if os.path.islink(path):
        raise CheckpointError(
            f"{path} is a symbolic link, and replacing it would break the link",
            instead="Give the path of the file itself.",
        )
    if os.path.isdir(path) or not os.path.basename(path):
        raise CheckpointError(f"{path} is a folder", expected="a file's path")


def _forget(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _flush_folder(folder: str) -> None:
    """Make a rename in this folder survive a power failure (where the system can)."""
    flags = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
    try:
        descriptor = os.open(folder, flags)
    except PermissionError:  # Windows does not open folders
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: PathLike) -> list[str]:
    """Remove the temporary files of processes that no longer live; returns their names."""
    removed = []
    for name in sorted(os.listdir(folder)):
        match = _TEMPORARY.fullmatch(name)
        if match and not _alive(int(match[1])):
            _forget(os.path.join(folder, name))
            removed.append(name)
    return removed


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:
        return error.errno != errno.ESRCH
    except OverflowError:
        return False
    return True


# -- JSON --------------------------------------------------------------------------------------


def to_json(value: Any, indent: int | None = None) -> bytes:
    """Strict JSON (no NaN) in UTF-8; the same value gives the same bytes."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators
    )
    return (text if indent is None else text + "\n").encode("utf-8")


def from_json(data: Buffer, where: str) -> Any:
    """The value of strict JSON; FormatError for anything else, named `where`, with the place.

    Refused beside bad syntax: keys that occur twice, NaN and Infinity, and nesting so deep or
    numbers so long that reading them would hurt.
    """
    try:
        return json.loads(
            bytes(data).decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
        )
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise FormatError(
            f"{where}: not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise FormatError(f"{where}: nested too deep") from None
    except ValueError as error:
        raise FormatError(f"{where}: {error}") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} occurs twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def read_json(path: PathLike) -> Any:
    """The value in a JSON file, read as strictly as :func:`from_json` does."""
    with open_regular(path) as (file, size):
        if size > _LARGEST_JSON:
            raise FormatError(f"{os.fspath(path)} has {size:,} bytes", expected="a small JSON file")
        return from_json(file.read(), os.fspath(path))


# -- one process per folder --------------------------------------------------------------------


@contextlib.contextmanager
def locked(folder: PathLike) -> Iterator[None]:
    """Hold a folder for this process; CheckpointError at once if another one holds it.

    The lock is the system's (flock) and ends with the process, however it ends.
    """
    flock = _flock()
    path = os.path.join(os.fspath(folder), ".lock")
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    with open(os.open(path, flags, 0o666), "r+b", buffering=0) as file:
        if flock is not None and not flock(file.fileno()):
            holder = file.read(200).decode("utf-8", "replace").strip() or "another process"
            raise CheckpointError(
                f"{os.fspath(folder)} is in use by {holder}",
                instead="Wait for it to end, stop it, or train into another folder.",
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}\n".encode())
        yield


def _flock() -> Callable[[int], bool] | None:
    try:
        import fcntl
    except ImportError:  # Windows
        return None

    def take(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    return take
