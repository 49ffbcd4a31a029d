"""Devices: the CPU is accepted, others raise an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from chainrule.errors import ArgumentError, DTypeError
from chainrule.torch.adapter.absent import NoAcceleratorError

_TYPES = (
    "cpu",
    "cuda",
    "mps",
    "xpu",
    "hpu",
    "xla",
    "meta",
    "ipu",
    "hip",
    "mtia",
    "vulkan",
    "privateuseone",
)
_PLACE = re.compile(r"([a-z]+)(?::([0-9]+))?")

WORDS = ("device", "layout", "memory_format", "non_blocking", "pin_memory")
"""Keywords about the place or layout of memory, which change no result."""


class device:
    """A device by PyTorch's name: `device("cpu")`, `device("cuda", 1)`.

    All of PyTorch's names are valid, but tensors exist on the CPU only. In a `with` block it is the
    default device.

    >>> device("cpu"), device("cuda:1").index, device("cpu") == device("cpu")
    (device(type='cpu'), 1, True)
    """

    __slots__ = ("index", "type")

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        if isinstance(type, device):
            type, index = type.type, type.index if index is None else index
        if isinstance(type, int) and not isinstance(type, bool):
            type, index = "cuda", type
        match = _PLACE.fullmatch(type) if isinstance(type, str) else None
        if match is None or match[1] not in _TYPES:
            raise ArgumentError(
                f"{type!r} is no device", expected=f"{', '.join(_TYPES)}, or one with a number"
            )
        if match[2] is not None and index is not None:
            raise ArgumentError(f"{type!r} names a device number already", given=index)
        self.type: str = match[1]
        self.index: int | None = index if match[2] is None else int(match[2])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"

    def __enter__(self) -> device:
        require_cpu(self)
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index)


CPU = device("cpu")


def is_place(value: Any) -> bool:
    """Whether a positional argument of `to` names a device."""
    return isinstance(value, device) or (isinstance(value, str) and not value.startswith("torch."))


def require_cpu(place: Any) -> None:
    """Raise an error for every device but the CPU. None, integers and mappings are read as in
    PyTorch.

    >>> require_cpu("cuda")
    Traceback (most recent call last):
    ...
    chainrule.torch.adapter.absent.NoAcceleratorError: Chainrule computes on the CPU; ...
    """
    if place is None:
        return
    asked = place if isinstance(place, device) else device(place)
    if asked.type != "cpu":
        raise NoAcceleratorError(
            "Chainrule computes on the CPU",
            given=str(asked),
            expected="cpu",
            instead="Choose it with torch.device('cuda' if torch.cuda.is_available() else 'cpu').",
        )


def without_places(keywords: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The keywords without those about places and layouts. A device must be the CPU."""
    require_cpu(keywords.get("device"))
    return {k: v for k, v in keywords.items() if k in known or k not in WORDS}


def target_dtype(args: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
    """The dtype that `x.to(...)` asks for, or None: `to(device)`, `to(dtype)`, `to(device, dtype)`,
    `to(other)`, and all of it as keywords.
    """
    strange = set(keywords) - {"device", "dtype", "non_blocking", "copy", "memory_format", "other"}
    if strange:
        raise DTypeError(f"`to` has no keyword {min(strange)}", expected="device, dtype, copy")
    place, dtype = keywords.get("device"), keywords.get("dtype")
    for value in (*args, keywords.get("other")):
        if value is None or isinstance(value, bool):
            continue
        if is_place(value) or isinstance(value, int):
            place = value
        else:
            dtype = value.dtype if hasattr(value, "spec") else value
    require_cpu(place)
    return dtype
