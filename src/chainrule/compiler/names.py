"""The names that code looks up, read from its instructions."""

from __future__ import annotations

import dis
from collections.abc import Iterable, Sequence
from functools import lru_cache
from types import CodeType
from typing import Any, NamedTuple

_READERS = {"getattr", "hasattr", "setattr", "delattr", "vars", "dir"}
"""Functions that read attributes of their first argument, by the name in the second if it is
there."""
_EVERY = {"__dict__", "__getattribute__", "__getstate__", "__reduce__", "__reduce_ex__"}
"""Attributes through which code reads all other attributes of an object."""
_NO_NAMES: frozenset[str] = frozenset()


class Names(NamedTuple):
    """The names that code looks up, and the functions defined in it.

    globals, attributes: as they are called.
    strings: constants, which may be names of attributes.
    imports: (level, name) of modules.
    chains: a global name with the attributes that follow: ("np", "random", "rand").
    open_globals: global names of objects of which code may read any attribute: `vars(thing)`.
    assigned: variables that code assigns and that functions around it or in it see, too.
    computes: whether code reads attributes of other objects by names that it computes.
    all_globals: whether code reads globals by names that it computes.
    """

    globals: frozenset[str] = _NO_NAMES
    attributes: frozenset[str] = _NO_NAMES
    strings: frozenset[str] = _NO_NAMES
    imports: frozenset[tuple[int, str]] = frozenset()
    chains: frozenset[tuple[str, ...]] = frozenset()
    open_globals: frozenset[str] = _NO_NAMES
    assigned: frozenset[str] = _NO_NAMES
    computes: bool = False
    all_globals: bool = False

    @classmethod
    def union(cls, found: Iterable[Names]) -> Names:
        """The names that any of the code looks up."""
        *names, computes, all_globals = zip(cls(), *found, strict=True)
        merged: Any = [frozenset().union(*column) for column in names]
        return cls._make([*merged, any(computes), any(all_globals)])


@lru_cache(maxsize=4096)
def names_of(code: CodeType) -> Names:
    """The names that code looks up, and the code of functions defined in it."""
    steps = [s for s in dis.get_instructions(code) if s.opname != "EXTENDED_ARG"]
    called: set[str] = set()
    attributes: set[str] = set()
    imports: set[tuple[int, str]] = set()
    for i, step in enumerate(steps):
        if _is_global(step):
            called.add(step.argval)
        elif _is_attribute(step):
            attributes.add(step.argval)
        elif step.opname == "IMPORT_NAME":
            imports.add((steps[i - 2].argval, step.argval))
    opened, computes = _computed(steps)
    found = Names(
        frozenset(called),
        frozenset(attributes),
        frozenset(x for x in code.co_consts if isinstance(x, str)),
        frozenset(imports),
        frozenset(_chains(steps)),
        opened,
        frozenset(x.argval for x in steps if x.opname in ("STORE_DEREF", "DELETE_DEREF")),
        computes,
        "globals" in called,
    )
    inner = [names_of(x) for x in code.co_consts if isinstance(x, CodeType)]
    return Names.union([found, *inner]) if inner else found


@lru_cache(maxsize=4096)
def words_of(code: CodeType) -> frozenset[str]:
    """All names and strings in code, and in that of functions defined in it: more than the names
    of the attributes that it reads, and found at once."""
    inner = (words_of(x) for x in code.co_consts if isinstance(x, CodeType))
    strings = (x for x in code.co_consts if isinstance(x, str))
    return frozenset(code.co_names).union(strings, *inner)


def _is_global(step: dis.Instruction) -> bool:
    return "GLOBAL" in step.opname or step.opname == "LOAD_NAME"


def _is_attribute(step: dis.Instruction) -> bool:
    return "ATTR" in step.opname or step.opname in ("LOAD_METHOD", "IMPORT_FROM")


def _chains(steps: Sequence[dis.Instruction]) -> Iterable[tuple[str, ...]]:
    for i, step in enumerate(steps):
        if _is_global(step):
            chain = [step.argval]
            while (i := i + 1) < len(steps) and _is_attribute(steps[i]):
                chain.append(steps[i].argval)
            if len(chain) > 1:
                yield tuple(chain)


def _computed(steps: Sequence[dis.Instruction]) -> tuple[frozenset[str], bool]:
    """Global names of objects of which any attribute may be read, and whether other objects are."""
    things: list[dis.Instruction | None] = []
    for i, step in enumerate(steps):
        if step.argval in _EVERY and _is_attribute(step):
            things.append(steps[i - 1])
        elif step.opname == "MATCH_CLASS":  # the class names the attributes
            things.append(None)
        elif _is_global(step) and step.argval in _READERS:
            calls = list(_calls(steps, i))
            things += [c[0][0] if len(c[0]) == 1 else None for c in calls if not _names_one(c)]
            things += [] if calls else [None]
    opened = [x.argval for x in things if x is not None and _is_global(x)]
    return frozenset(opened), len(opened) < len(things)


def _names_one(arguments: list[Sequence[dis.Instruction]]) -> bool:
    """Whether a call reads one attribute by a constant name, or none: `vars()`."""
    names = arguments[1:2]
    return not arguments or any(len(x) == 1 and x[0].opname == "LOAD_CONST" for x in names)


def _calls(
    steps: Sequence[dis.Instruction], function: int
) -> Iterable[list[Sequence[dis.Instruction]]]:
    """The arguments of each call of a function, as instructions. They are found backwards from the
    call, by the number of values that each instruction leaves on the stack."""
    for call in range(function + 1, len(steps)):
        if steps[call].opname != "CALL":
            continue
        arguments: list[Sequence[dis.Instruction]] = []
        end = call - (steps[call - 1].opname == "PRECALL")
        for _ in range(steps[call].arg or 0):
            start, missing = end, 1
            while missing and start > function:
                start -= 1
                missing -= dis.stack_effect(steps[start].opcode, steps[start].arg, jump=False)
            arguments.insert(0, steps[start:end])
            end = start
        if end - (steps[end - 1].opname == "PUSH_NULL") == function + 1:
            yield arguments
