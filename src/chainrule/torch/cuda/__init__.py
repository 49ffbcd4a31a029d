"""`torch.cuda` without a GPU: queries answer so, and other calls raise an error."""

from __future__ import annotations

from typing import Any

from chainrule.torch.adapter import names

OutOfMemoryError = MemoryError


def is_available(*args: Any) -> bool:
    """Return False: there is no GPU."""
    return False


def device_count(*args: Any) -> int:
    """Return 0: there is no GPU."""
    return 0


def manual_seed(seed: Any = None) -> None:
    """Do nothing: there is no GPU. `torch.manual_seed` seeds the CPU's generator."""


is_initialized = is_bf16_supported = is_available
memory_allocated = max_memory_allocated = memory_reserved = max_memory_reserved = device_count
manual_seed_all = seed = seed_all = empty_cache = reset_peak_memory_stats = manual_seed

__getattr__, __dir__ = names.facade(__name__)
