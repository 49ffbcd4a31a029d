"""PyTorch's public names by module, as in `names.txt` of `chainrule.torch`.

`python tests/torch/pytorch_names.py` writes that file anew with the PyTorch that is installed.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sys
import types
import typing
import warnings
from collections.abc import Iterator
from pathlib import Path

FILE = Path(__file__).parents[2] / "src/chainrule/torch/adapter/names.txt"
WITH_NAMES = """
accelerator amp autograd autograd.functional backends.cuda backends.cudnn backends.mps cuda
cuda.amp distributed distributions fft func functional fx hub jit linalg mps multiprocessing nn
nn.attention nn.functional nn.init nn.parallel nn.utils nn.utils.parametrizations
nn.utils.parametrize nn.utils.prune nn.utils.rnn onnx optim optim.lr_scheduler optim.swa_utils
profiler quantization quasirandom random
signal.windows sparse special testing utils utils.checkpoint utils.data utils.data.distributed xpu
"""
"""Modules whose names are listed; of those in `BELOW` only that they exist."""
BELOW = """ao amp autograd backends compiler cuda.amp distributions export library nested
nn.modules nn.parallel nn.parameter nn.utils optim overrides package serialization storage types
utils utils.data version"""
CLASSES = """
Generator Size Tensor amp.GradScaler distributions.Distribution nn.Module
nn.utils.rnn.PackedSequence optim.Optimizer optim.lr_scheduler.LRScheduler utils.data.DataLoader
"""
"""Classes whose public attributes are listed."""


def is_foreign(value: object) -> bool:
    """Whether a name is only imported there: a module, or of the standard library."""
    if isinstance(value, (types.ModuleType, typing.TypeVar)):
        return True
    home = str(getattr(value, "__module__", None) or "")
    return home.split(".")[0] in sys.stdlib_module_names - {"builtins"}


def names(holder: object) -> str:
    public = [n for n in dir(holder) if not n.startswith("_")]
    return " ".join(n for n in public if not is_foreign(getattr(holder, n, None)))


def _at(holder: object, path: str) -> object:
    return functools.reduce(getattr, path.split("."), holder)


def paths(package: types.ModuleType) -> Iterator[str]:
    """The modules of PyTorch, and those in the folders of `BELOW`, without private ones and without
    running any."""
    yield from BELOW.split()
    for path in ["", *BELOW.split()]:
        folder = Path(package.__path__[0], *path.split("."))
        found = (info.name for info in pkgutil.iter_modules([str(folder)]))
        yield from (f"{path}.{name}".lstrip(".") for name in found if not name.startswith("_"))


def text() -> str:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = {f"torch.{path}": "" for path in paths(torch)}
        rows |= {
            f"torch.{path}": names(importlib.import_module(f"torch.{path}"))
            for path in WITH_NAMES.split()
        }
        rows |= {"torch": names(torch)}
        rows |= {f"torch.{kind}": names(_at(torch, kind)) for kind in CLASSES.split()}
    return "".join(f"{path}: {found}".rstrip() + "\n" for path, found in sorted(rows.items()))


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
