"""Atomic writes of files.

A file is written under a temporary name in the same folder, flushed to the disk (fsync), and
renamed over the old file. The rename is flushed too. After a kill, a full disk or a power failure,
the path has the complete old file or the complete new one. The temporary name is random, and the
file is locked during the write. A temporary file without a lock was left by a killed process.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from typing import Any

from chainrule.data.files import PathLike
from chainrule.errors import ArgumentError, CheckpointError
from chainrule.train.io.lock import hold

_TEMPORARY = re.compile(r"\.chainrule-[0-9a-f]{16}\.tmp")
_CHUNK = 2**22

Buffer = bytes | bytearray | memoryview


def write_atomic(path: PathLike, parts: Iterable[Buffer]) -> None:
    """Replace the file at `path` by the concatenated parts.

    The permissions follow the umask. Temporary files of killed processes in the folder are removed.
    Raises CheckpointError if the path is not a regular file, and OSError (disk full, quota, no
    permission, no folder) with the path and the number of bytes. The old file is then unchanged,
    and no temporary file remains.
    """
    path = os.fsdecode(path)
    if "\0" in path:
        raise ArgumentError("a path holds no NUL character", given=repr(path)[:80])
    folder = os.path.dirname(path) or "."
    _refuse_odd_places(path)
    pieces = [memoryview(part).cast("B") for part in parts]
    size = sum(map(len, pieces))
    outcome = "what was there is unchanged"
    try:
        with contextlib.suppress(PermissionError):  # a folder that can be written but not listed
            remove_leftovers(folder)
        with _temporary(folder) as (file, temporary):
            for piece in pieces:
                while piece:  # a nearly full disk first accepts a part
                    piece = piece[file.write(piece[:_CHUNK]) :]
            os.fsync(file.fileno())
            file.close()
            os.replace(temporary, path)
            outcome = "the new file is in place, but a power failure could undo that"
        _flush_folder(folder)
    except OSError as error:
        reason = f"{error.strerror}: writing {size:,} bytes failed; {outcome}"
        raise type(error)(error.errno, reason, path) from error


@contextlib.contextmanager
def _temporary(folder: str) -> Iterator[tuple[Any, str]]:
    """A new file, locked until the end of the block even if it is closed before, and its path. A
    file that still exists at the end is removed."""
    path = os.path.join(folder, f".chainrule-{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(os.open(path, flags, 0o666), "wb", buffering=0))
        stack.callback(_forget, path)
        if os.name != "nt":  # Windows cannot rename an open file
            stack.callback(os.close, os.dup(file.fileno()))
        with contextlib.suppress(OSError):
            hold(file.fileno(), wait=True)
        if not os.path.exists(path):  # another process removed it before it was locked
            yield stack.enter_context(_temporary(folder))
        else:
            yield file, path


def _refuse_odd_places(path: str) -> None:
    if os.path.islink(path):
        raise CheckpointError(
            f"{path} is a symbolic link, and replacing it would break the link",
            instead="Give the path of the file itself.",
        )
    if os.path.isdir(path) or not os.path.basename(path):
        raise CheckpointError(f"{path} is a folder", expected="a file's path")
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise CheckpointError(
                f"{path} is a pipe, a device or a socket, which a file would replace",
                expected="a file's path",
            )


def _forget(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _flush_folder(folder: str) -> None:
    """Flush a rename in this folder to the disk, if the system supports it."""
    flags = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
    try:
        descriptor = os.open(folder, flags)
    except PermissionError:  # Windows cannot open folders
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: PathLike) -> list[str]:
    """Remove temporary files that no process is writing; returns their names."""
    found = sorted(name for name in os.listdir(folder) if _TEMPORARY.fullmatch(name))
    return [name for name in found if _removed(os.path.join(folder, name))]


def _removed(path: str) -> bool:
    """Remove a temporary file, unless it is locked or cannot be opened."""
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError:
        return False
    try:
        if not hold(descriptor):
            return False
        os.unlink(path)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
