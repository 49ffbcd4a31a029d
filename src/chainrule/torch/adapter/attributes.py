"""PyTorch's attributes on the package's own classes.

A tensor of `chainrule.torch` *is* a `chainrule.Tensor`, and a layer is the package's own layer.
Importing `chainrule.torch` adds to these classes what PyTorch's classes have in addition
(`x.device`) or return differently (`x.shape` as a `torch.Size`, `repr(x)`). `active(False)`
removes these attributes again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from chainrule.torch.adapter.absent import missing_name, public_names

PACKAGE = str(Path(__file__).parents[2])
_ABSENT = object()
_added: dict[tuple[Any, str], tuple[Any, Any]] = {}
"""(class or object, name) → its own value of that name, and PyTorch's."""
_state = {"active": True}


def add(owner: Any, name: str, value: Any) -> None:
    """Set an attribute of a class or an object, for as long as PyTorch's attributes are active."""
    before = _added[owner, name][0] if (owner, name) in _added else vars(owner).get(name, _ABSENT)
    _added[owner, name] = before, value
    if _state["active"]:
        setattr(owner, name, value)


def add_all(owner: type, source: type) -> None:
    """Add the methods and properties that another class defines."""
    for name, value in vars(source).items():
        if name not in ("__dict__", "__doc__", "__module__", "__qualname__", "__weakref__"):
            add(owner, name, value)


def active(on: bool) -> None:
    """Set PyTorch's attributes on all classes, or restore the package's own."""
    _state["active"] = on
    for (owner, name), (before, value) in _added.items():
        if on:
            setattr(owner, name, value)
        elif before is _ABSENT:
            if name in vars(owner):
                delattr(owner, name)
        else:
            setattr(owner, name, before)


def asked_by_package() -> bool:
    """Whether code of this package called the caller. It gets NumPy's objects, not PyTorch's."""
    return sys._getframe(2).f_code.co_filename.startswith(PACKAGE)


def teach(owner: type, dotted: str) -> None:
    """Make a missing attribute of a class of PyTorch's say whether PyTorch has it."""

    own = getattr(owner, "__getattr__", None)

    def __getattr__(self: Any, name: str) -> Any:
        if own is not None:
            try:
                return own(self, name)
            except AttributeError:
                pass
        if name in public_names()[dotted]:
            raise missing_name(dotted, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    add(owner, "__getattr__", __getattr__)
