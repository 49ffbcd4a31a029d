"""`torch.accelerator` on a machine without one."""

from __future__ import annotations

from typing import Any

from chainrule.torch.adapter import names


def is_available() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def current_accelerator(check_available: bool = False) -> Any:
    """None: there is no accelerator."""
    return None


def empty_cache() -> None:
    """Nothing."""


__getattr__, __dir__ = names.facade(__name__)
