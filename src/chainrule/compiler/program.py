"""`cr.compile`: a function, usually a whole training step, as a program that runs in one go."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from chainrule import engine, tree
from chainrule.compiler.capture import Trace, capture
from chainrule.compiler.guards import Entry, Guards
from chainrule.compiler.native import NativePlan
from chainrule.compiler.passes import optimize
from chainrule.compiler.plan import Plan
from chainrule.compiler.replay import MISSED, Replay
from chainrule.compiler.report import table
from chainrule.errors import CaptureError
from chainrule.graph import Graph
from chainrule.settings import Settings, current
from chainrule.tensor import Tensor

MOST_PROGRAMS = 16
"""How many programs one function may have; the oldest goes first."""


class Program:
    """One capture of a function: its graph, the passes' result, the plan, and the guards."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.settings = current()
        self.guards = Guards(function)
        self.trace: Trace = capture(function, args, keeps_gradients=False)
        self.graph: Graph = optimize(self.trace.graph)
        state = {id(s.tensor): s.tensor for s in [*self.trace.reads, *self.trace.writes]}
        self._state = [(t, t._requires_grad, t.shape, t.dtype) for t in state.values()]
        self._with_grad = [slot.tensor for slot in self.trace.reads if slot.is_grad]
        self.plan: Plan | NativePlan
        if engine.available() and self.settings.engine == "native":
            self.plan = native_plan(self.graph, self.trace)
            watched: list[Entry] = [(t, "_requires_grad", r) for t, r, _, _ in self._state]
            watched += [(t, "_grad", None) for t in self.trace.without_grad]
            self.replay = Replay(self.plan, self.trace, args, [*self.guards.entries, *watched])
        else:
            self.plan = Plan(self.graph)

    def broken(self) -> str | None:
        """What no longer is as it was during the capture, or None."""
        for tensor, requires_grad, shape, dtype in self._state:
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
        return self.guards.broken()

    def run(self, leaves: list[Tensor]) -> Any:
        """Read the state, run the plan, write the state, return the results."""
        if isinstance(self.plan, NativePlan):
            return self.replay.on(leaves)
        arrays = [x._data for x in leaves] + [slot.load() for slot in self.trace.reads]
        return self.trace.finish(self.plan.run(arrays))

    def report(self) -> str:
        """Time, operations and bytes of each instruction, and the memory; writes no state."""
        given = len(self.graph.inputs) - len(self.trace.reads)
        arrays = [np.zeros(v.shape, v.dtype) for v in self.graph.inputs[:given]]
        return table(self.plan, arrays + [slot.load() for slot in self.trace.reads])

    def __str__(self) -> str:
        return f"captured {self.trace.graph}\n\nafter the passes {self.graph}"


def native_plan(graph: Graph, trace: Trace) -> NativePlan:
    """The engine's program for a graph that was captured as `trace`."""
    first = len(graph.inputs) - len(trace.reads)
    numbers = {slot.key: first + i for i, slot in enumerate(trace.reads)}
    updates = [numbers.get(slot.key) for slot in trace.writes]
    changed = {slot.key for slot in trace.writes}
    weights = zip(graph.inputs[first:], trace.reads, strict=True)
    frozen = {v for v, slot in weights if not slot.is_grad and slot.key not in changed}
    return NativePlan(graph, updates, len(trace.requirements), frozen)


class Compiled:
    """A function that runs as compiled programs, one for each signature of its arguments."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.captures = 0
        self._programs: dict[Any, list[Program]] = {}
        self._last: Program | None = None

    def __call__(self, *args: Any) -> Any:
        settings = current()
        last = self._last
        if last is not None and (last.settings is settings or last.settings == settings):
            result = last.replay(args)
            if result is not MISSED:
                return result
        if settings.interpreter is not None:
            return self.function(*args)  # inside another capture, or watched for anomalies
        leaves = tree.flatten(args)
        key = _signature(args, leaves, settings)
        reason = None
        for program in self._programs.get(key, ()):
            reason = program.broken()
            if reason is None:
                break
        else:
            program = self._capture(key, args, reason)
        self._last = program if isinstance(program.plan, NativePlan) else None
        return program.run([x for x in leaves if isinstance(x, Tensor)])

    def _capture(self, key: Any, args: tuple[Any, ...], reason: str | None) -> Program:
        program = Program(self.function, args)
        self.captures += 1
        if len(self.programs) == MOST_PROGRAMS:
            oldest = next(iter(self._programs))
            self._programs[oldest].pop()
            if not self._programs[oldest]:
                del self._programs[oldest]
        self._programs[key] = [program, *self._programs.pop(key, [])]
        if self.captures == 2 * MOST_PROGRAMS:
            warnings.warn(
                f"{getattr(self, '__name__', 'a compiled function')} was captured {self.captures} "
                f"times, the last because of {reason or 'a new shape'}; a value that changes at "
                "each call should be a tensor",
                stacklevel=3,
            )
        return program

    @property
    def programs(self) -> list[Program]:
        """The programs there are: for each signature, the newest first."""
        return [program for programs in self._programs.values() for program in programs]


def compile(function: Callable[..., Any]) -> Compiled:
    """Run a function of tensors as one program: captured once, improved by passes, then replayed.

    A whole training step fits: forward, loss, `backward`, clipping, the optimizer's update, random
    numbers, running statistics. State (parameters, buffers, optimizer state, gradients, learning
    rates, the random state) is found by itself. What the capture takes for granted is guarded; when
    it no longer holds, or the arguments have other shapes, the function is captured again.

    Raises CaptureError for what depends on numbers: `.item()`, `if tensor:`, `.numpy()`, and for
    tensors kept outside by other means than `assign`. The results carry no gradient: call
    `backward` inside.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, 2.0], requires_grad=True)
    >>> @cr.compile
    ... def step(x):
    ...     loss = ((w * x) ** 2).sum()
    ...     loss.backward()
    ...     with cr.no_grad():
    ...         w.assign(w - 0.1 * w.grad)
    ...     w.grad = None
    ...     return loss
    >>> step(cr.tensor([1.0, 1.0])), step(cr.tensor([1.0, 1.0]))
    (tensor(5.), tensor(3.2))
    """
    return Compiled(function)


def _signature(args: tuple[Any, ...], leaves: list[Any], settings: Settings) -> Any:
    """What tells one program of a function from another: specs, plain values, structure, mode."""
    parts: list[Any] = [settings.gradients, settings.default_dtype, settings.engine]
    for leaf in leaves:
        if isinstance(leaf, Tensor):
            if leaf._requires_grad:
                raise CaptureError(
                    "an argument of a compiled function requires gradients",
                    instead="Pass x.detach(); what to differentiate by is found as state, by name.",
                )
            parts.append((leaf._data.shape, leaf._data.dtype))
        elif isinstance(leaf, float):
            parts.append((type(leaf), leaf.hex()))  # tells 0.0 from −0.0
        elif isinstance(leaf, Hashable):
            parts.append((type(leaf), leaf))
        else:
            raise CaptureError(
                f"an argument is a {type(leaf).__name__}, neither a tensor nor a plain value",
                instead="Convert arrays with cr.tensor(x).",
            )
    return (tuple(parts), _structure(args))


def _structure(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple((key, _structure(item)) for key, item in value.items())
    if isinstance(value, (tuple, list)):
        return (type(value), *map(_structure, value))
    return None
