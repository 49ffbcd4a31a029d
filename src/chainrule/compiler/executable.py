"""Executables: a plan that is bound to the state that it reads and writes, and to guards.

An executable belongs to one capture of a function. The engine checks the guards, finds the arrays,
runs the plan and writes new state, in one call (see engine/cpp/runtime/replay.cpp). The code here
prepares that call once, provides other arrays for state where the engine cannot use the present
ones, and returns the results.

The engine writes state in place only into an array to which no other reference exists. If there is
one (from `.numpy()`, a view or a saved value), that array keeps its numbers, and the tensor gets a
copy.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule import aliases, engine, tree
from chainrule.compiler.arguments import layout_if_other
from chainrule.compiler.capture import Slot
from chainrule.compiler.guards import Guards
from chainrule.compiler.lookup import Entry
from chainrule.compiler.passes import optimize
from chainrule.compiler.plan import NativePlan, Place, Plan, ReferencePlan
from chainrule.compiler.pullback import Backward
from chainrule.compiler.repeat import repeatable_capture
from chainrule.compiler.report import table
from chainrule.compiler.shared import Shared
from chainrule.compiler.trace import Trace
from chainrule.errors import GraphError
from chainrule.graph import Graph
from chainrule.primitive import Array
from chainrule.settings import Settings, current
from chainrule.tensor import Tensor, wrap

GRADIENT, WRITTEN, KEPT, PACKED = 1, 2, 4, 8
"""Flags of an array of state. GRADIENT: it is the gradient of a tensor. WRITTEN: the plan writes
it. KEPT: the executable keeps its memory. PACKED: the plan reads a transposed copy, which is
updated when the tensor has changed."""

MISSED = object()
"""The result of a call that did not run, because a guard does not hold or an argument does not
fit."""


class Executable(ABC):
    """A function that was captured for arguments of one signature. Its subclasses are final.

    trace: the result of the capture.
    known: tensors that the function reaches by itself, by id. They are no other arguments.
    plan: the steps, after the passes.
    backward: the program of the derivative, where results carry gradients.
    """

    plan: Plan
    backward: Backward | None = None

    def __init__(self, trace: Trace, guards: Guards, args: Any) -> None:
        self.settings, self.default_dtype = current(), current().default_dtype
        self.trace, self.guards = trace, guards
        state = {id(s.tensor): s.tensor for s in [*trace.reads, *trace.writes]}
        self.known = {**state, **guards.tensors}
        leaves = [x for x in tree.flatten(args) if isinstance(x, Tensor)]
        self._leaves = {i: x for i, x in enumerate(leaves) if i not in trace.given}
        self._specs = [(t, t._requires_grad, t.shape, t.dtype) for t in state.values()]
        self._sharing = self._now_sharing()
        self._with_grad = [slot.tensor for slot in trace.reads if slot.is_grad]
        self._hooks = [(t, tuple(t._hooks or ())) for t in state.values()]

    @abstractmethod
    def __call__(self, args: Any) -> Any:
        """Run for these arguments: the result of the function, or MISSED."""

    def answer(self, arrays: Sequence[Array], leaves: Sequence[Tensor]) -> Any:
        """The result of the function, recorded on the tape where it carries gradients."""
        trace, backward = self.trace, self.backward
        if backward is None:
            value = trace.answer(arrays, leaves)
        else:
            saved = arrays[trace.results + len(trace.arguments) :]
            value = trace.answer(arrays, leaves, lambda ys: backward.record(ys, saved, leaves))
        for swap in trace.swaps:
            if swap.value is None:
                swap.attributes[swap.name] = wrap(swap.state._data)
            else:
                swap.attributes[swap.name] = swap.value.tensor(leaves, ())
        return value

    @abstractmethod
    def on(self, leaves: list[Tensor]) -> Any:
        """As a call, for arguments that are known to fit and whose arrays may have any layout."""

    @property
    def graph(self) -> Graph:
        """The graph that runs: the captured graph after the passes."""
        return self.plan.graph

    def broken(self) -> str | None:
        """The first thing that has changed since the capture, in words, or None."""
        for tensor, requires_grad, shape, dtype in self._specs:
            data = tensor._data
            if data.shape != shape or data.dtype is not dtype:
                return f"the spec of a tensor that was {dtype}{shape}"
            if tensor._requires_grad is not requires_grad:
                return f"requires_grad of a tensor {dtype}{shape}"
        for tensor in self._with_grad:
            if tensor._grad is None:
                return f"a gradient of a tensor {tensor.spec} that is gone"
        for tensor in self.trace.without_grad:
            if tensor._grad is not None:
                return f"a gradient of a tensor {tensor.spec} that was not there"
        for tensor, hooks in self._hooks:
            if tuple(tensor._hooks or ()) != hooks:
                return f"the hooks of a tensor {tensor.spec}"
        if self._now_sharing() != self._sharing:
            return "which tensors share numbers"
        return self._unfit_swap() or self.guards.broken()

    def _now_sharing(self) -> list[int]:
        """For each tensor of state, the number of the first with which it shares numbers."""
        first: dict[int, int] = {}
        homes = [id(aliases.storage(tensor)) for tensor, *_ in self._specs]
        return [first.setdefault(home, number) for number, home in enumerate(homes)]

    def _unfit_swap(self) -> str | None:
        """Read the present tensors of attributes that the program sets to others. Returns the name
        of the first that does not fit, or None."""
        for swap in self.trace.swaps:
            now, state = swap.attributes.get(swap.name), swap.state
            if not isinstance(now, Tensor):
                return swap.name
            if now._data is not state._data:
                if now.spec != state.spec or now._requires_grad or id(now) in self.known:
                    return swap.name
                state._data, state._version = now._data, state._version + 1
            if now._alias is not None and (self.trace.arguments or not self.is_apart(now)):
                return swap.name
        return None

    def suits(self, settings: Settings) -> bool:
        """Whether the function was captured under these settings."""
        return self.settings == settings and self.default_dtype == settings.default_dtype

    def takes(self, leaves: Sequence[Tensor]) -> bool:
        """Whether tensors can be arguments: those that were state are the same, and no others are
        state."""
        given = self.trace.given
        return all(
            (id(x) not in self.known) if number in given else x is self._leaves[number]
            for number, x in enumerate(leaves)
        )

    def shares(self, leaves: Sequence[Tensor]) -> bool:
        """Whether a write would have to reach a tensor that the program reads as another one."""
        written = [slot.tensor for slot in self.trace.writes if not slot.is_grad]
        if not written and not self.trace.arguments:
            return False
        given = {id(leaves[number]): leaves[number] for number in self.trace.given}.values()
        homes = [id(aliases.storage(x)) for x in given]
        own = {id(aliases.storage(leaves[number])) for number in self.trace.arguments}
        state = [t for t, *_ in self._specs] if own else written
        others = {id(aliases.storage(x)) for x in state}
        return any(home in others or (home in own and homes.count(home) > 1) for home in homes)

    def is_apart(self, x: Tensor) -> bool:
        """Whether a tensor shares no numbers with state that the program writes."""
        home = aliases.storage(x)
        written = (slot.tensor for slot in self.trace.writes if not slot.is_grad)
        return all(aliases.storage(tensor) is not home for tensor in written)

    def report(self) -> str:
        """A table of the time, operations and bytes of each instruction. Writes no state."""
        given = len(self.graph.inputs) - len(self.trace.reads)
        arrays = [np.zeros(v.shape, v.dtype) for v in self.graph.inputs[:given]]
        return table(self.plan, arrays + [slot.load() for slot in self.trace.reads])

    def __str__(self) -> str:
        return f"captured {self.trace.graph}\n\nafter the passes {self.graph}"


def executable_of(
    function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]
) -> Executable:
    """Capture a function for these arguments, optimize the graph, and plan it."""
    trace, guards = repeatable_capture(function, args, named)
    graph = optimize(trace.graph)
    native = engine.available() and current().engine == "native"
    kind = NativeExecutable if native else ReferenceExecutable
    return kind(trace, guards, graph, (*args, named) if named else args)


class ReferenceExecutable(Executable):
    """Reads the state, runs the plan, writes the state."""

    def __init__(self, trace: Trace, guards: Guards, graph: Graph, args: Any) -> None:
        super().__init__(trace, guards, args)
        self.plan = ReferencePlan(graph)
        if trace.pullback is not None:
            self.backward = Backward(trace.pullback, ReferencePlan)

    def __call__(self, args: Any) -> Any:
        return MISSED  # guards are checked by `Compiled`; only the engine checks them in a call

    def on(self, leaves: list[Tensor]) -> Any:
        arrays = [leaves[number]._data for number in self.trace.given]
        arrays += [slot.load() for slot in self.trace.reads]
        results = self.trace.finish(self.plan.run(arrays))
        return self.answer(results, leaves)


class NativeExecutable(Executable):
    """Runs a program of the engine, which reads and writes the state."""

    plan: NativePlan

    def __init__(self, trace: Trace, guards: Guards, graph: Graph, args: Any) -> None:
        super().__init__(trace, guards, args)
        self.plan = plan = native_plan(graph, trace)
        if trace.pullback is not None:
            self.backward = Backward(trace.pullback, NativePlan)
        given = len(trace.given)
        self._first_result = first_result = len(graph.inputs)
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
        carries = trace.needs_leaves or any(swap.value for swap in trace.swaps)
        self._needs_leaves = bool(trace.arguments) or trace.pullback is not None or carries
        self._kept: dict[int, Array] = {}
        self._shown: list[Tensor] = []
        bound = {at for at, _, _ in self._state}
        spares = [
            None if first_result + i in bound else engine.Spares(v.shape, v.dtype)
            for i, v in enumerate(plan.slots[first_result:])
        ]
        memory = tuple([s and (s.arrays, s.make) for s in spares])
        checked, state = (*guards.entries, *self._watched()), tuple(self._state)
        free: tuple[Any, ...] = tuple(range(given)), frozenset(), None
        replayed = plan.program.replayed
        self._record = replayed(Tensor, *self._arguments(args), checked, state, self._own, memory)
        self._plain = replayed(Tensor, [Tensor] * given, free, (), state, self._own, memory)

    def _arguments(self, args: Any) -> tuple[Any, Any]:
        """The pattern of the arguments, in which Tensor stands for any tensor, and their limits;
        see engine/cpp/runtime/doors.h."""
        trace, leaves = self.trace, [x for x in tree.flatten(args) if isinstance(x, Tensor)]
        given = [leaves[number] for number in trace.given]
        ids, state = list(map(id, given)), set(map(id, self._leaves.values()))
        pattern = tree.map_leaves(
            lambda x: Tensor if isinstance(x, Tensor) and id(x) not in state else x, args
        )
        if any(x._requires_grad or layout_if_other(x._data) for x in given):
            pattern = MISSED  # the engine takes arrays in order only, without gradients
        writes = any(not slot.is_grad for slot in trace.writes)
        firsts = tuple([ids.index(key) for key in ids])
        return pattern, (firsts, frozenset(self.known.values()), self.is_apart if writes else None)

    def _watched(self) -> list[Entry]:
        """Entries of what the engine checks of the tensors that are state."""
        entries: list[Entry] = [(t, "_requires_grad", r) for t, r, _, _ in self._specs]
        entries += [(t, "_grad", None) for t in self.trace.without_grad]
        entries += [(t, "_hooks", t._hooks) for t, r, _, _ in self._specs if r]
        hooked = [t._hooks for t, *_ in self._specs if t._hooks is not None]
        return entries + [(hooks, None, len(hooks)) for hooks in hooked]

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

    def __call__(self, args: Any) -> Any:
        if self.trace.swaps and self._unfit_swap() is not None:
            return MISSED
        shared = any(slot.tensor._alias is not None for slot, _ in self._stores)
        if shared and self._now_sharing() != self._sharing:
            return MISSED
        return self._run(self._record, args, None)

    def on(self, leaves: list[Tensor]) -> Any:
        given = [leaves[number]._data for number in self.trace.given]
        arrays = [np.require(x, requirements=["C", "ALIGNED"]) for x in given]
        result = self._run(self._plain, [wrap(x) for x in arrays], leaves)
        if result is MISSED:
            raise GraphError("the state of a compiled function does not fit its plan")
        return result

    def _run(self, record: tuple[Any, ...], args: Any, leaves: list[Tensor] | None) -> Any:
        if leaves is None and self._needs_leaves:
            leaves = [x for x in tree.flatten(args) if isinstance(x, Tensor)]
            if self.trace.arguments and self.shares(leaves):
                return MISSED
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
                    tensor._grad = None  # it may be partially written
            raise
        self.trace.leave_others()
        while self._shown:
            if (shown := self._shown.pop())._alias is not None:
                aliases.spread(shown)
        for slot, place in self._stores:
            slot.store(self._array(place, results))
        for slot in self.trace.cleared:
            slot.tensor._grad = None
        if not self._answers and self._fixed:
            return self.trace.structure
        return self.answer([self._array(p, results) for p in self._answers], leaves or ())

    def _array(self, place: Place, results: list[Any]) -> Array:
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
            if written and holder._alias is not None and self._now_sharing() != self._sharing:
                return None  # the guards that `broken` checks do not hold
            array = array.copy()
            if flags.owndata or role & WRITTEN:
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
