"""The text of a tensor as PyTorch prints it: `tensor([1.0000, 2.5000], grad_fn=<MulBackward0>)`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.primitive import Array
from chainrule.settings import get_default_dtype
from chainrule.tensor import Tensor
from chainrule.torch.adapter.dtypes import torch_dtype

Format = Callable[[Any], str]


class Options(NamedTuple):
    """How numbers are printed: see `set_printoptions`."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": Options(),
    "short": Options(precision=2, edgeitems=2),
    "full": Options(threshold=math.inf),
}
_options = Options()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors print: decimals, the size above which they are shortened, items at the ends
    of each dimension, columns, scientific notation (None: depending on the numbers).

    `profile` is "default", "short" or "full", and sets the options that are not given.
    """
    global _options
    if profile is not None and profile not in _PROFILES:
        raise ArgumentError("unknown profile", given=profile, expected=", ".join(_PROFILES))
    start = _options if profile is None else _PROFILES[profile]
    _options = Options(
        start.precision if precision is None else precision,
        start.threshold if threshold is None else threshold,
        start.edgeitems if edgeitems is None else edgeitems,
        start.linewidth if linewidth is None else linewidth,
        sci_mode,
    )


def text(x: Tensor) -> str:
    """The text of a tensor: its numbers, then a dtype that is not the default, and its gradient."""
    data = x._data
    if not isinstance(data, np.ndarray):
        return f"tensor({data})"
    notes = []
    if data.size == 0 and data.ndim != 1:
        notes.append(f"size={data.shape}")
    usual = (get_default_dtype(), np.dtype(np.bool_), np.dtype(np.int64))
    if data.dtype not in usual or (data.size == 0 and data.dtype != usual[0]):
        notes.append(f"dtype={torch_dtype(data.dtype)}")
    if x._node is not None:
        notes.append(f"grad_fn=<{backward_name(x._node.primitive.name)}>")
    elif x._requires_grad:
        notes.append("requires_grad=True")
    body = "[]" if data.size == 0 else _numbers(data, len("tensor("))
    return _with_notes(f"tensor({body}", notes) + ")"


def _with_notes(start: str, notes: list[str]) -> str:
    """The notes behind the numbers, on a new line where the last one would be too long."""
    width = len(start) - start.rfind("\n") + 1
    for note in notes:
        if width + len(note) + 2 > _options.linewidth:
            start += f",\n{' ' * len('tensor(')}{note}"
            width = len("tensor(") + len(note)
        else:
            start += f", {note}"
            width += len(note) + 2
    return start


def backward_name(op: str) -> str:
    """The name of an op's derivative: `log_softmax` → `LogSoftmaxBackward0`."""
    words = _COMPOSED.get(op, op).split("_")
    return "".join(part[:1].upper() + part[1:] for part in words) + "Backward0"


_COMPOSED = {"linear": "addmm"}
"""Op → the op that PyTorch makes it of."""


@functools.cache
def return_type(kind: type, name: str) -> Any:
    """The subclass of a class of named tuples that prints as `torch.return_types.NAME`."""

    def __repr__(self: Any) -> str:
        parts = ",\n".join(f"{n}={v!r}" for n, v in zip(self._fields, self, strict=True))
        return f"torch.return_types.{name}(\n{parts})"

    return type(name, (kind,), {"__repr__": __repr__, "__module__": "torch.return_types"})


def _numbers(data: Array, indent: int) -> str:
    shortened = data.size > _options.threshold
    visible = _ends(data) if shortened else data
    width, form = _number_format(visible.reshape(-1))
    return _nested(data, indent, shortened, lambda value: form(value).rjust(width), width)


def _ends(data: Array) -> Array:
    """The first and last items along each dimension."""
    n = _options.edgeitems
    for dim, size in enumerate(data.shape):
        if size > 2 * n:
            data = np.take(data, [*range(n), *range(size - n, size)], dim)
    return data


def _nested(data: Array, indent: int, shortened: bool, form: Format, width: int) -> str:
    """The numbers in nested brackets, rows below each other, planes with empty lines between."""
    if data.ndim == 0:
        return form(data.item()).strip()
    n, size = _options.edgeitems, data.shape[0]
    cut = shortened and size > 2 * n
    chosen = [*range(n), None, *range(size - n, size)] if cut else [*range(size)]
    if data.ndim == 1:
        parts = [" ..." if i is None else form(data[i].item()) for i in chosen]
        per_line = max(1, (_options.linewidth - indent) // (width + 2))
        lines = [", ".join(parts[i : i + per_line]) for i in range(0, len(parts), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    rows = [
        "..." if i is None else _nested(data[i], indent + 1, shortened, form, width) for i in chosen
    ]
    return "[" + ("," + "\n" * (data.ndim - 1) + " " * (indent + 1)).join(rows) + "]"


def _number_format(numbers: Array) -> tuple[int, Format]:
    """The width of one number and the way to write it, the same for all numbers of a tensor."""
    if numbers.dtype.kind != "f":
        return max(len(str(v)) for v in numbers.tolist()), str
    finite = numbers[np.isfinite(numbers) & (numbers != 0)].astype(np.float64)
    if not finite.size:
        return 1, _whole
    sizes = np.abs(finite)
    form = _form(bool(np.all(sizes == np.ceil(sizes))), sizes.max(), sizes.min())
    return max(len(form(v)) for v in finite.tolist()), form


def _form(whole: bool, largest: Any, smallest: Any) -> Format:
    """Scientific notation if magnitudes differ much; else with decimals, or a point for whole
    numbers."""
    precision = _options.precision
    wide = largest / smallest > 1000 or largest > 1e8 or (not whole and smallest < 1e-4)
    if wide if _options.sci_mode is None else _options.sci_mode:
        return f"{{:.{precision}e}}".format
    return _whole if whole else f"{{:.{precision}f}}".format


def _whole(value: float) -> str:
    return f"{value:.0f}." if math.isfinite(value) else str(value)
