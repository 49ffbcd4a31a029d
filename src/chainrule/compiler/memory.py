"""Memory: the place of each value of a plan, from its computation to its last use.

Values share one arena, which reuses the bytes of values after their last use. A result may reuse
the memory of an operand whose last use this is (`overlay`). New state may be written over old state
(`updates_last`).

A call of a compiled function is a transaction: if it fails, no state has changed. So only steps
that cannot fail write state in place: the updates of optimizers, which run after all other steps
and after the checks of `cr.require`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from chainrule import engine
from chainrule.compiler.lowering import Seen, Step
from chainrule.graph import Value
from chainrule.kinds import Reduction, Update
from chainrule.primitive import Primitive

ALIGNMENT = 64


@dataclass
class Arena:
    """First-fit allocation: a value takes the first gap that is large enough.

    >>> arena = Arena()
    >>> arena.take("a", 100), arena.take("b", 10)
    (0, 128)
    >>> arena.give_back("a")
    >>> arena.take("c", 60), arena.size
    (0, 192)
    """

    size: int = 0
    _taken: dict[Hashable, tuple[int, int]] = field(default_factory=dict)

    def take(self, name: Hashable, nbytes: int) -> int:
        """Allocate `nbytes` bytes for a value; returns their offset."""
        needed = -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT
        start = 0
        for offset, length in sorted(self._taken.values()):
            if offset - start >= needed:
                break
            start = max(start, offset + length)
        self._taken[name] = (start, needed)
        self.size = max(self.size, start + needed)
        return start

    def hand_over(self, name: Hashable, heir: Hashable) -> None:
        """Give the bytes of a value to another value."""
        self._taken[heir] = self._taken.pop(name)

    def give_back(self, name: Hashable) -> None:
        """Free the bytes of a value."""
        del self._taken[name]


def arena_offsets(
    steps: Sequence[Step], seen: Mapping[Value, Seen], elsewhere: Container[Value]
) -> tuple[dict[Value, int], int]:
    """The offset of each result in an arena, and the size of the arena.

    Values in `elsewhere` (arguments, state, results) are in arrays that are passed to each run.
    """
    touched = [[seen[v].root for v in (*step.inputs, *step.outputs)] for step in steps]
    last = {root: i for i, roots in enumerate(touched) for root in roots}
    memory, offsets = Arena(), dict[Value, int]()
    for i, (step, roots) in enumerate(zip(steps, touched, strict=True)):
        alone = {r for r in roots if last[r] == i and r in offsets and roots.count(r) == 1}
        heirs: dict[Value, Value] = {}
        for value, source in overlay(step):
            root = _whole(seen[source])
            own = seen[value].root is value and value not in elsewhere
            if root in alone and own and value not in heirs:
                heirs[value] = root
                alone.remove(root)
        for value in step.outputs:
            root = seen[value].root
            if value in heirs:
                memory.hand_over(heirs[value], value)
                offsets[value] = offsets[heirs[value]]
            elif root not in elsewhere and root not in offsets:
                offsets[root] = memory.take(root, root.spec.nbytes)
        for root in dict.fromkeys(roots):
            if last[root] == i and root in offsets and root not in heirs.values():
                memory.give_back(root)
    return offsets, memory.size


def _whole(seen: Seen) -> Value | None:
    """The root value, if all its memory is viewed in C order; else None."""
    root, _, layout = seen
    nbytes = layout.size * layout.dtype.itemsize
    return root if layout.in_order() and root.spec.nbytes == nbytes else None


def overlay(step: Step) -> list[tuple[Value, Value]]:
    """The pairs (output, input) where the output may reuse the memory of the input, if this step is
    the input's last use.

    An elementwise sweep reads each tile before it writes it. But the reductions of a chain read
    theirs after that, so an input that one of them reads is left out.
    """
    if not isinstance(step.op, Primitive) or not step.native:
        return []
    if step.op.in_place:
        return [(step.outputs[at], step.inputs[over]) for at, over in step.op.in_place]
    whole = step.params.get("body", step.equation)
    equations = [whole] if whole is step.equation else whole.equations
    folds = [e for e in equations if isinstance(e.primitive.kind, Reduction)]
    if not all(e in folds or engine.is_sweep(e.primitive) for e in equations):
        return []
    read = {v for e in folds for v in e.inputs}
    made = {v for e in folds for v in e.outputs}
    floats = [
        x
        for x, own in zip(step.inputs, whole.inputs, strict=True)
        if x.dtype.kind == "f" and own not in read
    ]
    swept = [y for y, own in zip(step.outputs, whole.outputs, strict=True) if own not in made]
    return [(y, x) for y in swept for x in floats if x.spec == y.spec]


def updates_last(
    steps: Sequence[Step], seen: Mapping[Value, Seen], old: Mapping[Value, Value]
) -> tuple[list[Step], list[Step], dict[Value, Value]]:
    """Move updates of state to the end: (first, last, in place).

    `old` gives, for each new value of state, the input with the previous value. `first` and `last`
    are the steps in a new order; `last` are updates whose results no other step reads. `in place`
    is the part of `old` where the new value may be written over the previous one, since no later
    step reads that.
    """
    readers = Counter(seen[v].root for step in steps for v in set(step.inputs))
    first: list[Step] = []
    last: list[Step] = []
    for step in steps:
        is_update = isinstance(step.op, Primitive) and isinstance(step.op.kind, Update)
        unread = all(v in old and not readers[v] for v in step.outputs)
        (last if is_update and step.native and unread else first).append(step)
    replaced: dict[Value, Value] = {}
    for i, step in enumerate(last):
        later = {seen[v].root for other in last[i + 1 :] for v in other.inputs}
        own = {seen[v].root for v in step.inputs}
        replaced |= {v: old[v] for v in step.outputs if old[v] in own and old[v] not in later}
    return first, last, replaced
