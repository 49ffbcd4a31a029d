"""Folders that only one process trains in."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable, Iterator

from chainrule.data.files import PathLike
from chainrule.errors import CheckpointError


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
