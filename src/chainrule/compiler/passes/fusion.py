"""Fusion of elementwise chains: ops of one shape that use each other's results become one op.

The fused op is an equation that contains a graph, and evaluates it. The engine runs it tile by
tile, so that intermediate results stay in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from chainrule import engine
from chainrule.compiler.passes.dead import remove_dead
from chainrule.errors import GraphError
from chainrule.graph import Equation, Graph, Value
from chainrule.kinds import Other
from chainrule.primitive import Primitive, Spec, SpecLike


class _Chain:
    """y = the outputs of `body`, a graph of elementwise ops of one shape and of reductions."""

    name, kind = "chain", Other(total=True)

    def infer(*xs: SpecLike, body: Graph) -> Any:
        if [Spec(x.shape, x.dtype) for x in xs] != [v.spec for v in body.inputs]:
            raise GraphError("a chain is run on other specs than it was made for", given=list(xs))
        specs = tuple(v.spec for v in body.outputs)
        return specs if len(specs) > 1 else specs[0]

    def forward(*xs: Any, body: Graph) -> Any:
        results = tuple(body.run(*map(np.asarray, xs)))
        return results if len(results) > 1 else results[0]


MOST_MEMBERS = 24
"""The most equations in a chain. A longer one gains nothing, and kernels limit the operands."""

CHAIN = Primitive(_Chain)
"""The op that only this pass creates. It is not in the registry."""


def fuse_elementwise(graph: Graph) -> Graph:
    """Fuse elementwise equations of one shape that depend on each other into one equation."""
    graph = remove_dead(graph)  # a chain that is never read would have no outputs
    groups = _groups(graph)
    members: dict[int, list[Equation]] = {}
    for equation, group in zip(graph.equations, groups, strict=True):
        # Insert it last: a chain takes the position of its last member.
        members[group] = [*members.pop(group, []), equation]
    readers: dict[Value, set[int]] = {}
    for equation, group in zip(graph.equations, groups, strict=True):
        for value in equation.inputs:
            readers.setdefault(value, set()).add(group)
    for value in graph.outputs:
        readers.setdefault(value, set()).add(-1)
    fused = [
        equations[0] if len(equations) == 1 else _fused(graph, equations, group, readers)
        for group, equations in members.items()
    ]
    constants = dict(graph.constants)
    return Graph(graph.inputs, constants, in_order(fused), graph.outputs, graph.results)


def _groups(graph: Graph) -> list[int]:
    """The number of the group of each equation; a group is fused.

    Goes from the last equation to the first. Each equation joins the group of one of its readers,
    so that cheap ops run where their results are used. It does not if that group depends on another
    of its readers, since the groups would then depend on each other. `descendants` has, for each
    group, the bit set of the groups that depend on it.
    """
    readers: dict[Value, set[int]] = {}
    groups = [0] * len(graph.equations)
    descendants: list[int] = []  # by group
    shapes: list[Any] = []  # by group; None if it cannot be fused or has the most members
    sizes: list[int] = []
    for position in range(len(graph.equations) - 1, -1, -1):
        equation = graph.equations[position]
        reading = {g for v in equation.outputs for g in readers.get(v, ())}
        shape = equation.outputs[0].shape if engine.is_fusible(equation) else None
        own = None
        if shape is not None:
            own = _joinable(sorted(reading, reverse=True), shape, shapes, descendants)
        if own is None:
            own = len(shapes)
            descendants.append(0)
            shapes.append(shape)
            sizes.append(0)
        sizes[own] += 1
        if sizes[own] == MOST_MEMBERS:
            shapes[own] = None
        below = 0
        for group in reading:
            below |= descendants[group] | (1 << group)
        _add_descendants(descendants, own, below & ~(1 << own))
        groups[position] = own
        for value in equation.inputs:
            readers.setdefault(value, set()).add(own)
    return groups


def _joinable(
    reading: Sequence[int], shape: Any, shapes: Sequence[Any], descendants: Sequence[int]
) -> int | None:
    """The first reading group of this shape that depends on no other reading group."""
    for group in reading:
        others = [other for other in reading if other != group]
        if shapes[group] == shape and not any(descendants[o] >> group & 1 for o in others):
            return group
    return None


def _add_descendants(descendants: list[int], group: int, below: int) -> None:
    """Add descendants to a group, and to all groups on which it depends."""
    descendants[group] |= below
    for above, known in enumerate(descendants):
        if known >> group & 1:
            descendants[above] |= descendants[group]


def _fused(
    graph: Graph, equations: Sequence[Equation], group: int, readers: dict[Value, set[int]]
) -> Equation:
    """One equation for a group: scalar constants become part of it, other values its inputs."""
    made = {v for equation in equations for v in equation.outputs}
    used = dict.fromkeys(v for equation in equations for v in equation.inputs if v not in made)
    constants = {v: graph.constants[v] for v in used if v in graph.constants and v.shape == ()}
    inputs = [v for v in used if v not in constants]
    outputs = [
        v for equation in equations for v in equation.outputs if readers.get(v, set()) - {group}
    ]
    body = Graph(inputs, constants, list(equations), outputs, [""] * len(outputs))
    places = dict.fromkeys(equation.place for equation in equations if equation.place)
    place = ", ".join(places)
    return Equation(CHAIN, tuple(inputs), {"body": body}, tuple(outputs), place)


def in_order(equations: Sequence[Equation]) -> list[Equation]:
    """Sort the equations so that each comes after those it reads, and keep the order otherwise."""
    made_by = {v: i for i, equation in enumerate(equations) for v in equation.outputs}
    waiting = [len({made_by[v] for v in equation.inputs if v in made_by}) for equation in equations]
    followers: list[list[int]] = [[] for _ in equations]
    for i, equation in enumerate(equations):
        for source in {made_by[v] for v in equation.inputs if v in made_by}:
            followers[source].append(i)
    ready = [i for i, n in enumerate(waiting) if n == 0]  # sorted, and therefore a heap
    ordered = []
    while ready:
        i = heappop(ready)
        ordered.append(equations[i])
        for follower in followers[i]:
            waiting[follower] -= 1
            if waiting[follower] == 0:
                heappush(ready, follower)
    if len(ordered) < len(equations):
        raise GraphError("the equations depend on each other in a circle")
    return ordered
