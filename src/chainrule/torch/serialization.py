"""`torch.save` and `torch.load`: safe files. Files of PyTorch are read without executing their
pickles."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from chainrule.data.files import open_regular
from chainrule.errors import DTypeError, FormatError
from chainrule.nn.module import Module
from chainrule.torch.adapter import names
from chainrule.torch.adapter.placement import require_cpu
from chainrule.torch.files import archives
from chainrule.train.io import files


def save(
    obj: Any,
    f: Any,
    pickle_module: Any = None,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Write a state dict, or a tree of dicts, lists, tensors, numbers and text, as safetensors.

    `f` is a path or a binary file. A module raises an error: a file with code is not safe.

    >>> import io, chainrule as cr
    >>> file = io.BytesIO()
    >>> save({"weight": cr.ones(2), "epoch": 3}, file)
    >>> load(io.BytesIO(file.getvalue()))
    {'weight': tensor([1., 1.]), 'epoch': 3}
    """
    if isinstance(obj, Module):
        raise DTypeError(
            f"torch.save does not write a whole {type(obj).__name__}: that would be code in a file",
            instead="Write torch.save(model.state_dict(), path), and later "
            "model.load_state_dict(torch.load(path)).",
        )
    if isinstance(f, (str, os.PathLike)):
        files.save(obj, f)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        files.save(obj, path)
        with open(path, "rb") as file:
            shutil.copyfileobj(file, f)


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Load a file of `save`, or of PyTorch's `torch.save` if it holds tensors and plain values.

    No code in a file runs, whatever `weights_only` is. A file with anything but numbers, text,
    containers and tensors raises FormatError. bfloat16 becomes float32.
    """
    for place in map_location.values() if isinstance(map_location, Mapping) else [map_location]:
        require_cpu(None if callable(place) else place)
    with _opened(f) as (file, size):
        where = os.fspath(f) if isinstance(f, (str, os.PathLike)) else "the file"
        start = file.read(262)
        file.seek(0)
        if archives.is_archive(start):
            return archives.read(file, size, where)
        if start[257:] == b"ustar":
            raise FormatError(
                f"{where} is of a PyTorch before 0.1.10", instead="Load and save it with PyTorch."
            )
        return files.load(f) if isinstance(f, (str, os.PathLike)) else _from_bytes(file)


def _from_bytes(file: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        with open(path, "wb") as copy:
            shutil.copyfileobj(file, copy)
        return files.load(path)


def _opened(f: Any) -> AbstractContextManager[tuple[Any, int]]:
    """A file and its size. An object that is no path is read into memory."""
    if isinstance(f, (str, os.PathLike)):
        return open_regular(f)
    content = f.read()
    return nullcontext((io.BytesIO(content), len(content)))


def add_safe_globals(safe_globals: Any) -> None:
    """Do nothing: no class in a file is called."""


__getattr__, __dir__ = names.facade(__name__)
