"""Locks on open files, and folders that only one training may write in."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator

from chainrule.data.files import PathLike
from chainrule.errors import CheckpointError


def hold(descriptor: int, wait: bool = False) -> bool:
    """Lock an open file until it is closed (flock); False if another open file holds the lock.

    The lock ends with the process. It also works between threads, and between containers that share
    a disk. Raises OSError if the file system does not support locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows, where an open file cannot be removed
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def locked(folder: PathLike) -> Iterator[None]:
    """Lock a folder for this training; CheckpointError if another training has locked it."""
    path = os.path.join(os.fspath(folder), ".lock")
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with open(os.open(path, flags, 0o666), "r+b", buffering=0) as file:
        with contextlib.suppress(OSError):
            if not hold(file.fileno()):
                holder = file.read(200).decode("utf-8", "replace").strip() or "another process"
                raise CheckpointError(
                    f"{os.fspath(folder)} is in use by {holder}",
                    instead="Wait for it to end, stop it, or train into another folder.",
                )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}\n".encode())
        yield
