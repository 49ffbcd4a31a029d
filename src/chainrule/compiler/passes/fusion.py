"""Fusion of elementwise chains: ops of one shape that feed each other become one sweep.

The fused op is a graph inside an equation. Its meaning is to run that graph; an engine runs it
tile by tile, so that what passes between the ops never leaves the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.compiler.passes.dead import remove_dead
from chainrule.compiler.passes.rewrite import is_elementwise
from chainrule.errors import GraphError
from chainrule.graph import Equation, Graph, Value
from chainrule.primitive import Primitive, Spec, SpecLike


class _Chain:
    """y = the outputs of a graph of elementwise ops, of one shape."""

    name = "chain"

    def infer(*xs: SpecLike, body: Graph) -> Any:
        if [Spec(x.shape, x.dtype) for x in xs] != [v.spec for v in body.inputs]:
            raise GraphError("a chain is run on other specs than it was made for", given=list(xs))
        specs = tuple(v.spec for v in body.outputs)
        return specs if len(specs) > 1 else specs[0]

    def forward(*xs: Any, body: Graph) -> Any:
        results = tuple(body.run(*map(np.asarray, xs)))
        return results if len(results) > 1 else results[0]


CHAIN = Primitive(_Chain)
"""Made by this pass alone, so it is no entry of the registry."""


def fuse_elementwise(graph: Graph) -> Graph:
    """Put elementwise equations of one shape that depend on each other into one equation."""
    graph = remove_dead(graph)  # a chain that nobody reads would have no outputs
    groups = _groups(graph)
    members: dict[int, list[Equation]] = {}
    for equation, group in zip(graph.equations, groups, strict=True):
        members.setdefault(group, []).append(equation)
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
    return Graph(graph.inputs, constants, in_order(graph, fused), graph.outputs, graph.results)


def _groups(graph: Graph) -> list[int]:
    """A number for each equation; equal numbers are fused.

    An equation joins the group of a producer unless it also depends on that group by a way that
    leaves it, which would be a cycle. `ancestors` are bit sets of groups.
    """
    made_by: dict[Value, int] = {}
    groups: list[int] = []
    ancestors: list[int] = []  # by group
    shapes: list[Any] = []  # by group; None for what is not elementwise
    for position, equation in enumerate(graph.equations):
        sources = {groups[made_by[v]] for v in equation.inputs if v in made_by}
        above = 0
        for s in sources:
            above |= ancestors[s] | (1 << s)
        own = None
        if is_elementwise(equation):
            shape = equation.outputs[0].shape
            for s in sorted(sources, reverse=True):
                beside = 0
                for other in sources - {s}:
                    beside |= ancestors[other] | (1 << other)
                if shapes[s] == shape and not beside >> s & 1:
                    own = s
                    break
        if own is None:
            own = len(ancestors)
            ancestors.append(0)
            shapes.append(equation.outputs[0].shape if is_elementwise(equation) else None)
        _add_ancestors(ancestors, own, above & ~(1 << own))
        groups.append(own)
        for value in equation.outputs:
            made_by[value] = position
    return groups


def _add_ancestors(ancestors: list[int], group: int, above: int) -> None:
    """A group that grew has more ancestors, and so has everything below it."""
    ancestors[group] |= above
    for below, known in enumerate(ancestors):
        if known >> group & 1:
            ancestors[below] |= ancestors[group]


def _fused(
    graph: Graph, equations: Sequence[Equation], group: int, readers: dict[Value, set[int]]
) -> Equation:
    """One equation for a group: small constants go inside, other values from outside are inputs."""
    made = {v for equation in equations for v in equation.outputs}
    used = dict.fromkeys(v for equation in equations for v in equation.inputs if v not in made)
    constants = {
        v: graph.constants[v] for v in used if v in graph.constants and v.shape == ()
    }
    inputs = [v for v in used if v not in constants]
    outputs = [
        v for equation in equations for v in equation.outputs if readers.get(v, set()) - {group}
    ]
    body = Graph(inputs, constants, list(equations), outputs, [""] * len(outputs))
    places = dict.fromkeys(equation.place for equation in equations if equation.place)
    place = ", ".join(places)
    return Equation(CHAIN, tuple(inputs), {"body": body}, tuple(outputs), place)


def in_order(graph: Graph, equations: Sequence[Equation]) -> list[Equation]:
    """The equations sorted so that each comes after those it reads; otherwise as they were."""
    made_by = {v: i for i, equation in enumerate(equations) for v in equation.outputs}
    waiting = [
        len({made_by[v] for v in equation.inputs if v in made_by}) for equation in equations
    ]
    followers: list[list[int]] = [[] for _ in equations]
    for i, equation in enumerate(equations):
        for source in {made_by[v] for v in equation.inputs if v in made_by}:
            followers[source].append(i)
    ready = [i for i, n in enumerate(waiting) if n == 0]
    ordered = []
    while ready:
        i = ready.pop(0)
        ordered.append(equations[i])
        for follower in followers[i]:
            waiting[follower] -= 1
            if waiting[follower] == 0:
                ready.append(follower)
    if len(ordered) < len(equations):
        raise GraphError("the equations depend on each other in a circle")
    return ordered
