"""Traces: the graph of what a function computes, with the state that it reads and writes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from chainrule import tape, tree
from chainrule.compiler.capture import Capture, Slot
from chainrule.compiler.leaks import refuse_leaks
from chainrule.graph import Graph, Value
from chainrule.primitive import Array, Spec
from chainrule.settings import use
from chainrule.tensor import Tensor, differentiate, wrap


class Pullback(NamedTuple):
    """The derivative of a trace whose results carry gradients, as a second graph.

    graph: its inputs are the values that the forward graph saved, then a gradient for each of
        `results`. Its outputs are the gradients by `targets`.
    results: the numbers of the results that carry gradients.
    targets: tensors of state, or numbers of tensor arguments.
    """

    graph: Graph
    results: list[int]
    targets: list[Tensor | int]


@dataclass(eq=False)
class Trace:
    """What a function computes, as a graph that can be printed, checked and run.

    Calling a trace with tensors runs the graph op by op, with the same bits as the function, and
    writes the state.

    graph: its inputs are the arguments, then the state that is read. Its outputs are, in this
        order: the results, the new values of arguments that are written, the values that the
        pullback needs, the conditions of `cr.require`, the new values of the state.
    reads, writes, cleared: the state that is read, that is written, and gradients set to None.
    without_grad: tensors that had no gradient when the function read it.
    requirements: the error of each condition.
    arguments: the numbers of the tensor arguments that are written.
    structure: the value that the function returned, with `RESULT` in place of its tensors.
    pullback: the derivative, if results carry gradients and it was asked for.
    """

    graph: Graph
    reads: list[Slot]
    writes: list[Slot]
    cleared: list[Slot]
    without_grad: list[Tensor]
    requirements: list[Exception]
    arguments: list[int]
    structure: Any
    pullback: Pullback | None = None

    def __post_init__(self) -> None:
        shape = self.structure
        self._is_flat = type(shape) is tuple and all(x is RESULT for x in shape)
        self.results = sum(x is RESULT for x in tree.flatten(shape))

    def __call__(self, *args: Any) -> Any:
        tensors = [leaf for leaf in tree.flatten(args) if isinstance(leaf, Tensor)]
        arrays = [x._numbers("a trace") for x in tensors]
        results = self.graph.run(*arrays, *[slot.load() for slot in self.reads])
        return self.answer(self.finish(results), tensors)[0]

    def finish(self, results: list[Array]) -> list[Array]:
        """Check the conditions and write the state. Returns the outputs before these."""
        state = len(results) - len(self.writes)
        required = state - len(self.requirements)
        for holds, error in zip(results[required:state], self.requirements, strict=True):
            if not holds:
                raise error
        for slot, array in zip(self.writes, results[state:], strict=True):
            slot.store(array)
        for slot in self.cleared:
            slot.tensor._grad = None
        return results[:required]

    def answer(self, arrays: Sequence[Array], leaves: Sequence[Tensor]) -> tuple[Any, list[Tensor]]:
        """The value that the function returned, with tensors of these arrays; and these tensors.
        Writes the new values of arguments."""
        written = self.results + len(self.arguments)
        for number, array in zip(self.arguments, arrays[self.results : written], strict=True):
            Slot(leaves[number]).store(array)
        tensors = [wrap(array) for array in arrays[: self.results]]
        if self.structure is RESULT:
            return tensors[0], tensors
        if self._is_flat:
            return tuple(tensors), tensors
        supply = iter(tensors)
        value = tree.map_leaves(lambda y: next(supply) if y is RESULT else y, self.structure)
        return value, tensors

    def __str__(self) -> str:
        return str(self.graph)

    __repr__ = __str__


RESULT = object()
"""Marks the place of a tensor in the structure that a function returned."""


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
) -> Trace:
    """Run `function` under a capture; see `trace`. Other arguments are passed on unchanged.

    `with_pullback`: also capture the derivative of results that carry gradients.
    """
    interpreter = Capture(_state_labels(function))
    given = (specs, named or {})
    names = iter(_argument_labels(function, specs, named or {}))

    def symbol(leaf: Any) -> Any:
        name = next(names)
        if not isinstance(leaf, (Spec, Tensor)):
            return leaf
        tensor = wrap(Value(leaf if isinstance(leaf, Spec) else leaf.spec, name))
        tensor._requires_grad = isinstance(leaf, Tensor) and leaf._requires_grad
        return tensor

    arguments = tree.map_leaves(symbol, given)
    symbols = [x for x in tree.flatten(arguments) if isinstance(x, Tensor)]
    initial = interpreter.graph.inputs = [x._data for x in symbols]
    with use(interpreter=interpreter):
        result = function(*arguments[0], **arguments[1])
        found = [y for y in tree.flatten(result) if isinstance(y, Tensor)]
        outputs = [interpreter.read(y) for y in found]
        structure = tree.map_leaves(lambda y: RESULT if isinstance(y, Tensor) else y, result)
        changed = [i for i, x in enumerate(symbols) if x._data is not initial[i]]
        outputs += [symbols[i]._data for i in changed]
        interpreter.put_back()
        pullback = _pull_back(interpreter, found, symbols) if with_pullback else None
    if pullback is not None:
        outputs += pullback.graph.inputs[: len(pullback.graph.inputs) - len(pullback.results)]
    del result, arguments, symbols, found
    written = interpreter.written()
    interpreter.let_go()
    refuse_leaks(interpreter, outputs, written)
    return _assemble(interpreter, outputs, written, changed, structure, pullback)


def _pull_back(
    interpreter: Capture, found: Sequence[Tensor], symbols: Sequence[Tensor]
) -> Pullback | None:
    """Capture the derivative of results that carry gradients, as a graph of its own; or None."""
    results = [i for i, y in enumerate(found) if y._node is not None and y._node.saved is not None]
    if not results:
        return None
    graph, forward = interpreter.graph, len(interpreter.graph.equations)
    leaves = tape.leaves([found[i] for i in results])
    upstream = [wrap(Value(found[i].spec, "g")) for i in results]
    seeds = list(zip([found[i] for i in results], upstream, strict=True))
    pairs = differentiate(seeds, retain_graph=False, targets=leaves)
    gradients = [None if g is None else interpreter.read(g) for _, g in pairs]
    interpreter.settle()
    backward = graph.equations[forward:]
    del graph.equations[forward:]
    made = {v for e in backward for v in e.outputs} | {y._data for y in upstream}
    used = [v for e in backward for v in e.inputs] + [v for v in gradients if v is not None]
    saved = [v for v in dict.fromkeys(used) if v not in made and v not in graph.constants]
    positions = {id(x): i for i, x in enumerate(symbols)}
    reached = [i for i, v in enumerate(gradients) if v is not None]
    return Pullback(
        Graph(
            [*saved, *[y._data for y in upstream]],
            {v: graph.constants[v] for v in dict.fromkeys(used) if v in graph.constants},
            backward,
            [v for v in gradients if v is not None],
        ).check(),
        results,
        [positions.get(id(leaves[i]), leaves[i]) for i in reached],
    )


def _assemble(
    interpreter: Capture,
    outputs: list[Value],
    written: list[tuple[Slot, Value | None]],
    changed: list[int],
    structure: Any,
    pullback: Pullback | None,
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
    return Trace(
        graph.check(), reads, writes, cleared, absent, errors, changed, structure, pullback
    )


def _argument_labels(
    function: Callable[..., Any], specs: tuple[Any, ...], named: dict[str, Any]
) -> list[str]:
    """The names of the function's parameters, one for each leaf of the arguments."""
    target = getattr(function, "forward", function)
    try:
        names = list(inspect.signature(target).parameters)
    except (TypeError, ValueError):
        names = []
    names += [f"x{i}" for i in range(len(names), len(specs))]
    given = [*zip(names, specs, strict=False), *named.items()]
    return [name for name, spec in given for _ in tree.flatten(spec)]


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
        elif not isinstance(value, type) and hasattr(value, "named_parameters"):
            for path, tensor in [*value.named_parameters(), *value.named_buffers()]:
                labels[id(tensor)] = path
    return labels
