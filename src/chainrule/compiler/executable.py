"""Executables: a plan that is bound to the state that it reads and writes, and to guards.

An executable belongs to one capture of a function. `ReferenceExecutable` runs its plan on the
references of the ops, and `NativeExecutable` (native_executable.py) as a program of the engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import aliases, engine, tree
from chainrule.compiler.guards import Guards
from chainrule.compiler.plan import Plan, ReferencePlan
from chainrule.compiler.pullback import Backward
from chainrule.compiler.report import table
from chainrule.compiler.trace import Trace
from chainrule.graph import Graph
from chainrule.primitive import Array
from chainrule.tensor import Tensor, wrap

MISSED = object()
"""The result of a call that did not run."""


class Executable(ABC):
    """A function that was captured for arguments of one signature. Its subclasses are final.

    trace: the result of the capture.
    known: tensors that the function reaches by itself, by id. They are no other arguments.
    plan: the steps, after the passes.
    record: how the engine calls it, if it does.
    backwards: the programs of derivatives, where results carry gradients.
    """

    plan: Plan
    record: engine.Record | None = None
    backwards: Sequence[Backward] = ()

    def __init__(self, trace: Trace, guards: Guards, args: Any) -> None:
        self.trace, self.guards = trace, guards
        state = {id(s.tensor): s.tensor for s in [*trace.reads, *trace.writes]}
        self.known = {**state, **guards.tensors}
        leaves = [x for x in tree.flatten(args) if isinstance(x, Tensor)]
        self._leaves = {i: x for i, x in enumerate(leaves) if i not in trace.given}
        self._tensors = list(state.values())
        self._specs = [(t, t._requires_grad, t.shape, t.dtype) for t in self.known.values()]
        self._sharing = self._now_sharing()
        self._some_share = self._sharing != [*range(len(self._sharing))]
        self._with_grad = [slot.tensor for slot in trace.reads if slot.is_grad]
        self._hooks = [(t, tuple(t._hooks or ())) for t in self._tensors]
        self._unread = [t for key, t in guards.tensors.items() if key not in state]

    @abstractmethod
    def __call__(self, args: tuple[Any, ...]) -> Any:
        """Run for these arguments: the result of the function, or MISSED if other settings hold, a
        guard does not, or the arguments do not fit."""

    def answer(self, arrays: Sequence[Array], leaves: Sequence[Tensor]) -> Any:
        """The result of the function, recorded on the tape where it carries gradients."""
        trace = self.trace

        def record(results: Sequence[Tensor]) -> None:
            first = trace.results + len(trace.arguments)
            for backward in self.backwards:
                saved = arrays[first : first + backward.saved]
                backward.record(results, saved, leaves)
                first += backward.saved

        value = trace.answer(arrays, leaves, record)
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
        homes = [id(aliases.storage(tensor)) for tensor in self._tensors]
        return [first.setdefault(home, number) for number, home in enumerate(homes)]

    def _may_share(self, tensor: Tensor) -> bool:
        """Whether a tensor of state shares numbers, or some of them did in the capture."""
        return tensor._alias is not None and (self._some_share or aliases.is_shared(tensor))

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
        state = self._tensors if own else written
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


class ReferenceExecutable(Executable):
    """Reads the state, runs the plan, writes the state."""

    def __init__(self, trace: Trace, guards: Guards, graph: Graph, args: Any) -> None:
        super().__init__(trace, guards, args)
        self.plan = ReferencePlan(graph)
        self.backwards = [Backward(pullback, ReferencePlan) for pullback in trace.pullbacks]

    def __call__(self, args: tuple[Any, ...]) -> Any:
        return MISSED  # only the engine checks guards in a call

    def on(self, leaves: list[Tensor]) -> Any:
        arrays = [leaves[number]._data for number in self.trace.given]
        arrays += [slot.load() for slot in self.trace.reads]
        results = self.trace.finish(self.plan.run(arrays))
        return self.answer(results, leaves)
