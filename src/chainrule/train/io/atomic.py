"""Files that are there whole or not at all.

A file is written under a temporary name beside its place, flushed to the disk (fsync), renamed
over the old one, and the rename is flushed too: after a kill, a full disk or a power failure
there is the old file or the new one, never a half.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterable
from typing import Any

from chainrule.data.files import PathLike
from chainrule.errors import CheckpointError

_TEMPORARY = re.compile(r"\..+\.chainrule-(\d+)\.tmp", re.DOTALL)
_CHUNK = 2**22

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
