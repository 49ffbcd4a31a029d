"""Replay: one call of a compiled function on the native engine, from arguments to new state.

The engine finds the arrays, binds them and runs the plan in one call
(engine/cpp/runtime/replay.cpp); what is here prepares that once, helps where an array cannot be
used as it is, and hands out results.

State that the program writes in place must be nobody else's: an array that somebody holds, by
`.numpy()`, a view or a saved value, keeps its numbers, and the tensor goes on with a copy.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from chainrule import engine, tree
from chainrule.compiler.capture import Slot, Trace
from chainrule.compiler.guards import Entry
from chainrule.compiler.native import NativePlan, Place
from chainrule.errors import GraphError
from chainrule.primitive import Array
from chainrule.tensor import Tensor, wrap

GRADIENT, WRITTEN, KEPT, PACKED = 1, 2, 4, 8
"""Of an array of state: a tensor's gradient; the program writes it; its memory is kept here; the
program reads a transposed copy, made anew when the tensor has changed."""

MISSED = object()
"""Stands for what a program returns that does not fit any more."""


class Replay:
    """A native plan, bound to the state that it reads and writes."""

    def __init__(self, plan: NativePlan, trace: Trace, args: Any, watched: list[Entry]) -> None:
        self.plan, self.trace = plan, trace
        given = len(plan.graph.inputs) - len(trace.reads)
        first_result = len(plan.graph.inputs)
        self._state: list[tuple[int, Tensor, int]] = [
            (at, s.tensor, s.is_grad * GRADIENT | (at in plan.in_place) * WRITTEN
             | (at in plan.packed) * PACKED)
            for at, s in enumerate(trace.reads, given)
        ]  # fmt: skip
        answers = len(plan.places) - len(trace.writes)
        self._answers = plan.places[:answers]
        self._stores: list[tuple[Slot, Place]] = []
        known = {slot.key for slot in trace.reads}
        slots = [at for kind, at in plan.places if kind == "slot"]
        for slot, place in zip(trace.writes, plan.places[answers:], strict=True):
            kind, at = place
            own = kind == "slot" and at >= first_result and slots.count(at) == 1
            if own and slot.is_grad and slot.key not in known:
                self._state.append((at, slot.tensor, GRADIENT | WRITTEN | KEPT))
            elif not (kind == "slot" and at in plan.in_place):
                self._stores.append((slot, place))
        bound = {at for at, _, _ in self._state}
        self._kept: dict[int, Array] = {}
        spares = [
            None if first_result + i in bound else engine.Spares(v.shape, v.dtype)
            for i, v in enumerate(plan.slots[first_result:])
        ]
        memory = tuple([s and (s.arrays, s.make) for s in spares])
        self._first_result = first_result
        pattern = tree.map_leaves(lambda x: Tensor if isinstance(x, Tensor) else x, args)
        state = tuple(self._state)
        replayed = plan.program.replayed
        self._record = replayed(Tensor, pattern, tuple(watched), state, self._own, memory)
        self._plain = replayed(Tensor, [Tensor] * given, (), state, self._own, memory)

    def __call__(self, args: Any) -> Any:
        """What the function returns, or MISSED when something is not as it was."""
        return self._run(self._record, args)

    def on(self, leaves: list[Tensor]) -> Any:
        """The same for arguments known to fit, whose arrays may lie in any order."""
        arrays = [np.require(x._data, requirements=["C", "ALIGNED"]) for x in leaves]
        result = self._run(self._plain, [wrap(x) for x in arrays])
        if result is MISSED:
            raise GraphError("the state of a compiled function does not fit its program")
        return result

    def _run(self, record: tuple[Any, ...], args: Any) -> Any:
        try:
            results = engine.native_replay(record, args)
            if results is None:
                return MISSED
            if results.__class__ is not list:
                self.plan.program.refuse(results)
        except engine.Unmet as unmet:
            raise self.trace.requirements[unmet.number] from None
        except BaseException:
            for _, tensor, role in self._state:
                if role & KEPT:
                    tensor._grad = None  # half-written, perhaps
            raise
        for slot, place in self._stores:
            slot.store(self._array(place, results))
        for slot in self.trace.cleared:
            slot.tensor._grad = None
        if self._answers:
            return self.trace.rebuild([self._array(p, results) for p in self._answers])
        return self.trace.structure

    def _array(self, place: Place, results: list[Any]) -> Array:
        kind, at = place
        if kind == "constant":
            return at
        array = results[at - self._first_result] if at >= self._first_result else None
        return self.plan.program.bound(at) if array is None else array

    def _own(self, number: int) -> Array | None:
        """An array that is nobody else's, for the state of this number; None if there is none.

        Called by the engine, which holds no reference to the array before.
        """
        at, tensor, role = self._state[number]
        if role & KEPT:
            return self._gradient(at, tensor)
        holder = tensor._grad if role & GRADIENT else tensor
        if holder is None:
            return None
        if role & GRADIENT and sys.getrefcount(holder) > 3:  # its tensor, this name, the argument
            tensor._grad = holder = wrap(holder._data)
        array = holder._data
        flags = array.flags
        plain = flags.owndata and flags.c_contiguous and flags.aligned and flags.writeable
        if not plain or sys.getrefcount(array) > 3:
            array = array.copy()
            if flags.owndata or role & WRITTEN:
                holder._data = array
            # Else others may write into this memory: it is read, and packed, at each call.
        if role & PACKED:
            engine.copy(array.T, self.plan.packed[at])
        return array

    def _gradient(self, at: int, tensor: Tensor) -> Array:
        """Memory for a gradient that is written anew: that of the last call, if it is free."""
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
