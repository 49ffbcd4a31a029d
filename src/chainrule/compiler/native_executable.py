"""The executable that runs a program of the engine.

The engine checks the guards, finds the arrays, runs the plan and writes new state, in one call (see
engine/cpp/runtime/replay.cpp). The code here prepares that call once, provides other arrays for
state where the engine cannot use the present ones, and returns the results.

The engine writes state in place only into an array to which no other reference exists. If there is
one (from `.numpy()`, a view or a saved value), that array keeps its numbers, and the tensor gets a
copy.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from chainrule import aliases, engine, tree
from chainrule.compiler.arguments import layout_if_other
from chainrule.compiler.capture import Slot
from chainrule.compiler.executable import MISSED, Executable
from chainrule.compiler.guards import Guards
from chainrule.compiler.lookup import joined
from chainrule.compiler.plan import NativePlan, Place
from chainrule.compiler.pullback import Backward
from chainrule.compiler.shared import Shared
from chainrule.compiler.trace import Trace
from chainrule.engine import Record
from chainrule.errors import GraphError
from chainrule.graph import Graph
from chainrule.primitive import Array
from chainrule.settings import current, guarded
from chainrule.tensor import Tensor, wrap

GRADIENT, WRITTEN, KEPT, PACKED = 1, 2, 4, 8
"""Flags of an array of state. GRADIENT: it is the gradient of a tensor. WRITTEN: the plan writes
it. KEPT: the executable keeps its memory. PACKED: the plan reads a transposed copy, which is
updated when the tensor has changed."""


class NativeExecutable(Executable):
    """Runs a program of the engine, which reads and writes the state."""

    plan: NativePlan
    record: Record

    def __init__(self, trace: Trace, guards: Guards, graph: Graph, args: tuple[Any, ...]) -> None:
        super().__init__(trace, guards, args)
        self.plan = plan = native_plan(graph, trace)
        self.backwards = [Backward(pullback, NativePlan) for pullback in trace.pullbacks]
        given = len(trace.given)
        self._first_result = len(graph.inputs)
        self._state: list[tuple[int, Tensor, int]] = [
            (at, s.tensor, self._role(at, s)) for at, s in enumerate(trace.reads, given)
        ]
        written = {slot.key for slot in trace.writes if slot.in_place}
        self._in_place = {i for i, slot in enumerate(trace.reads) if slot.key in written}
        answers = len(plan.places) - len(trace.writes)
        self._answers = plan.places[:answers]
        self._stores: list[tuple[Slot, Place]] = []
        self._bind_writes(plan.places[answers:])
        self._fixed = not (trace.swaps or isinstance(trace.structure, Shared | tuple | list | dict))
        self._needs_leaves = trace.needs_leaves
        self._has_effects = bool(self._stores or trace.cleared or trace.separated)
        plain = not (self.backwards or trace.swaps or trace.arguments)
        self._is_plain = plain and (trace.is_one or trace.is_flat)
        self._kept: dict[int, Array] = {}
        self._shown: list[Tensor] = []
        self.record = self._recorded(args)
        free = tuple(range(given)), frozenset[Tensor](), None
        self._plain = self.record._replace(
            settings=(), pattern=(Tensor,) * given, limits=free, fits=None, watched=(), finish=None
        )

    def _recorded(self, args: tuple[Any, ...]) -> Record:
        """The record of calls with arguments like these."""
        trace, results = self.trace, range(self._first_result, len(self.plan.slots))
        new = set(results) - {at for at, _, _ in self._state}
        answer, (pattern, limits) = self._slots_of_tensors(new), self._arguments(args)
        self._gives_tensors = answer is not None
        checks = bool(trace.swaps or self._stores or trace.arguments or self.guards.checks)
        return self.plan.program.record(
            settings=tuple(current()),
            pattern=pattern,
            limits=limits,
            fits=self._fits if checks else None,
            watched=self._watched(),
            state=tuple(self._state),
            own=self._own,
            refuse=self._refuse,
            made=tuple([slot in new for slot in results]),
            answer=answer,
            finish=self._finish,
            always=not self._gives_tensors or self._has_effects or bool(trace.freed),
        )

    def _slots_of_tensors(self, new: set[int]) -> int | tuple[int, ...] | None:
        """The slot, or a tuple of slots, of the results of which the engine makes the tensors that
        a call returns; None if the code here arranges what is returned. `new`: slots that get new
        arrays."""
        slots = tuple([at for kind, at in self._answers if kind == "slot" and at in new])
        if self._stores or not self._is_plain or len(slots) < len(self._answers):
            return None
        return slots[0] if self.trace.is_one else slots

    def _arguments(self, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The pattern of the arguments, in which Tensor stands for any tensor, and their limits;
        see engine/cpp/runtime/doors.h."""
        trace, leaves = self.trace, _tensors_of(args)
        given = [leaves[number] for number in trace.given]
        ids, state = list(map(id, given)), set(map(id, self._leaves.values()))
        pattern = tree.map_leaves(
            lambda x: Tensor if isinstance(x, Tensor) and id(x) not in state else x, args
        )
        if any(x._requires_grad or layout_if_other(x._data) for x in given):
            # The engine takes arrays in order only, without gradients.
            pattern = (MISSED,) * len(args)
        writes = any(not slot.is_grad for slot in trace.writes)
        firsts = tuple([ids.index(key) for key in ids])
        return pattern, (firsts, frozenset(self.known.values()), self.is_apart if writes else None)

    def _watched(self) -> tuple[Any, ...]:
        """What the engine checks at each call: the guards, the default dtype of the process, and
        entries of tensors. It sees the specs of state. Those of other tensors change only with
        their versions."""
        slots = map(vars(Tensor).get, ("_requires_grad", "_grad", "_hooks", "_version"))
        requires_grad, grad, hooks, version = slots
        self._versions = [t._version for t in self._unread]
        entries = [*self.guards.entries, *guarded()]
        entries += [(t, requires_grad, r) for t, r, _, _ in self._specs]
        entries += [(t, grad, None) for t in self.trace.without_grad]
        entries += [(t, version, t._version) for t in self._unread]
        entries += [(t, hooks, t._hooks) for t, r, _, _ in self._specs if r]
        hooked = [t._hooks for t, *_ in self._specs if t._hooks is not None]
        entries += [(own, None, len(own)) for own in hooked]
        entries += [(own, i, hook) for own in hooked for i, hook in enumerate(own)]
        return tuple([part for entry in joined(entries) for part in entry])

    def _role(self, at: int, slot: Slot) -> int:
        written, packed = at in self.plan.in_place, at in self.plan.packed
        return slot.is_grad * GRADIENT | written * WRITTEN | packed * PACKED

    def _bind_writes(self, places: list[Place]) -> None:
        """Decide how each new value of state is stored. A new gradient gets memory that this
        executable keeps. Other values are stored after a run, unless the plan writes in place."""
        known = {slot.key for slot in self.trace.reads}
        slots = [at for kind, at in self.plan.places if kind == "slot"]
        for slot, place in zip(self.trace.writes, places, strict=True):
            kind, at = place
            own = kind == "slot" and at >= self._first_result and slots.count(at) == 1
            if own and slot.is_grad and slot.key not in known:
                self._state.append((at, slot.tensor, GRADIENT | WRITTEN | KEPT))
            elif not (kind == "slot" and at in self.plan.in_place):
                self._stores.append((slot, place))

    def __call__(self, args: tuple[Any, ...]) -> Any:
        return engine.native_replay(self.record, args, MISSED)

    def _fits(self, args: tuple[Any, ...]) -> bool:
        """Whether what the engine does not check is as it was."""
        if not self.guards.checks_hold() or self._unfit_swap() is not None:
            return False
        if self._shares_what_is_stored() and self._now_sharing() != self._sharing:
            return False
        return not (self.trace.arguments and self.shares(_tensors_of(args)))

    def _shares_what_is_stored(self) -> bool:
        return any(slot.tensor._alias is not None for slot, _ in self._stores)

    def on(self, leaves: list[Tensor]) -> Any:
        if [t._version for t in self._unread] != self._versions:
            # They were written, and have the same specs.
            self.record = self.record._replace(watched=self._watched())
        given = [leaves[number]._data for number in self.trace.given]
        arrays = [np.require(x, requirements=["C", "ALIGNED"]) for x in given]
        results = engine.native_replay(self._plain, tuple([wrap(x) for x in arrays]), MISSED)
        if results is MISSED:
            raise GraphError("the state of a compiled function does not fit its plan")
        return self._finish(results, leaves)

    def _refuse(self, outcome: Any) -> NoReturn:
        """Raise the error of a run that failed."""
        try:
            self.plan.program.refuse(outcome)
        except engine.Unmet as unmet:
            raise self.trace.requirements[unmet.number] from None

    def _finish(self, results: Any, args: Sequence[Any]) -> Any:
        """What a call returns, after what is left to do in Python. The engine calls this."""
        if self._has_effects or self._shown:
            self._store(results)
        leaves = _tensors_of(args) if self._needs_leaves else []
        if self._is_plain:
            return self._plain_answer(results, leaves)
        if not self._answers and self._fixed:
            return self.trace.structure
        return self.answer([self._array(p, results) for p in self._answers], leaves)

    def _plain_answer(self, results: Any, leaves: list[Tensor]) -> Any:
        """One tensor or a tuple of them, whose histories, if they have any, are freed."""
        trace = self.trace
        if not self._gives_tensors:
            results = [wrap(self._array(place, results)) for place in self._answers]
        elif trace.is_one:
            results = [results]
        for freed in trace.freed:
            freed.record(results[freed.result], leaves)
        return results[0] if trace.is_one else tuple(results)

    def _store(self, results: Sequence[Any]) -> None:
        """Write the state that the plan does not write in place."""
        self.trace.leave_others()
        while self._shown:
            if (shown := self._shown.pop())._alias is not None:
                aliases.spread(shown)
        for slot, place in self._stores:
            slot.store(self._array(place, results))
        for slot in self.trace.cleared:
            slot.tensor._grad = None

    def _array(self, place: Place, results: Sequence[Any]) -> Array:
        kind, at = place
        if kind == "constant":
            return at
        array = results[at - self._first_result] if at >= self._first_result else None
        return self.plan.program.bound(at) if array is None else array

    def _own(self, number: int) -> Array | None:
        """An array for the state of this number, to which no other reference exists, or None.

        The engine calls this. It holds no reference to the previous array.
        """
        at, tensor, role = self._state[number]
        if role & KEPT:
            return self._gradient(at, tensor)
        holder = tensor._grad if role & GRADIENT else tensor
        if holder is None:
            return None
        in_place = number in self._in_place
        if role & GRADIENT and not in_place and sys.getrefcount(holder) > 3:
            # There is another reference than its tensor, this name and the argument.
            tensor._grad = holder = wrap(holder._data)
        array = holder._data
        flags = array.flags
        plain = flags.owndata and flags.c_contiguous and flags.aligned and flags.writeable
        if not plain or sys.getrefcount(array) > 3:
            written = role & WRITTEN and not role & GRADIENT
            if written and self._may_share(holder) and self._now_sharing() != self._sharing:
                return None  # the guards that `broken` checks do not hold
            is_private = flags.owndata or _is_private(array)
            array = array.copy()
            if is_private or role & WRITTEN:
                holder._data = array
            if role & WRITTEN and (in_place or not role & GRADIENT):
                self._shown.append(holder)  # it may have aliases, which are updated after the run
            # Otherwise another object owns the memory and may change it: it is copied at each call.
        if role & PACKED:
            engine.copy(array.T, self.plan.packed[at])
        return array

    def _gradient(self, at: int, tensor: Tensor) -> Array:
        """Memory for a new gradient: that of the last call if no other reference to it exists."""
        array, g = self._kept.pop(at, None), tensor._grad
        mine = g is not None and g._data is array
        shared = mine and sys.getrefcount(g) > 3  # its tensor, this name, the argument
        if array is None or shared or sys.getrefcount(array) > 2 + mine:
            value = self.plan.slots[at]
            array, mine = np.empty(value.shape, value.dtype), False
        if not mine:
            tensor._grad = wrap(array)
        self._kept[at] = array
        return array


def native_plan(graph: Graph, trace: Trace) -> NativePlan:
    """The engine's plan of a graph that was captured as `trace`."""
    first = len(graph.inputs) - len(trace.reads)
    numbers = {slot.key: first + i for i, slot in enumerate(trace.reads)}
    updates = [numbers.get(slot.key) for slot in trace.writes]
    changed = {slot.key for slot in trace.writes}
    weights = zip(graph.inputs[first:], trace.reads, strict=True)
    frozen = {v for v, slot in weights if not slot.is_grad and slot.key not in changed}
    return NativePlan(graph, updates, len(trace.requirements), frozen)


def _tensors_of(args: Sequence[Any]) -> list[Tensor]:
    return [x for x in tree.flatten(args) if isinstance(x, Tensor)]


def _is_private(view: Array) -> bool:
    """Whether only this array refers to the array whose memory it shows."""
    base = view.base
    # The references are those of the view, of this name, and of the argument of getrefcount.
    return isinstance(base, np.ndarray) and base.flags.owndata and sys.getrefcount(base) == 3
