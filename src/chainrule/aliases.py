"""Aliases: tensors that share numbers, so that a write through one is visible in all of them.

Arrays are never changed in place. Instead a view knows its base and the op that made it, and a
tensor has weak references to its followers: its views, and the tensors that `detach()` returned.
A write replaces the array of the written tensor. If that is a view, its base is then recomputed,
with the part that the view shows replaced. Last, every follower that still exists is recomputed
from its base. All this goes through the gateway, so that gradients flow through writes and a
capture records them (functionalization, as in PyTorch's `torch/_subclasses/functional_tensor.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from numpy.lib.stride_tricks import as_strided

from chainrule.engine import Layout, in_order, layout_of
from chainrule.errors import GradientError
from chainrule.primitive import Primitive, Shape
from chainrule.settings import current, not_here, use

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

_BETWEEN_CLEANUPS = 16


class Alias:
    """The tensors with which a tensor shares its numbers.

    base: the tensor of which it is a view, made by `primitive` with `params`; None for other
        tensors.
    recorded: whether gradients were recorded when the view was made.
    followers: the tensors to which a write to this one is passed on.
    is_foreign: whether the numbers are in an array that belongs to the user and must not be
        written.
    """

    __slots__ = ("base", "followers", "is_foreign", "params", "primitive", "recorded")

    def __init__(
        self, base: Tensor | None, primitive: Any, params: dict[str, Any], recorded: bool | None
    ) -> None:
        self.base, self.primitive, self.params = base, primitive, params
        self.recorded = recorded
        self.is_foreign = False
        self.followers: list[ref[Tensor]] = []


def show(view: Tensor, base: Tensor, primitive: Primitive, params: dict[str, Any]) -> None:
    """Record that a tensor is a view of another, unless the op had to copy."""
    kind = primitive.view
    if kind is not None and kind.keeps_order and not _shares(base, params["shape"]):
        return
    view._alias = Alias(base, primitive, params, current().gradients)
    _follow(base, view)


def pair(a: Tensor, b: Tensor) -> None:
    """Record that two tensors have the same numbers. Neither keeps the other alive.

    So b is paired with what a is paired with, too: a may go before them.
    """
    for x in [a, *_paired(a)]:
        _follow(x, b)
        _follow(b, x)
    if a._alias is not None and b._alias is not None:
        b._alias.is_foreign = a._alias.is_foreign


def _paired(x: Tensor) -> list[Tensor]:
    """The tensors with the same numbers as x: its followers that are no views of it."""
    followers = [] if x._alias is None else [reference() for reference in x._alias.followers]
    return [y for y in followers if y is not None and y._alias and y._alias.base is not x]


def leave(x: Tensor) -> None:
    """Separate a tensor from its aliases: later writes to it do not reach them."""
    alias, x._alias = x._alias, None
    for other in _sharing(alias):
        if other._alias is not None:
            other._alias.followers[:] = [y for y in other._alias.followers if y() is not x]
            if other._alias.base is x:
                other._alias.base = None


def hand_over(x: Tensor, before: Tensor, after: Tensor) -> None:
    """Give `before` the place of x among its aliases, and x the place of `after`, a view of it.

    So x becomes a view of what it was. A write to it reaches, through `before`, all tensors that
    shared its numbers.
    """
    alias, view = x._alias, after._alias
    _replace(alias, x, before)
    if alias is not None and before._alias is not None:
        alias.followers += before._alias.followers
        before._alias = alias
    _replace(view, after, x)
    x._alias = view


def _replace(alias: Alias | None, old: Tensor, new: Tensor) -> None:
    """Put another tensor in the place of the one that has this alias."""
    for other in _sharing(alias):
        if other._alias is not None:
            other._alias.base = new if other._alias.base is old else other._alias.base
            followers = other._alias.followers
            followers[:] = [ref(new) if y() is old else y for y in followers]


def _sharing(alias: Alias | None) -> list[Tensor]:
    """The base and the followers of a tensor that has this alias."""
    held = [] if alias is None else [alias.base, *[reference() for reference in alias.followers]]
    return [x for x in held if x is not None]


def mark_foreign(x: Tensor) -> None:
    """Record that the numbers of a tensor are in an array that belongs to the user."""
    x._alias = Alias(None, None, {}, False)
    x._alias.is_foreign = True


def _follow(leader: Tensor, follower: Tensor) -> None:
    alias = leader._alias
    if alias is None:
        alias = leader._alias = Alias(None, None, {}, False)
    followers = alias.followers
    if len(followers) % _BETWEEN_CLEANUPS == _BETWEEN_CLEANUPS - 1:
        followers[:] = [x for x in followers if x() is not None]
    followers.append(ref(follower))


def _shares(base: Tensor, shape: Shape) -> bool:
    """Whether the memory of a tensor can be viewed in another shape without a copy."""
    data = base._data
    if isinstance(data, np.ndarray) and data.flags.c_contiguous:
        return True
    return _layout(base).reshaped(shape) is not None


def _layout(x: Tensor) -> Layout:
    """The layout of a tensor's memory. In a capture, where there is none: the layout that it would
    have if the base at the root of its views were contiguous."""
    if isinstance(x._data, np.ndarray):
        return layout_of(x._data)
    alias = x._alias
    if alias is None or alias.base is None:
        return in_order(x.shape, x.dtype)
    base = _layout(alias.base)
    if alias.primitive.view.keeps_order:
        return base.reshaped(x.shape) or in_order(x.shape, x.dtype)
    phantom = as_strided(np.zeros((), base.dtype), base.shape, base.strides)
    return layout_of(alias.primitive.forward(phantom, **alias.params))


def check_writable(x: Tensor) -> None:
    """Raise GradientError for a write that is not possible.

    These are writes to a leaf that requires gradients (while they are recorded), to an array of the
    user's, and to a view that shows an element several times. PyTorch refuses the first and the
    last, too.
    """
    place: Tensor | None = x
    while place is not None:
        if current().gradients and place._requires_grad and place._node is None:
            what = "a leaf tensor" if place is x else "a view of a leaf tensor"
            raise GradientError(
                f"writing into {what} that requires gradients would break its derivative",
                instead="Write inside `with cr.no_grad():`.",
            )
        alias = place._alias
        if alias is not None and alias.is_foreign:
            raise GradientError(
                "this tensor shares an array of yours, which Chainrule does not write",
                instead="Copy the array with cr.tensor(array) where you have cr.from_numpy(array).",
            )
        place = None if alias is None else alias.base
        if alias is None or place is None or not alias.primitive.view.repeats:
            continue
        if place.shape != alias.params["shape"]:
            raise GradientError(
                "this tensor shows elements of another one several times (expand), so a write to "
                "it is ambiguous",
                instead="Write into the original, or take a .clone() first.",
            )


def spread(written: Tensor) -> None:
    """After a write to a tensor, update all tensors that share its numbers."""
    done = {id(written)}
    waiting = [written]
    while waiting:
        x = waiting.pop()
        alias = x._alias
        if alias is None:
            continue
        if alias.base is not None and id(alias.base) not in done:
            done.add(id(alias.base))
            with use(gradients=current().gradients and alias.recorded):
                alias.base._take(_written_back(alias.base, x, alias))
            with use(gradients=not_here()):  # the view shares its base's memory again
                x._take(Primitive.gateway(alias.primitive, alias.base, **alias.params))
            waiting.append(alias.base)
        for reference in tuple(alias.followers):
            follower = reference()
            if follower is not None and id(follower) not in done:
                done.add(id(follower))
                _refresh(follower, x)
                waiting.append(follower)


def _refresh(x: Tensor, leader: Tensor) -> None:
    """Update a follower from the tensor that it follows."""
    alias = x._alias
    if alias is None or alias.base is not leader:
        with use(gradients=not_here()):
            x._take(leader)
    else:
        with use(gradients=current().gradients and alias.recorded):
            x._take(Primitive.gateway(alias.primitive, leader, **alias.params))


def _written_back(base: Tensor, x: Tensor, alias: Alias) -> Tensor:
    """The base, with the part that the view shows replaced by the numbers of the view."""
    primitive, params = alias.primitive, alias.params
    if primitive.write_back is not None:
        y: Tensor = primitive.write_back(base, x, **params)
        return y
    if primitive.view.keeps_order:
        return x.reshape(base.shape)
    positions = np.arange(base.numel()).reshape(base.shape)
    shown = primitive.forward(positions, **params).reshape(-1)
    return base.reshape(-1).index_put(shown, x.reshape(-1)).reshape(base.shape)
