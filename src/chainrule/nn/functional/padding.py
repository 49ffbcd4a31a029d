"""Padding of the last dimensions, with a constant or with elements of the input."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.errors import ArgumentError
from chainrule.nn.functional.checks import check_tensors
from chainrule.ops import shape
from chainrule.tensor import Tensor

MODES = ("constant", "reflect", "replicate", "circular")


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """Add a border to the last dimensions: pad = (left, right, top, bottom, ...), last one first.

    Mode "constant" fills it with `value` (by default 0), "reflect" with the elements mirrored at
    the edge, "replicate" with the edge, "circular" with the elements of the other end. A negative
    width removes elements. Raises ArgumentError for other modes, and for a width that needs more
    elements than there are.

    >>> import chainrule as cr
    >>> pad(cr.ones(1, 2), (1, 0), value=7.0)
    tensor([[7., 1., 1.]])
    >>> pad(cr.tensor([[1.0, 2.0, 3.0]]), (2, 1), mode="reflect")
    tensor([[3., 2., 1., 2., 3., 2.]])
    """
    check_tensors("pad", input=input)
    if mode not in MODES:
        raise ArgumentError(
            "unknown mode of padding", given=repr(mode), expected=", ".join(map(repr, MODES))
        )
    if mode != "constant" and value not in (None, 0):
        raise ArgumentError(f"padding of mode {mode!r} takes no value", given=value)
    y = input
    if min(pad, default=0) < 0:
        y, pad = _cropped(input, pad), [max(n, 0) for n in pad]
    if mode == "constant":
        y = shape.pad(y, pad, 0.0 if value is None else value)
        return y
    for i in range(0, len(pad), 2):
        y = _bordered(y, y.ndim - 1 - i // 2, pad[i], pad[i + 1], mode)
    return y


def _along(x: Tensor, dim: int, start: int, stop: int) -> Tensor:
    return x[(*[slice(None)] * dim, slice(start, stop))]


def _cropped(x: Tensor, pad: Sequence[int]) -> Tensor:
    """Remove the elements for negative widths."""
    for i in range(0, len(pad), 2):
        dim = x.ndim - 1 - i // 2
        first, last = max(-pad[i], 0), x.shape[dim] - max(-pad[i + 1], 0)
        if first > last:
            raise ArgumentError("padding leaves nothing", given=f"{tuple(pad)} for {x.shape}")
        x = _along(x, dim, first, last)
    return x


def _bordered(x: Tensor, dim: int, before: int, after: int, mode: str) -> Tensor:
    """Pad x along one dimension with its own elements."""
    n = x.shape[dim]
    most = {"reflect": n - 1, "circular": n}.get(mode, max(before, after) if n else 0)
    if max(before, after) > most:
        raise ArgumentError(
            f"padding of mode {mode!r} needs more elements",
            given=f"({before}, {after}) for {n}",
            expected=f"at most {most} along dimension {dim} of {x.shape}",
        )
    if mode == "reflect":
        front = _along(x, dim, 1, before + 1).flip(dim)
        back = _along(x, dim, n - 1 - after, n - 1).flip(dim)
    elif mode == "circular":
        front, back = _along(x, dim, n - before, n), _along(x, dim, 0, after)
    else:
        kept = [-1] * x.ndim
        front, back = (
            edge.expand(*kept[:dim], width, *kept[dim + 1 :])
            for edge, width in ((_along(x, dim, 0, 1), before), (_along(x, dim, n - 1, n), after))
        )
    return shape.cat([front, x, back], dim)
