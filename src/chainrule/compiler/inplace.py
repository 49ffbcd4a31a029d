"""In place: results that are written over what they are computed from.

A value of a program may lie over an input that nobody reads afterwards: `overlay`. New state may
lie over the old one as well: `updates_last` puts such steps at the end of a program.

A step of a compiled function is a transaction: when it fails, no state has changed. So only what
cannot fail any more may write in place: optimizer updates, after everything else has run and after
what the function requires was checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule import engine
from chainrule.graph import Equation, Value
from chainrule.kinds import Update
from chainrule.primitive import Primitive


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """An instruction of a plan before memory is laid out: it names values, not buffers."""

    op: Primitive | str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    params: dict[str, Any]
    equation: Equation


def updates_last(
    steps: Sequence[Step],
    old: Mapping[Value, Value],
    root: Mapping[Value, Value],
    is_native: Callable[[Step], bool],
) -> tuple[list[Step], list[Step], dict[Value, Value]]:
    """(first, last, in place): the steps in a new order, and which results replace which inputs.

    `old` gives for each new value of state the input that holds the value before. `last` are
    updates of which nobody else reads a result; the third part is as `old`, for the results that
    may lie in the memory of their input, since no other step of `last` reads it later.
    """
    readers = Counter(root[v] for step in steps for v in set(step.inputs))
    first: list[Step] = []
    last: list[Step] = []
    for step in steps:
        is_update = isinstance(step.equation.primitive.kind, Update) and is_native(step)
        unread = all(v in old and not readers[v] for v in step.outputs)
        (last if is_update and unread else first).append(step)
    replaced: dict[Value, Value] = {}
    for i, step in enumerate(last):
        later = {root[v] for other in last[i + 1 :] for v in other.inputs}
        own = {root[v] for v in step.inputs}
        replaced |= {v: old[v] for v in step.outputs if old[v] in own and old[v] not in later}
    return first, last, replaced


def overlay(step: Step, is_native: Callable[[Step], bool]) -> list[tuple[Value, Value]]:
    """The pairs (output, input) of which the output may lie over the input, if that ends here.

    An elementwise sweep reads each tile before it writes it; a sum in the same sweep would read it
    once more.
    """
    if not isinstance(step.op, Primitive) or not is_native(step):
        return []
    if step.op.in_place:
        return [(step.outputs[at], step.inputs[over]) for at, over in step.op.in_place]
    body = step.params.get("body")
    equations = [step.equation] if body is None else body.equations
    if not all(engine.is_sweep(e.primitive) for e in equations):
        return []
    floats = [x for x in step.inputs if x.dtype.kind == "f"]
    return [(y, x) for y in step.outputs for x in floats if x.spec == y.spec]
