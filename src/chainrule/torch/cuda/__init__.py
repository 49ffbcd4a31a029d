"""`torch.cuda` where there is no GPU: questions have answers, and orders are refused.

The rest of PyTorch's names can be imported, and refuse when they are called.
"""

from __future__ import annotations

from typing import Any

from chainrule.torch.adapter import names

OutOfMemoryError = MemoryError


def is_available(*args: Any) -> bool:
    """False: there is no GPU."""
    return False


def device_count(*args: Any) -> int:
    """0: there is no GPU."""
    return 0


def manual_seed(seed: Any = None) -> None:
    """Nothing: there is no GPU. `torch.manual_seed` seeds the CPU's generator."""


is_initialized = is_bf16_supported = is_available
memory_allocated = max_memory_allocated = memory_reserved = max_memory_reserved = device_count
manual_seed_all = seed = seed_all = empty_cache = reset_peak_memory_stats = manual_seed

__getattr__, __dir__ = names.facade(__name__)
