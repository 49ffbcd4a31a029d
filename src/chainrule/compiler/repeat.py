"""Repeatable captures: the function runs twice, and must do the same both times.

A program cannot repeat what Python does at each call, such as drawing a number, counting, advancing
an iterator or appending to a list. A second run of the function detects it: as a change of guarded
values, of the state of Python's and NumPy's random numbers, or of the graph.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

import numpy as np

from chainrule.compiler.executed import Executed
from chainrule.compiler.guards import Guards
from chainrule.compiler.trace import Trace, capture
from chainrule.errors import CaptureError
from chainrule.graph import Graph, Value

_MOST_CAPTURES = 3
"""The most runs. The first may create state, so that only the next two are equal."""


def repeatable_capture(
    function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Trace, Guards]:
    """A trace of the function, and the guards of the values that it has read.

    Raises CaptureError if the function changes Python values, or if it does something else each
    time it runs. After an error, Python values that have changed are restored where possible.
    """
    before = Guards(function, Executed.reachable(function))
    try:
        return _captured(function, args, named)
    except Exception:
        before.restore()
        raise


def _captured(
    function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Trace, Guards]:
    chance = random.getstate(), np.random.get_state()
    previous: tuple[Trace, Guards] | None = None
    difference = None
    for _ in range(_MOST_CAPTURES):
        with Executed() as executed:
            trace = capture(function, args, named, with_pullback=True)
        _refuse_chance(*chance)
        if previous is not None:
            changed = previous[1].broken()
            if changed is not None:
                raise CaptureError(
                    f"a compiled function changes {changed} when it runs; a program cannot do that",
                    instead="Keep it in a tensor and change that with assign, or change it outside "
                    "of the compiled function.",
                )
            difference = difference_of(previous[0], trace)
            if difference is None:
                return trace, previous[1]
        previous = trace, Guards(function, executed)
    raise CaptureError(
        f"a compiled function does something else each time it runs: {difference}",
        instead="Draw with cr.rand and the like, keep counters in tensors, and pass what changes "
        "as an argument.",
    )


def _refuse_chance(python: Any, numpy: Any) -> None:
    """Refuse draws from Python's and NumPy's generators, which a program cannot advance."""
    drawn = None
    if random.getstate() != python:
        drawn = "random"
        random.setstate(python)
    if repr(np.random.get_state()) != repr(numpy):
        drawn = "np.random"
        np.random.set_state(numpy)
    if drawn is not None:
        raise CaptureError(
            f"a compiled function draws from `{drawn}`, and would repeat the same numbers at each "
            "call",
            instead="Draw with cr.rand, cr.randn or a cr.Generator, or pass the numbers in.",
        )


def difference_of(a: Trace, b: Trace) -> str | None:
    """The first difference between two traces, in words, or None."""
    slots_a, slots_b = ([s.key for s in [*t.reads, *t.writes, *t.cleared]] for t in (a, b))
    if slots_a != slots_b:
        return "it reads or writes other tensors"
    if repr(a.structure) != repr(b.structure):
        return f"it returns {b.structure!r}, before it {a.structure!r}"
    return _difference_of_graphs(a.graph, b.graph)


def _difference_of_graphs(a: Graph, b: Graph) -> str | None:
    numbers: dict[Value, Value] = dict(zip(a.inputs, b.inputs, strict=False))
    if [v.spec for v in a.inputs] != [v.spec for v in b.inputs]:
        return "its inputs have other shapes"
    for x, y in zip_longest(a.equations, b.equations):
        if x is None or y is None:
            return f"`{(x or y).primitive.name}` at {(x or y).place} runs only one time"
        same = x.primitive is y.primitive and repr(x.params) == repr(y.params)
        same = same and len(x.inputs) == len(y.inputs)
        if not same or not all(
            _same(v, w, a, b, numbers) for v, w in zip(x.inputs, y.inputs, strict=True)
        ):
            return f"`{y.primitive.name}` at {y.place} works on other numbers"
        numbers.update(zip(x.outputs, y.outputs, strict=True))
    pairs = zip_longest(a.outputs, b.outputs)
    if not all(v and w and _same(v, w, a, b, numbers) for v, w in pairs):
        return "it returns other numbers"
    return None


def _same(v: Value, w: Value, a: Graph, b: Graph, numbers: dict[Value, Value]) -> bool:
    if v in a.constants and w in b.constants:
        x, y = a.constants[v], b.constants[w]
        return (x.shape, x.dtype, x.tobytes()) == (y.shape, y.dtype, y.tobytes())
    return numbers.get(v) is w
