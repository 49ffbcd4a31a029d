"""Traces: the graph of what a function computes, with the state that it reads and writes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from chainrule import aliases, tree
from chainrule.compiler.arguments import Symbols, contents, labels_of, refuse_changes
from chainrule.compiler.capture import Capture, Slot, refuse_history
from chainrule.compiler.histories import Freed, Pullback, freed_results, pull_back
from chainrule.compiler.leaks import refuse_leaks
from chainrule.compiler.shared import Result, Shared, placed, shared
from chainrule.graph import Graph, Value
from chainrule.nn.module import Module
from chainrule.primitive import Array
from chainrule.settings import use
from chainrule.tensor import Tensor, wrap


@dataclass(eq=False)
class Trace:
    """What a function computes, as a graph that can be printed, checked and run.

    Calling a trace with tensors runs the graph op by op, with the same bits as the function, and
    writes the state.

    graph: its inputs are the arguments, then the state that is read. Its outputs are, in this
        order: the results, the new values of arguments that are written, the values that the
        pullbacks need, the conditions of `cr.require`, the new values of the state.
    reads, writes, cleared: the state that is read, that is written, and gradients set to None.
    without_grad: tensors that had no gradient when the function read it.
    requirements: the error of each condition.
    given: the numbers of the tensor arguments that are inputs. The others are state.
    arguments: the numbers of those that are written.
    with_grad: the numbers of those whose gradients are read or written.
    structure: the value that the function returned. In place of its tensors it has Result, or
        Shared for those that share numbers with others.
    pullbacks: the derivatives, if results carry gradients and they were asked for.
    swaps: attributes of modules that are set to other tensors.
    separated: tensors of state that are set by `x.data = value`.
    freed: results with a history that is freed.
    """

    graph: Graph
    reads: list[Slot]
    writes: list[Slot]
    cleared: list[Slot]
    without_grad: list[Tensor]
    requirements: list[Exception]
    given: list[int]
    arguments: list[int]
    with_grad: set[int]
    structure: Any
    pullbacks: list[Pullback] = field(default_factory=list)
    swaps: list[Swap] = field(default_factory=list)
    separated: list[Tensor] = field(default_factory=list)
    freed: list[Freed] = field(default_factory=list)

    def __post_init__(self) -> None:
        places = tree.flatten(self.structure)
        roots = [x.root if isinstance(x, Shared) else x for x in places]
        self.results = len({x for x in roots if isinstance(x, Result)})
        flat = tuple([Result(i) for i in range(self.results)])
        self.is_one, self.is_flat = self.structure == Result(0), self.structure == flat
        self._has_shared = any(isinstance(x, Shared) for x in places)

    @property
    def needs_leaves(self) -> bool:
        """Whether the answer depends on the tensor arguments."""
        freed = any(freed.depends_on_arguments for freed in self.freed)
        shared = self._has_shared or any(swap.value for swap in self.swaps)
        return bool(self.arguments or self.pullbacks) or shared or freed

    def __call__(self, *args: Any) -> Any:
        tensors = [leaf for leaf in tree.flatten(args) if isinstance(leaf, Tensor)]
        arrays = [x._numbers("a trace") for x in tensors]
        results = self.graph.run(*arrays, *[slot.load() for slot in self.reads])
        return self.answer(self.finish(results), tensors)

    def finish(self, results: list[Array]) -> list[Array]:
        """Check the conditions and write the state. Returns the outputs before these."""
        state = len(results) - len(self.writes)
        required = state - len(self.requirements)
        for holds, error in zip(results[required:state], self.requirements, strict=True):
            if not holds:
                raise error
        self.leave_others()
        for slot, array in zip(self.writes, results[state:], strict=True):
            slot.store(array)
        for slot in self.cleared:
            slot.tensor._grad = None
        return results[:required]

    def answer(
        self,
        arrays: Sequence[Array],
        leaves: Sequence[Tensor],
        record: Callable[[Sequence[Tensor]], Any] = lambda tensors: None,
    ) -> Any:
        """The value that the function returned, with tensors of these arrays, after `record` has
        recorded them on the tape. Writes the new values of arguments."""
        written = self.results + len(self.arguments)
        for number, array in zip(self.arguments, arrays[self.results : written], strict=True):
            Slot(leaves[number]).store(array)
        tensors = [wrap(array) for array in arrays[: self.results]]
        record(tensors)
        for freed in self.freed:
            freed.record(tensors[freed.result], leaves)
        if self.is_one:
            return tensors[0]
        if self.is_flat:
            return tuple(tensors)

        def result(y: Any) -> Any:
            if isinstance(y, Shared):
                return y.tensor(leaves, tensors)
            return tensors[y.number] if isinstance(y, Result) else y

        return tree.map_leaves(result, self.structure)

    def leave_others(self) -> None:
        """Separate tensors that are set by `x.data = value` from those that shared numbers."""
        for tensor in self.separated:
            aliases.leave(tensor)

    def separate(self) -> None:
        """Give each attribute that is set to another tensor a piece of state of its own.

        The tensor that it was set to before keeps its numbers, as in eager code.
        """
        for swap in self.swaps:
            old, swap.state = swap.state, wrap(swap.state._data)
            for slots in (self.reads, self.writes):
                slots[:] = [
                    replace(s, tensor=swap.state) if s.tensor is old and not s.is_grad else s
                    for s in slots
                ]

    def __str__(self) -> str:
        return str(self.graph)

    __repr__ = __str__


@dataclass(eq=False)
class Swap:
    """An attribute of a module that a function sets to another tensor of the same spec.

    state: the tensor in which a program reads and writes its numbers.
    value: the tensor that it is set to, if that shares numbers with an argument or with state.
    """

    attributes: dict[str, Any]
    name: str
    state: Tensor
    value: Shared | None


def trace(function: Callable[..., Any]) -> Callable[..., Trace]:
    """Capture what `function` computes for inputs of given specs, including backward passes.

    Returns a function of specs (or tensors, of which only the specs are used) that returns a Trace.
    Nothing is computed, and no tensor outside changes. Code that depends on numbers (`.item()`, `if
    tensor:`, `.numpy()`) raises CaptureError, which names the line.

    >>> import chainrule as cr
    >>> print(cr.trace(lambda x: (x * 2 + 1).relu())(cr.spec(3)))
    graph(x: float32(3,))
      t0: float32(3,) = mul(x, 2)   # ...
      t1: float32(3,) = add(t0, 1)  # ...
      t2: float32(3,) = relu(t1)    # ...
      return t2
    """

    def capture_for(*specs: Any, **named: Any) -> Trace:
        return capture(function, specs, named)

    return capture_for


def capture(
    function: Callable[..., Any],
    specs: tuple[Any, ...],
    named: dict[str, Any] | None = None,
    with_pullback: bool = False,
    at_end: Callable[[], Any] = lambda: None,
    state: Set[int] = frozenset(),
) -> Trace:
    """Run `function` under a capture; see `trace`. Other arguments are passed on unchanged.

    with_pullback: also capture the derivative of results that carry gradients.
    at_end: is called before the search for leaks.
    state: the ids of tensors among the arguments that are state, which the function also reaches
        in another way.
    """
    interpreter = Capture(_state_labels(function))
    symbols = Symbols(labels_of(function, specs, named or {}), state)
    arguments = tree.map_leaves(symbols.of, (specs, named or {}))
    interpreter.graph.inputs = symbols.inputs.copy()
    interpreter.arguments = symbols.numbers()
    before = contents(arguments)
    with use(interpreter=interpreter):
        result = function(*arguments[0], **arguments[1])
        refuse_changes(before, arguments)
        structure, found = _returned(result, interpreter.arguments if with_pullback else None)
        outputs = [interpreter.read(y) for y in found]
        freed = freed_results(interpreter, found) if with_pullback else []
        changed = symbols.changed()
        for i in changed:
            refuse_history(symbols.tensors[i])
        outputs += [symbols.tensors[i]._data for i in changed]
        swaps = _swaps(interpreter)
        pullbacks = pull_back(interpreter, found) if with_pullback else []
    outputs += [value for pullback in pullbacks for value in pullback.saved]
    given = [*symbols.given]
    del result, arguments, symbols, found
    written = interpreter.written()
    interpreter.let_go()
    at_end()
    refuse_leaks(interpreter, outputs, written)
    trace = _assemble(interpreter, outputs, written, given, changed, structure)
    trace.pullbacks, trace.freed = pullbacks, freed
    trace.swaps, trace.separated = swaps, interpreter.separated
    return trace


def _returned(result: Any, numbers: dict[int, int] | None) -> tuple[Any, list[Tensor]]:
    """The structure of a trace whose function returns `result`, and the outputs of its program."""
    found = [y for y in tree.flatten(result) if isinstance(y, Tensor)]
    places: Sequence[Any] = [*map(Result, range(len(found)))]
    if numbers is not None:
        places, found = placed(found, numbers)
    supply = iter(places)
    return tree.map_leaves(lambda y: next(supply) if isinstance(y, Tensor) else y, result), found


def _swaps(interpreter: Capture) -> list[Swap]:
    """The attributes of modules that the function has set to other tensors."""
    return [
        Swap(attributes, name, old, shared(new, interpreter.arguments))
        for attributes, name, old, new in interpreter.put_back()
    ]


def _assemble(
    interpreter: Capture,
    outputs: list[Value],
    written: list[tuple[Slot, Value | None]],
    given: list[int],
    changed: list[int],
    structure: Any,
) -> Trace:
    """Finish the graph. Tensors that were read are state, or constants if they no longer exist."""
    graph = interpreter.graph
    reads = []
    for (_, is_grad), (reference, value, data) in interpreter.reads.items():
        tensor = reference()
        if tensor is None:
            graph.constants[value] = data
        else:
            graph.inputs.append(value)
            reads.append(Slot(tensor, is_grad))
    kept = [(slot, value) for slot, value in written if value is not None]
    required = [value for value, _ in interpreter.requirements]
    errors = [error for _, error in interpreter.requirements]
    graph.outputs = outputs + required + [value for _, value in kept]
    graph.results = [""] * len(outputs) + ["required"] * len(required)
    graph.results += [interpreter.label(slot) for slot, _ in kept]
    writes = [slot for slot, _ in kept]
    cleared = [slot for slot, value in written if value is None]
    gradients = interpreter.gradients.values()
    absent = [g.slot.tensor for g in gradients if g.was_read and g.before is None]
    with_grad = interpreter.with_grad
    return Trace(
        graph.check(), reads, writes, cleared, absent, errors, given, changed, with_grad, structure
    )


def _state_labels(function: Callable[..., Any]) -> dict[int, str]:
    """Names for the state that a function can access: in its module, its closure, its globals."""
    target = inspect.unwrap(function) if callable(function) else function
    visible: dict[str, Any] = {"": getattr(target, "__self__", target)}
    if inspect.isfunction(target):
        closure = inspect.getclosurevars(target)
        visible |= {**closure.globals, **closure.nonlocals}
    labels: dict[int, str] = {}
    for name, value in visible.items():
        if isinstance(value, Tensor):
            labels[id(value)] = name
        elif isinstance(value, Module):
            for path, tensor in [*value.named_parameters(), *value.named_buffers()]:
                labels[id(tensor)] = path
    return labels
