"""Fused reductions: sums and extremes of the results of a chain, in the loop that computes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from chainrule import engine
from chainrule.compiler.passes.fusion import CHAIN
from chainrule.graph import Equation, Graph, Value
from chainrule.kinds import Reduction

MOST = 4
"""The most reductions in one chain; see engine/cpp/kernels/fused.cpp."""


def fuse_reductions(graph: Graph) -> Graph:
    """Fuse reductions into the chain whose result they read, if it walks over the elements in their
    order. A result that only they read is not written to memory."""
    made_by = {v: e for e in graph.equations for v in e.outputs if _is_sweep(e)}
    taken: dict[Equation, list[Equation]] = {}
    for equation in graph.equations:
        source = made_by.get(equation.inputs[0]) if _is_reduction(equation) else None
        if source is None:
            continue
        others = taken.setdefault(source, [])
        if len(others) < MOST and all(_dims(e) == _dims(equation) for e in others):
            others.append(equation)
    inside = {e for reductions in taken.values() for e in reductions}
    kept = {v for e in graph.equations if e not in inside for v in e.inputs} | {*graph.outputs}
    equations = [
        _with_reductions(graph, e, taken[e], kept) if e in taken else e
        for e in graph.equations
        if e not in inside
    ]
    return replace(graph, equations=equations)


def _dims(reduction: Equation) -> tuple[int, ...]:
    return tuple(sorted(reduction.params["dims"]))


def _is_sweep(equation: Equation) -> bool:
    return equation.primitive is CHAIN or engine.is_fusible(equation)


def _is_reduction(equation: Equation) -> bool:
    """Whether an equation reduces floats that are not empty, in their order in memory."""
    kind = equation.primitive.kind
    if not isinstance(kind, Reduction) or kind.fold is None:
        return False
    x, dims = equation.inputs[0], _dims(equation)
    floats = x.dtype.kind == "f" and equation.outputs[0].dtype == x.dtype
    return floats and bool(dims) and 0 not in x.shape and engine.walks_in_order(x.shape, dims)


def _with_reductions(
    graph: Graph, equation: Equation, reductions: Sequence[Equation], kept: set[Value]
) -> Equation:
    """One chain whose outputs are the equation's results in `kept`, then the reductions."""
    inputs: Sequence[Value]
    constants: dict[Value, Any]
    if equation.primitive is CHAIN:
        body: Graph = equation.params["body"]
        inputs, constants, own = equation.inputs, dict(body.constants), list(body.equations)
    else:
        scalars = [v for v in equation.inputs if v.shape == () and v in graph.constants]
        constants = {v: graph.constants[v] for v in scalars}
        inputs = [v for v in dict.fromkeys(equation.inputs) if v not in constants]
        own = [equation]
    results = [v for v in equation.outputs if v in kept]
    outputs = [*results, *(e.outputs[0] for e in reductions)]
    whole = Graph(list(inputs), constants, [*own, *reductions], outputs, [""] * len(outputs))
    places = dict.fromkeys(e.place for e in (equation, *reductions) if e.place)
    return Equation(CHAIN, tuple(inputs), {"body": whole}, tuple(outputs), ", ".join(places))
