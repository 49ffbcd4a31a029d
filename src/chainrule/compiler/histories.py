"""The histories of results: derivatives of those that carry gradients, and those that are freed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from chainrule import tape
from chainrule.compiler.capture import Capture
from chainrule.compiler.shared import carries, history
from chainrule.graph import Graph, Value
from chainrule.ops.creation import zeros
from chainrule.primitive import Primitive
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

    @property
    def saved(self) -> list[Value]:
        """The values that the forward graph saved."""
        return self.graph.inputs[: len(self.graph.inputs) - len(self.results)]


@dataclass(eq=False)
class Freed:
    """A result whose graph `backward` has freed inside the function: a derivative of it raises.

    result: its number.   primitive: the op that computed it.
    targets: what it depends on: tensors of state, or numbers of tensor arguments.
    node: its node on the tape, the same for all calls if it has no hooks and no arguments.
    """

    result: int
    primitive: Primitive
    targets: list[Tensor | int]
    node: tape.Node | None = None

    def record(self, y: Tensor, leaves: Sequence[Tensor]) -> None:
        """Record a result on the tape, as freed; `leaves` are the tensor arguments."""
        node = self.node
        if node is None or node.hooks is not None:
            inputs = [leaves[t] if isinstance(t, int) else t for t in self.targets]
            node = tape.freed_node(self.primitive, inputs, y.spec)
            self.node = None if self.depends_on_arguments else node
        y._node, y._requires_grad = node, True

    @property
    def depends_on_arguments(self) -> bool:
        return any(isinstance(t, int) for t in self.targets)


def freed_results(interpreter: Capture, found: Sequence[Tensor]) -> list[Freed]:
    """The results whose history is freed. A leaf made inside is represented by another one."""

    def target(leaf: Tensor) -> Tensor | int:
        if id(leaf) in interpreter.arguments:
            return interpreter.arguments[id(leaf)]
        return zeros((), requires_grad=True) if isinstance(leaf._data, Value) else leaf

    return [
        Freed(i, y._node.primitive, [target(leaf) for leaf in tape.leaves([y])])
        for i, y in enumerate(found)
        if y._node is not None and history(y) == "freed"
    ]


def pull_back(interpreter: Capture, found: Sequence[Tensor]) -> list[Pullback]:
    """Capture the derivatives of results that carry gradients, as graphs of their own: one for all
    results that have a part of their history in common, since `backward` frees that part."""
    groups: list[tuple[list[int], set[tape.Node]]] = []
    for i, y in enumerate(found):
        if not carries(y):
            continue
        nodes = set(tape.reachable([y._node]))
        meeting = [group for group in groups if group[1] & nodes]
        groups = [group for group in groups if group not in meeting]
        merged = sorted([i, *(j for results, _ in meeting for j in results)])
        groups.append((merged, nodes.union(*(known for _, known in meeting))))
    return [_pulled_back(interpreter, found, results) for results, _ in groups]


def _pulled_back(interpreter: Capture, found: Sequence[Tensor], results: list[int]) -> Pullback:
    """Capture the derivative of some results."""
    graph, forward = interpreter.graph, len(interpreter.graph.equations)
    leaves = tape.leaves([found[i] for i in results])
    upstream = [wrap(Value(found[i].spec, "g")) for i in results]
    seeds = list(zip([found[i] for i in results], upstream, strict=True))
    with _without_hooks(leaves):
        pairs = differentiate(seeds, retain_graph=False, targets=leaves)
    gradients = [None if g is None else interpreter.read(g) for _, g in pairs]
    interpreter.settle()
    backward = graph.equations[forward:]
    del graph.equations[forward:]
    made = {v for e in backward for v in e.outputs} | {y._data for y in upstream}
    used = [v for e in backward for v in e.inputs] + [v for v in gradients if v is not None]
    saved = [v for v in dict.fromkeys(used) if v not in made and v not in graph.constants]
    reached = [i for i, v in enumerate(gradients) if v is not None]
    return Pullback(
        Graph(
            [*saved, *[y._data for y in upstream]],
            {v: graph.constants[v] for v in dict.fromkeys(used) if v in graph.constants},
            backward,
            [v for v in gradients if v is not None],
        ).check(),
        results,
        [interpreter.arguments.get(id(leaves[i]), leaves[i]) for i in reached],
    )


@contextmanager
def _without_hooks(leaves: Sequence[Tensor]) -> Iterator[None]:
    """Leave the hooks of leaves to the backward pass that reaches them from outside."""
    hooks = [leaf._hooks for leaf in leaves]
    for leaf in leaves:
        leaf._hooks = None
    try:
        yield
    finally:
        for leaf, own in zip(leaves, hooks, strict=True):
            leaf._hooks = own
