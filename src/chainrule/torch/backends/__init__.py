"""`torch.backends`: switches of absent libraries, which have no effect."""

from __future__ import annotations

from contextlib import nullcontext
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from chainrule.torch.adapter import names


def _unavailable(*args: Any) -> bool:
    """Return False."""
    return False


def _any_kernel(*args: Any, **keywords: Any) -> nullcontext[None]:
    """Do nothing: attention has one implementation."""
    return nullcontext()


_ASKED = {"is_available": _unavailable, "is_built": _unavailable}
_SWITCHES: dict[str, dict[str, Any]] = {
    "cudnn": {
        "enabled": False,
        "benchmark": False,
        "deterministic": True,
        "allow_tf32": False,
        "version": lambda: None,
        **_ASKED,
    },
    "cuda": {
        "matmul": SimpleNamespace(allow_tf32=False, allow_fp16_reduced_precision_reduction=False),
        "sdp_kernel": _any_kernel,
        "flash_sdp_enabled": _unavailable,
        **_ASKED,
    },
    "mps": _ASKED,
    "mkl": _ASKED,
    "mkldnn": {"enabled": False, **_ASKED},
    "openmp": _ASKED,
}

__getattr__, __dir__ = names.facade(__name__)

for _name, _switches in _SWITCHES.items():
    vars(import_module(f"{__name__}.{_name}")).update(_switches)
