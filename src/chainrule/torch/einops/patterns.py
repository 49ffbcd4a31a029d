"""Parses patterns. The plan for a pattern and a shape is cached."""

from __future__ import annotations

import functools
import math
import re
from typing import NamedTuple

from chainrule.errors import ChainruleError

Group = list[str]
_ALONE = "... outside of parentheses"
_TOKEN = re.compile(r"\s*(\.\.\.|[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[()])")


class EinopsError(ChainruleError, RuntimeError):
    """A malformed pattern, or one that does not fit the tensor."""


class Plan(NamedTuple):
    """Reshape to `split`; reduce over `reduced`; permute by `order`; insert dimensions at `new`;
    expand to `repeated`; reshape to `joined`."""

    split: tuple[int, ...]
    reduced: tuple[int, ...]
    order: tuple[int, ...]
    new: tuple[int, ...]
    repeated: tuple[int, ...]
    joined: tuple[int, ...]


@functools.lru_cache(maxsize=512)
def plan(
    pattern: str, kind: str, shape: tuple[int, ...], lengths: tuple[tuple[str, int], ...]
) -> Plan:
    """The plan of a pattern for a tensor of a shape."""
    sides = pattern.split("->")
    if len(sides) != 2:
        raise EinopsError(f"the pattern {pattern!r} has not one ->", expected="left -> right")
    left, right = (_groups(side, pattern, place) for place, side in enumerate(sides))
    left, right = _without_ellipsis(left, right, len(shape), pattern)
    sizes = _sizes(left, shape, dict(lengths), pattern)
    before = [name for group in left for name in group]
    after = [name for group in right for name in group]
    for name in after:
        if name not in sizes:
            raise EinopsError(f"{pattern!r} does not say the size of {name}")
    reduced = [name for name in before if name not in after]
    added = [name for name in after if name not in before]
    _check(kind, reduced, added, pattern)
    kept = [name for name in before if name in after]
    return Plan(
        split=tuple(sizes[name] for name in before),
        reduced=tuple(before.index(name) for name in reduced),
        order=tuple(kept.index(name) for name in after if name in kept),
        new=tuple(place for place, name in enumerate(after) if name in added),
        repeated=tuple(sizes[name] for name in after),
        joined=tuple(math.prod(sizes[name] for name in group) for group in right),
    )


def _groups(side: str, pattern: str, number: int) -> list[Group]:
    """The dimensions of one side, each a list of axes. An axis that is a number gets a name with
    #."""
    groups: list[Group] = []
    inside = False
    place = 0
    while side[place:].strip():
        match = _TOKEN.match(side, place)
        if match is None:
            raise EinopsError(f"the pattern {pattern!r} has a wrong character", given=side[place:])
        token, place = match[1], match.end()
        if token in "()":
            if inside == (token == "("):
                raise EinopsError(f"the parentheses of {pattern!r} do not match")
            inside = token == "("
            if inside:
                groups.append([])
            continue
        if token.isdigit():  # 1 is a dimension without an axis
            names = [] if token == "1" else [f"#{number}.{len(groups)}.{place}={token}"]
        else:
            names = [token]
        if inside:
            groups[-1].extend(names)
        else:
            groups.append([_ALONE] if token == "..." else names)
    if inside:
        raise EinopsError(f"the parentheses of {pattern!r} do not match")
    flat = [name for group in groups for name in group]
    if len(set(flat)) < len(flat):
        raise EinopsError(f"an axis is named twice on one side of {pattern!r}")
    return groups


def _without_ellipsis(
    left: list[Group], right: list[Group], ndim: int, pattern: str
) -> tuple[list[Group], list[Group]]:
    """Both sides with the axes that `...` stands for."""
    given = sum(group == [_ALONE] for group in left)
    if any("..." in group for group in left):
        raise EinopsError(f"... is in parentheses on the left of {pattern!r}")
    rest = ndim - (len(left) - given)
    if rest < 0 or (rest and not given):
        raise EinopsError(f"{pattern!r} is for another number of dimensions", given=f"{ndim}")
    if not given and any("..." in group or group == [_ALONE] for group in right):
        raise EinopsError(f"... is on the right of {pattern!r} alone")
    names = [f"...{i}" for i in range(rest)]
    found: list[list[Group]] = []
    for side in (left, right):
        groups: list[Group] = []
        for group in side:
            if group == [_ALONE]:
                groups += [[name] for name in names]
            else:
                parts = [names if name == "..." else [name] for name in group]
                groups.append([name for part in parts for name in part])
        found.append(groups)
    return found[0], found[1]


def _sizes(
    left: list[Group], shape: tuple[int, ...], lengths: dict[str, int], pattern: str
) -> dict[str, int]:
    """The size of every axis: given, written as a number, or what is left of a dimension."""
    sizes = dict(lengths)
    for text in re.findall(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+", pattern):
        lengths.pop(text, None)
    if lengths:
        raise EinopsError(f"{pattern!r} has no axis {', '.join(lengths)}")
    for group, size in zip(left, shape, strict=True):
        sizes |= {name: int(name.partition("=")[2]) for name in group if name[0] == "#"}
        unknown = [name for name in group if name not in sizes]
        known = math.prod(sizes[name] for name in group if name in sizes)
        if len(unknown) > 1:
            raise EinopsError(f"{pattern!r} does not say the sizes of {' and '.join(unknown)}")
        fits = known == size if not unknown else known > 0 and size % known == 0
        if not fits:
            raise EinopsError(
                f"a dimension of {size} does not divide into {' × '.join(group) or '1'}",
                given=f"{pattern!r} with {sizes}",
            )
        sizes |= {name: size // known for name in unknown}
    return _Numbered(sizes)


class _Numbered(dict[str, int]):
    """Sizes by axis; an axis that is a number has it in its name."""

    def __missing__(self, name: str) -> int:
        if name[0] != "#":
            raise KeyError(name)
        return int(name.partition("=")[2])

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and name[0] == "#")


def _check(kind: str, reduced: list[str], added: list[str], pattern: str) -> None:
    if kind == "rearrange" and any(name[0] == "#" for name in [*reduced, *added]):
        raise EinopsError(f"{pattern!r} rearranges an axis without a name")
    if reduced and kind != "reduce":
        raise EinopsError(f"the axes {', '.join(reduced)} of {pattern!r} are on the left alone")
    if added and kind != "repeat":
        raise EinopsError(f"the axes {', '.join(added)} of {pattern!r} are on the right alone")
