"""Repeatable captures: the function runs twice, and must do the same both times.

A program cannot repeat what Python does at each call, such as drawing a number, counting, advancing
an iterator or appending to a list. A second run of the function detects it: as a change of guarded
values, of the state of Python's and NumPy's random numbers, or of the graph. A function whose first
run prepares something, such as the state of an optimizer, runs eagerly once before it is captured.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from chainrule import tree
from chainrule.compiler.executed import Executed
from chainrule.compiler.guards import Guards
from chainrule.compiler.snapshot import Snapshot
from chainrule.compiler.trace import Trace, capture
from chainrule.errors import CaptureError
from chainrule.graph import Graph, Value
from chainrule.tensor import Tensor

_MOST_CAPTURES = 3
"""The most runs. If only the first two differ, the first has created state for later runs."""


class FirstRunDiffers(Exception):
    """The first run of a function prepares something for later runs, and does something else."""


def repeatable_capture(
    function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Trace, Guards]:
    """A trace of the function, and the guards of the values that it has read.

    Raises CaptureError if the function changes Python values, or if it does something else each
    time it runs, and FirstRunDiffers if only its first run does something else. After an error,
    Python values that have changed are restored where possible.
    """
    before = Snapshot(function)
    try:
        return _captured(function, args, named, before)
    except Exception:
        before.restore()
        raise


def _captured(
    function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any], before: Snapshot
) -> tuple[Trace, Guards]:
    chance = random.getstate(), np.random.get_state(legacy=False)
    executed = Executed()
    executed.add_objects(leaves := tree.flatten((args, named)))
    state: set[int] = set()
    previous: tuple[Trace, Guards] | None = None
    differences: list[str | None] = []
    while len(differences) < _MOST_CAPTURES - 1:
        with executed:
            trace = capture(function, args, named, True, executed.release, state)
        _refuse_chance(*chance)
        changed = before.lost() if previous is None else previous[1].broken()
        if changed is not None:
            raise CaptureError(
                f"a compiled function changes {changed} when it runs; a program cannot do that",
                instead="Keep it in a tensor and change that with assign, or change it outside "
                "of the compiled function.",
            )
        guards = Guards(function, executed)
        if also := _state_among(leaves, trace, guards) - state:
            state |= also
            previous, differences = None, []
            continue
        if previous is not None:
            differences.append(difference_of(previous[0], trace))
            if differences[0] is None:
                _refuse_outside(executed)
                return (trace, guards) if not trace.swaps else _separated(trace, function, executed)
            if differences[-1] is None:
                raise FirstRunDiffers
        previous = trace, guards
    raise CaptureError(
        f"a compiled function does something else each time it runs: {differences[-1]}",
        instead="Draw with cr.rand and the like, keep counters in tensors, and pass what changes "
        "as an argument.",
    )


def _separated(
    trace: Trace, function: Callable[..., Any], executed: Executed
) -> tuple[Trace, Guards]:
    """A trace whose attributes that are set to other tensors have state of their own, and guards
    that do not watch them."""
    replaced = {id(swap.state): swap.name for swap in trace.swaps}
    trace.separate()
    guards = Guards(function, executed, {(id(s.attributes), s.name) for s in trace.swaps})
    for key in replaced.keys() & guards.tensors.keys():
        raise CaptureError(
            f"a compiled function sets {replaced[key]} to another tensor, and reaches the previous "
            "one in another way too",
            instead=f"Write into it: self.{replaced[key]}.copy_(value).",
        )
    return trace, guards


def _state_among(leaves: Sequence[Any], trace: Trace, guards: Guards) -> set[int]:
    """The ids of the arguments that are state: the function reaches them in another way too, or
    uses their gradients."""
    tensors = [x for x in leaves if isinstance(x, Tensor)]
    reached = {id(slot.tensor) for slot in [*trace.reads, *trace.writes]} | guards.tensors.keys()
    used = {id(tensors[number]) for number in trace.with_grad}
    return {id(x) for x in tensors if id(x) in reached} | used


def _refuse_outside(executed: Executed) -> None:
    """Refuse calls of clocks, files and the like, whose results a program would repeat."""
    if executed.outside:
        raise CaptureError(
            f"a compiled function calls {executed.outside[0]}, and would use the same result at "
            "each call",
            instead="Call it outside of the compiled function, and pass the result as an argument.",
        )


def _refuse_chance(python: Any, numpy: Any) -> None:
    """Refuse draws from Python's and NumPy's generators, which a program cannot advance."""
    drawn = None
    if random.getstate() != python:
        drawn = "random"
        random.setstate(python)
    if not _same_state(np.random.get_state(legacy=False), numpy):
        drawn = "np.random"
        np.random.set_state(numpy)
    if drawn is not None:
        raise CaptureError(
            f"a compiled function draws from `{drawn}`, and would repeat the same numbers at each "
            "call",
            instead="Draw with cr.rand, cr.randn or a cr.Generator, or pass the numbers in.",
        )


def _same_state(a: Any, b: Any) -> bool:
    """Whether two states of a generator of NumPy, nested dicts, are equal."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same_state(a[key], b[key]) for key in a)
    return np.array_equal(a, b)


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
