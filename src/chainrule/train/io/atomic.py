"""Files that are there whole or not at all.

A file is written under a temporary name beside its place, flushed to the disk (fsync), renamed
over the old one, and the rename is flushed too: after a kill, a full disk or a power failure
there is the old file or the new one, never a half. The temporary name is random, and the file is
locked while it is written: what has such a name and no lock is left over from a killed process.
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
    """Replace the file at `path` by the parts, one after another.

    The permissions are those the umask gives. What killed processes left in the folder goes.
    Raises CheckpointError if something stands there that is no regular file, and OSError (disk
    full, quota, no permission, folder gone), naming the path and the bytes needed. The old file
    is then intact, and nothing is left behind.
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
        with contextlib.suppress(PermissionError):  # a folder that may be written and not listed
            remove_leftovers(folder)
        with _temporary(folder) as (file, temporary):
            for piece in pieces:
                while piece:  # a disk that is filling up takes a part first, and then refuses
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
    """A new file that is locked until the end of the block, also when it is closed before, and its
    path. A file that is still there at the end is removed."""
    path = os.path.join(folder, f".chainrule-{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(os.open(path, flags, 0o666), "wb", buffering=0))
        stack.callback(_forget, path)
        if os.name != "nt":  # Windows renames no file that is open
            stack.callback(os.close, os.dup(file.fileno()))
        with contextlib.suppress(OSError):
            hold(file.fileno(), wait=True)
        if not os.path.exists(path):  # taken for a leftover before it was locked
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
    """Remove the temporary files that no living process writes; returns their names."""
    found = sorted(name for name in os.listdir(folder) if _TEMPORARY.fullmatch(name))
    return [name for name in found if _removed(os.path.join(folder, name))]


def _removed(path: str) -> bool:
    """Remove a temporary file unless it is locked, or cannot be opened."""
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
