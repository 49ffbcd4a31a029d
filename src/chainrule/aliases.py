"""Aliases: tensors that share numbers, so that a write through one is visible in all of them.

Arrays are never changed in place. Instead a view knows its base and the op that made it, and its
base has weak references to its views. Tensors with the same numbers, such as `x` and `x.detach()`,
form a group. A write replaces the array of the written tensor. If that is a view, its base is then
recomputed, with the part that the view shows replaced. Last, the other members of the group, and
every view that still exists, are updated. All this goes through the gateway, so that gradients flow
through writes and a capture records them (functionalization, as in PyTorch's
`torch/_subclasses/functional_tensor.py`).
"""

from __future__ import annotations

import sys
from copy import deepcopy
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from numpy.lib.stride_tricks import as_strided

from chainrule.engine import Layout, in_order, layout_of
from chainrule.errors import GradientError
from chainrule.graph import Value
from chainrule.primitive import Primitive, Shape
from chainrule.settings import current, not_here, use

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

_BETWEEN_CLEANUPS = 16
_REPEATS = (
    "this tensor shows elements of another one several times (expand), so a write to it is "
    "ambiguous",
    "Write into the original, or take a .clone() first.",
)


class Group:
    """Tensors with the same numbers. They do not keep each other alive.

    why_not: why the numbers must not be written, and what to do instead; None if they may.
    """

    __slots__ = ("members", "why_not")

    def __init__(self, first: Tensor) -> None:
        self.members: list[ref[Tensor]] = []
        self.why_not: tuple[str, str] | None = None
        self.add(first)

    def add(self, x: Tensor) -> None:
        """Add a tensor that is no view."""
        x._alias = x._alias or Alias()
        x._alias.group = self
        _append(self.members, x)


class Alias:
    """The tensors with which a tensor shares its numbers.

    base: the tensor of which it is a view, made by `primitive` with `params`; None for other
        tensors.
    recorded: whether gradients were recorded when the view was made.
    views: the views of this tensor.
    group: the tensors with the same numbers. A view has none: it shares numbers through its base.
    """

    __slots__ = ("base", "group", "params", "primitive", "recorded", "views")

    def __init__(
        self,
        base: Tensor | None = None,
        primitive: Any = None,
        params: Any = None,
        recorded: bool | None = False,
    ) -> None:
        self.base, self.primitive, self.params = base, primitive, params
        self.recorded = recorded
        self.views: list[ref[Tensor]] = []
        self.group: Group | None = None


def show(view: Tensor, base: Tensor, primitive: Primitive, params: dict[str, Any]) -> None:
    """Record that a tensor is a view of another, unless the op had to copy."""
    kind = primitive.view
    if kind is not None and kind.keeps_order and not _shares(base, params["shape"]):
        return
    _show(view, base, Alias(base, primitive, params, current().gradients))


def _show(view: Tensor, base: Tensor, alias: Alias) -> None:
    view._alias = alias
    base._alias = base._alias or Alias()
    _append(base._alias.views, view)


def pair(a: Tensor, b: Tensor) -> None:
    """Record that a new tensor `b` shares the numbers of `a`, but not its graph: `a.detach()`.

    `b` does not keep `a` alive. If `a` is a view, `b` is a view of the same base.
    """
    alias = a._alias
    if alias is not None and alias.base is not None:
        base = alias.base.detach() if alias.base._requires_grad else alias.base
        _show(b, base, Alias(base, alias.primitive, alias.params))
    else:
        group = (alias and alias.group) or Group(a)
        group.add(b)


def share_copies(x: Tensor, copied: Tensor, memo: dict[int, Any]) -> None:
    """Let a deep copy share numbers with the copies of the tensors that share numbers with x.

    memo: the copies so far, as `copy.deepcopy` passes them on.
    """
    alias = x._alias
    if alias is None:
        return
    if alias.base is not None and alias.base._node is None:
        base = deepcopy(alias.base, memo)
        copied._data = alias.primitive.forward(base._data, **alias.params)
        _show(copied, base, Alias(base, alias.primitive, alias.params))
    elif alias.group is not None:
        first = memo.setdefault(id(alias.group), copied)
        if first is not copied:
            copied._data = first._data
            pair(first, copied)


def leave(x: Tensor) -> None:
    """Separate a tensor from its aliases: a write to it does not reach them, nor the reverse."""
    alias = x._alias
    if alias is None:
        return
    if _living(alias.views):
        _give(alias.views, x.detach())
    _replace(alias, x, None)
    x._alias = None


def hand_over(x: Tensor, before: Tensor, after: Tensor) -> None:
    """Give `before` the place of x among its aliases, and x the place of `after`, a view of it.

    So x becomes a view of what it was. A write to it reaches, through `before`, all tensors that
    shared its numbers.
    """
    alias, view = x._alias, after._alias
    if alias is not None:
        _replace(alias, x, before)
        alias.views, views = before._alias.views if before._alias else [], alias.views
        before._alias = alias
        _give(views, before)
    if view is not None:
        _replace(view, after, x)
    x._alias = view


def _replace(alias: Alias, old: Tensor, new: Tensor | None) -> None:
    """Put another tensor, or none, in the place of the one that has this alias."""
    lists = [alias.group.members] if alias.group is not None else []
    if alias.base is not None and alias.base._alias is not None:
        lists.append(alias.base._alias.views)
    for references in lists:
        kept = [new if x is old else x for x in _living(references)]
        references[:] = [ref(x) for x in kept if x is not None]


def _give(views: list[ref[Tensor]], base: Tensor) -> None:
    """Make another tensor the base of views."""
    for view in _living(views):
        if view._alias is not None:
            view._alias.base = base
            _show(view, base, view._alias)


def _living(references: list[ref[Tensor]]) -> list[Tensor]:
    return [x for reference in references if (x := reference()) is not None]


def storage(x: Tensor) -> Any:
    """An object that all tensors that share numbers with x have in common, and no others."""
    while x._alias is not None and x._alias.base is not None:
        x = x._alias.base
    return (x._alias and x._alias.group) or x


def group(x: Tensor) -> list[Tensor]:
    """A tensor that is no view, and those with the same numbers that are none, the oldest first."""
    return _living(x._alias.group.members) if x._alias and x._alias.group else [x]


def mark_foreign(x: Tensor) -> None:
    """Refuse writes to a tensor whose numbers are in an array that belongs to the user."""
    Group(x).why_not = (
        "this tensor shares an array of yours, which Chainrule does not write",
        "Copy the array with cr.tensor(array) where you have cr.from_numpy(array).",
    )


def mark_own(x: Tensor) -> None:
    """Allow writes to a tensor that is trained: its numbers are its own from now on."""
    found = storage(x)
    if isinstance(found, Group):
        found.why_not = None


def mark_copied(x: Tensor) -> None:
    """Refuse writes to a copy that is a view in PyTorch: they would not reach the original."""
    Group(x).why_not = (
        "this tensor is a copy here and a view in PyTorch, so a write would not reach the original",
        "Write into the original, or take a .clone() first.",
    )


def mark_repeating(x: Tensor) -> None:
    """Refuse writes to an argument of a captured function that shows elements several times."""
    Group(x).why_not = _REPEATS


def _append(references: list[ref[Tensor]], x: Tensor) -> None:
    if len(references) % _BETWEEN_CLEANUPS == _BETWEEN_CLEANUPS - 1:
        references[:] = [y for y in references if y() is not None]
    references.append(ref(x))


def _shares(base: Tensor, shape: Shape) -> bool:
    """Whether the memory of a tensor can be viewed in another shape without a copy."""
    data = base._data
    if isinstance(data, np.ndarray) and data.flags.c_contiguous:
        return True
    return _layout(base).reshaped(shape) is not None


def is_in_order(x: Tensor) -> bool:
    """Whether the elements of a tensor are in order in memory."""
    return _layout(x).in_order()


def is_shared(x: Tensor) -> bool:
    """Whether other tensors that still exist share numbers with x."""
    alias = x._alias
    return alias is not None and (
        alias.base is not None or any(y is not x for y in _sharing(alias))
    )


def _layout(x: Tensor) -> Layout:
    """The layout of a tensor's memory. In a capture, where there is none: the layout that it would
    have if the base at the root of its views had that of the argument, or were contiguous."""
    if isinstance(x._data, np.ndarray):
        return layout_of(x._data)
    alias = x._alias
    if alias is None or alias.base is None:
        given = x._data.layout if isinstance(x._data, Value) else None
        return given or in_order(x.shape, x.dtype)
    return _layout_of_view(alias.base, alias)


def _layout_of_view(x: Tensor, alias: Alias) -> Layout:
    """The layout of the view of a tensor that an alias describes."""
    base = _layout(x)
    if alias.primitive.view.keeps_order:
        shape = alias.params["shape"]
        return base.reshaped(shape) or in_order(shape, x.dtype)
    phantom = as_strided(np.zeros((), base.dtype), base.shape, base.strides)
    return layout_of(alias.primitive.forward(phantom, **alias.params))


def check_writable(x: Tensor) -> None:
    """Raise GradientError for a write that is not possible.

    These are writes to a leaf that requires gradients (while they are recorded), to tensors that
    `mark_foreign` or `mark_copied` marked, and to a view that shows an element several times.
    PyTorch refuses the first and the last, too.
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
        if alias is not None and alias.group is not None and alias.group.why_not is not None:
            problem, instead = alias.group.why_not
            raise GradientError(problem, instead=instead)
        place = None if alias is None else alias.base
        if alias is None or place is None or not alias.primitive.view.repeats:
            continue
        if place.shape != alias.params["shape"]:
            problem, instead = _REPEATS
            raise GradientError(problem, instead=instead)


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
            if _is_only_view(x, alias):
                alias.base = None
                if isinstance(x._data, np.ndarray):  # as it was in the memory of the base
                    x._data = np.asarray(x._data, order="C")
            else:
                done.add(id(alias.base))
                _write_back(alias.base, x, alias)
                waiting.append(alias.base)
        for other in _sharing(alias):
            if id(other) not in done:
                done.add(id(other))
                _refresh(other, x)
                waiting.append(other)


def _is_only_view(view: Tensor, shown: Alias) -> bool:
    """Whether nothing can reach the base of a view but that view, so that no write to it can be
    seen. A view whose elements are not in order in memory keeps its base, and so its layout."""
    base = shown.base
    alias = None if base is None else base._alias
    if base is None or alias is None or alias.base is not None or sys.getrefcount(base) > 3:
        return False  # references: the alias of the view, this name, that of getrefcount
    if any(other is not view and other is not base for other in _sharing(alias)):
        return False
    return _layout_of_view(base, shown).in_order()


def _sharing(alias: Alias) -> list[Tensor]:
    """The views of a tensor that has this alias, and the members of its group."""
    return _living(alias.views + (alias.group.members if alias.group is not None else []))


def _write_back(base: Tensor, x: Tensor, alias: Alias) -> None:
    """Write the numbers of a view into its base, whose memory it then shares again."""
    with use(gradients=current().gradients and alias.recorded):
        base._take(_written_back(base, x, alias))
    with use(gradients=not_here()):
        x._take(Primitive.gateway(alias.primitive, base, **alias.params))


def _refresh(x: Tensor, leader: Tensor) -> None:
    """Update a view of a tensor, or another member of its group."""
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
