"""`torch.nn.functional`: the package's functions, also under PyTorch's other names for them."""

from __future__ import annotations

import functools
from typing import Any

from chainrule.torch.adapter import absent, names

_find, __dir__ = names.facade(__name__)
_WITH_INDICES = "_with_indices"


def __getattr__(name: str) -> Any:
    if name.endswith(_WITH_INDICES) and name in absent.public_names()["torch.nn.functional"]:
        return functools.partial(_find(name.removesuffix(_WITH_INDICES)), return_indices=True)
    return _find(name)
