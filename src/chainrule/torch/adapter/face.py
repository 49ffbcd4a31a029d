"""The face: what the package's own classes show while `chainrule.torch` is in use.

A tensor of the wing *is* a `chainrule.Tensor`, and a layer is the package's own. What PyTorch's
have in addition, or show otherwise (`x.device`, `x.shape` as a `torch.Size`, the text), is put on
these classes when `chainrule.torch` is imported. `shown(False)` takes it off again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

PACKAGE = str(Path(__file__).parents[2])
_ABSENT = object()
_face: dict[tuple[Any, str], tuple[Any, Any]] = {}
"""(class or object, name) → what the class had there, and what it has while the face is shown."""
_state = {"shown": True}


def put(owner: Any, name: str, value: Any) -> None:
    """Give a class, or an object, an attribute, or another one, while the face is shown."""
    before = _face[owner, name][0] if (owner, name) in _face else vars(owner).get(name, _ABSENT)
    _face[owner, name] = before, value
    if _state["shown"]:
        setattr(owner, name, value)


def put_all(owner: type, source: type) -> None:
    """Give a class all that another one defines, but its docstring and the like."""
    for name, value in vars(source).items():
        if name not in ("__dict__", "__doc__", "__module__", "__qualname__", "__weakref__"):
            put(owner, name, value)


def shown(on: bool) -> None:
    """Show the face or take it off; the package's own classes are then as without the wing."""
    _state["shown"] = on
    for (owner, name), (before, value) in _face.items():
        if on:
            setattr(owner, name, value)
        elif before is _ABSENT:
            if name in vars(owner):
                delattr(owner, name)
        else:
            setattr(owner, name, before)


def asked_by_package() -> bool:
    """Whether the caller's caller is code of this package, which wants NumPy's objects."""
    return sys._getframe(2).f_code.co_filename.startswith(PACKAGE)
