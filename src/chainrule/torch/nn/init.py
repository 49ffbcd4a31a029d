"""`torch.nn.init`: the package's initializers, also under their legacy names, without `_`."""

from __future__ import annotations

from typing import Any

from chainrule.torch.adapter import absent, names

_find, __dir__ = names.facade(__name__)


def __getattr__(name: str) -> Any:
    try:
        return _find(name)
    except AttributeError:
        if name.endswith("_") or name not in absent.public_names()["torch.nn.init"]:
            raise
        return _find(f"{name}_")
