"""Where values lie: memory in C order is laid out anew, and its views follow."""

from __future__ import annotations

from chainrule.engine import Layout, in_order
from chainrule.primitive import SpecLike

Strides = tuple[int, ...]


def strides_for(root: SpecLike, seen: Layout, wanted: Layout) -> Strides | None:
    """The strides of memory that is in C order now, so that its view `seen` lies as `wanted`. None
    if the view is not all of the memory with its dimensions in another order."""
    before = in_order(root.shape, root.dtype)
    found = {
        (n, stride): new
        for n, stride, new in zip(seen.shape, seen.strides, wanted.strides, strict=True)
        if n != 1
    }
    own = [pair for pair in zip(before.shape, before.strides, strict=True) if pair[0] != 1]
    if sorted(own) != sorted(found):
        return None
    return tuple([found.get(pair, 0) for pair in zip(*before[::2], strict=True)])


def moved(
    root: SpecLike, strides: Strides, offset: int, layout: Layout
) -> tuple[int, Layout] | None:
    """A view of memory that gets other strides, as (offset, layout). None if one of its dimensions
    goes through several of the memory."""
    before = in_order(root.shape, root.dtype)
    place, rest, last = 0, offset, list[int]()  # the last position along each dimension
    for stride, new in zip(before.strides, strides, strict=True):
        position, rest = divmod(rest, stride)
        place += position * new
        last.append(position)
    seen = []
    for n, stride in zip(layout.shape, layout.strides, strict=True):
        if n == 1 or stride == 0:
            seen.append(stride)
            continue
        fits = [d for d, s in enumerate(before.strides) if s <= stride < s * before.shape[d]]
        if not fits or stride % before.strides[fits[0]]:
            return None
        steps = stride // before.strides[fits[0]]
        last[fits[0]] += (n - 1) * steps
        seen.append(steps * strides[fits[0]])
    inside = all(at < n for at, n in zip(last, before.shape, strict=True))
    return (place, Layout(layout.shape, layout.dtype, tuple(seen))) if inside else None
