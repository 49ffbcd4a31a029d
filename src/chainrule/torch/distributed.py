"""`torch.distributed`: there is one process. Other names can be imported but not called."""

from __future__ import annotations

from chainrule.torch.adapter import names


def is_available() -> bool:
    """Return False: Chainrule trains in one process."""
    return False


def is_initialized() -> bool:
    """Return False: there is one process."""
    return False


def is_torchelastic_launched() -> bool:
    """Return False: there is one process."""
    return False


def destroy_process_group(group: object = None) -> None:
    """Do nothing: there is one process."""


__getattr__, __dir__ = names.facade(__name__)
