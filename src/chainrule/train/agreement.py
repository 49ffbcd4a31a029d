"""What the ranks of a training tell each other: that they agree, and that one asks to stop."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import engine
from chainrule.data.loader import DataLoader
from chainrule.engine.threads import VARIABLES, usable_cpus
from chainrule.ops.random import default_generator
from chainrule.settings import current
from chainrule.tensor import Tensor
from chainrule.train.notices import say
from chainrule.train.training import Training
from chainrule.world import world

EVERY = 100
"""Steps between two comparisons of the states of all ranks."""
_SAMPLES = 64


def share_processors() -> None:
    """Give each rank on this machine its share of the threads, unless the environment says how many
    there are, or the launcher has bound ranks to processors."""
    host, cpus = platform.node(), usable_cpus()
    here = world().gather(host.encode()).count(host.encode())
    if here > cpus:
        say(f"{here} ranks take turns on the {cpus} processors of {host}, which makes them slow")
    affinity = getattr(os, "sched_getaffinity", None)
    is_bound = affinity is not None and len(affinity(0)) < (os.cpu_count() or 1)
    if not is_bound and not any(os.environ.get(name) for name in VARIABLES):
        engine.set_num_threads(max(1, cpus // here))


def check_start(trainer: Training, shards: int) -> None:
    """Raise RankError on all ranks unless they have the same code, engine, data and state."""
    share_processors()
    loader, facts = trainer.loader, engine.describe()
    named = [(name, p.shape, str(p.dtype)) for name, p in trainer.model.named_parameters()]
    position = None if loader is None else loader.state_dict()
    world().agree(
        {
            "the versions of Python and NumPy": f"{sys.version.split()[0]}, {np.__version__}",
            "the code of chainrule": code_digest(),
            "the engine": f"{current().engine}, {facts['instruction_set']}",
            "the number of shards": str(shards),
            "the epochs": str(trainer.epochs),
            "the loader": str(position),
            "the data": b"" if loader is None else digest(_samples(loader)),
            "the names and shapes of parameters": digest(named),
            **_state(trainer),
        }
    )


def check_state(trainer: Training) -> None:
    """Raise RankError on all ranks unless they have the same weights, optimizer and numbers."""
    world().agree(_state(trainer))


def _state(trainer: Training) -> dict[str, bytes]:
    schedule = None if trainer.scheduler is None else trainer.scheduler.state_dict()
    return {
        "the weights and buffers": digest(trainer.model.state_dict()),
        "the state of the optimizer": digest([trainer.optimizer.state_dict(), schedule]),
        "the random state": digest(default_generator.state),
    }


def digest(value: Any) -> bytes:
    """A hash of nested values: of the numbers of tensors and arrays, and the text of others."""
    hashed = hashlib.blake2b(digest_size=16)
    for part in _parts(value):
        hashed.update(part)
    return hashed.digest()


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield repr(key).encode()
            yield from _parts(item)
    elif isinstance(value, (tuple, list)):
        yield b"("
        for item in value:
            yield from _parts(item)
    elif isinstance(value, (Tensor, np.ndarray)):
        array = value._data if isinstance(value, Tensor) else value
        yield f"{array.dtype}{array.shape}".encode()
        yield np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    else:
        yield repr(value).encode()


@cache
def code_digest() -> bytes:
    """A hash of the files of the package."""
    home = Path(__file__).parent.parent
    files = sorted(p for kind in ("*.py", "*.so") for p in home.rglob(kind))
    return digest([[str(p.relative_to(home)), p.read_bytes()] for p in files])


def _samples(loader: DataLoader) -> Any:
    """The length of the data, and some samples; nothing of a stream, or of random samples."""
    dataset = loader.dataset
    if loader.has_own_order or getattr(dataset, "random", True) or not hasattr(dataset, "gather"):
        return None
    places = np.unique(np.linspace(0, len(dataset) - 1, _SAMPLES).astype(int))
    return [len(dataset), dataset.gather(places)]


def exchange_stops(noted: str | None, stopped: str | None) -> tuple[str | None, str | None]:
    """The first signal, and the first reason to stop, that a rank has."""
    told = [json.loads(text) for text in world().gather(json.dumps([noted, stopped]).encode())]
    first: Any = [next((x for x in column if x), None) for column in zip(*told, strict=True)]
    return first[0], first[1]
