"""`einops`: changes of shape by patterns (Rogozhnikov, 2022), for tensors and NumPy arrays.

A pattern names the axes before and after, `"b c (h 2) w -> b (c w) h"`. Parentheses hold axes that
form one dimension, `...` stands for any other axes, and a number for an axis of that size. Axes on
the left only are reduced, axes on the right only are repeated.

>>> import chainrule as cr
>>> x = cr.arange(12).reshape(2, 6)
>>> rearrange(x, "a (b c) -> (a b) c", c=3).tolist()
[[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
>>> reduce(x, "a b -> b", "sum").tolist(), repeat(x, "a b -> a 2 b").size()
([6, 8, 10, 12, 14, 16], torch.Size([2, 2, 6]))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.ops.shape import stack
from chainrule.tensor import Tensor, from_numpy
from chainrule.torch.adapter import names
from chainrule.torch.einops.patterns import EinopsError as EinopsError
from chainrule.torch.einops.patterns import Plan, plan

Reduction = str | Callable[[Any, tuple[int, ...]], Any]
_REDUCTIONS = {
    "sum": "sum",
    "mean": "mean",
    "prod": "prod",
    "any": "any",
    "all": "all",
    "max": "amax",
    "min": "amin",
}


def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> Any:
    """Reorder, split and join dimensions by a pattern."""
    return _applied(tensor, pattern, axes_lengths, "rearrange", None)


def reduce(tensor: Any, pattern: str, reduction: Reduction, **axes_lengths: int) -> Any:
    """Reduce over the axes that are only on the left of the pattern.

    `reduction` is "sum", "mean", "max", "min", "prod", "any" or "all", or a function of a tensor
    and of dimensions.
    """
    if isinstance(reduction, str) and reduction not in _REDUCTIONS:
        raise EinopsError("unknown reduction", given=reduction, expected=", ".join(_REDUCTIONS))
    return _applied(tensor, pattern, axes_lengths, "reduce", reduction)


def repeat(tensor: Any, pattern: str, **axes_lengths: int) -> Any:
    """Repeat along the axes that are only on the right of the pattern."""
    return _applied(tensor, pattern, axes_lengths, "repeat", None)


def _applied(
    tensor: Any, pattern: str, lengths: dict[str, int], kind: str, reduction: Reduction | None
) -> Any:
    if isinstance(tensor, (list, tuple)):
        whole = all(isinstance(x, Tensor) for x in tensor)
        tensor = stack(tensor) if whole else np.stack(tensor)
    if isinstance(tensor, np.ndarray):
        return _run(from_numpy(tensor), pattern, lengths, kind, reduction).numpy()
    return _run(tensor, pattern, lengths, kind, reduction)


def _run(
    x: Tensor, pattern: str, lengths: dict[str, int], kind: str, reduction: Reduction | None
) -> Tensor:
    found: Plan = plan(pattern, kind, tuple(x.shape), tuple(sorted(lengths.items())))
    y: Any = x.reshape(*found.split)
    if found.reduced and reduction is not None:
        y = _reduced(y, reduction, found.reduced)
    y = y.permute(*found.order)
    for place in found.new:
        y = y.unsqueeze(place)
    return y.expand(*found.repeated).reshape(*found.joined)


def _reduced(y: Any, reduction: Reduction, dims: tuple[int, ...]) -> Any:
    if not isinstance(reduction, str):
        return reduction(y, dims)
    return getattr(y, _REDUCTIONS[reduction])(dims)


__getattr__, __dir__ = names.facade(__name__)
