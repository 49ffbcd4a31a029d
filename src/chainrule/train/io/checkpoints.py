"""Checkpoints: files with the complete state of a training, and the folder of the latest ones."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from typing import Any

from chainrule.data.files import PathLike
from chainrule.errors import CheckpointError, FormatError
from chainrule.train.io.atomic import remove_leftovers
from chainrule.train.io.files import load, save
from chainrule.train.io.safetensors import read

_NAME = re.compile(r"step-(\d{9,})\.safetensors", re.ASCII)


class CheckpointFolder:
    """The files `step-000000120.safetensors` of one folder.

    A new file is written atomically, read back and verified by its checksums. Older files are
    removed only then, so the folder always contains the newest complete state.
    """

    def __init__(self, path: PathLike, keep_last: int = 3) -> None:
        self.path, self.keep_last = os.fspath(path), keep_last

    def files(self) -> list[str]:
        """Paths of the checkpoints, oldest first."""
        if not os.path.isdir(self.path):
            return []
        matches = [m for name in os.listdir(self.path) if (m := _NAME.fullmatch(name))]
        return [os.path.join(self.path, m[0]) for m in sorted(matches, key=lambda m: int(m[1]))]

    def create(self) -> None:
        """Create the folder, and remove temporary files of killed processes."""
        os.makedirs(self.path, exist_ok=True)
        remove_leftovers(self.path)

    def save(self, state: dict[str, Any], step: int) -> str:
        """Write the state after `step` updates; returns the path."""
        path = os.path.join(self.path, f"step-{step:09d}.safetensors")
        self.write(state, path)
        for old in self.files()[: -self.keep_last]:
            if old != path:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(old)
        return path

    def write(self, state: dict[str, Any], path: str) -> None:
        """Write a file of the folder and verify it."""
        remove_leftovers(self.path)
        save(state, path)
        read(path)

    def newest(self) -> tuple[dict[str, Any], str] | None:
        """The newest valid state and its path; None if there are no checkpoints.

        Damaged files are skipped with a warning. Raises CheckpointError if all are damaged.
        """
        files = self.files()
        for path in reversed(files):
            try:
                return load(path), path
            except FormatError as error:
                if "format version" in error.problem:
                    raise
                warnings.warn(f"skipping a damaged checkpoint: {error}", stacklevel=2)
        if files:
            raise CheckpointError(f"all {len(files)} checkpoints in {self.path} are damaged")
        return None
