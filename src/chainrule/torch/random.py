"""`torch.random`: the state of the default generator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chainrule.ops.random import default_generator, manual_seed
from chainrule.tensor import Tensor
from chainrule.torch.adapter import names

__getattr__, __dir__ = names.facade(__name__)


def seed() -> int:
    """Seed the default generator with a number from the operating system."""
    return int(default_generator.seed())  # type: ignore[attr-defined]


def initial_seed() -> int:
    """The seed of the default generator."""
    return int(default_generator.initial_seed())  # type: ignore[attr-defined]


def get_rng_state() -> Tensor:
    """The state of the default generator, as a tensor for `set_rng_state`."""
    state: Tensor = default_generator.get_state()  # type: ignore[attr-defined]
    return state


def set_rng_state(new_state: Tensor) -> None:
    """Continue from a state that `get_rng_state` returned."""
    default_generator.set_state(new_state)  # type: ignore[attr-defined]


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **other: Any) -> Iterator[None]:
    """Restore the state of the default generator at the end of the `with` block."""
    before = get_rng_state()
    try:
        yield
    finally:
        if enabled:
            set_rng_state(before)


__all__ = [
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]
