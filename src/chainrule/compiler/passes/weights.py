"""Sums of weight gradients: the gradient of a layer that is used several times, in one op."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, NamedTuple

from chainrule import engine
from chainrule.graph import Equation, Graph, Value
from chainrule.kinds import Contraction
from chainrule.ops import contract
from chainrule.ops.elementwise import add
from chainrule.primitive import Array, Primitive

linear_weight: Any = contract.linear_weight


class _WeightSum:
    """y = Σᵢ gᵢᵀ·xᵢ as a binary tree: `sums[i]` sums of the last two results follow pair i."""

    name = "linear_weight_sum"
    kind = Contraction()

    def flops(*pairs: Any, sums: tuple[int, ...]) -> int:
        found: list[int] = [
            linear_weight.counted(g, x) for g, x in zip(pairs[::2], pairs[1::2], strict=True)
        ]
        return sum(found)

    def infer(*pairs: Any, sums: tuple[int, ...]) -> Any:
        return linear_weight.infer(*pairs[:2])

    def forward(*pairs: Any, sums: tuple[int, ...]) -> Any:
        results: list[Array] = []
        for g, x, count in zip(pairs[::2], pairs[1::2], sums, strict=True):
            results.append(linear_weight.forward(g, x))
            for _ in range(count):
                last = results.pop()
                results[-1] = results[-1] + last
        return results[0]


WEIGHT_SUM = Primitive(_WeightSum)
"""The op that only this pass creates. It is not in the registry."""


class _Pairs(NamedTuple):
    inputs: tuple[Value, ...]
    sums: tuple[int, ...]


def sum_weight_gradients(graph: Graph) -> Graph:
    """Join sums of `linear_weight` whose inputs take less memory than their results.

    Such are the gradients of a batch that is cut into shards, or of a layer that a loop calls. The
    inputs live until the sum, in place of the results.
    """
    reads = Counter([*graph.outputs, *(v for e in graph.equations for v in e.inputs)])
    trees: dict[Value, _Pairs] = {}
    absorbed: set[Value] = set()
    equations = []
    for equation in graph.equations:
        if equation.primitive is linear_weight:
            if sum(v.spec.size for v in equation.inputs) < equation.outputs[0].spec.size:
                trees[equation.outputs[0]] = _Pairs(equation.inputs, (0,))
        elif equation.primitive is add and all(reads[v] == 1 for v in equation.inputs):
            joined = _joined(equation, trees)
            if joined is not None:
                trees[equation.outputs[0]] = _Pairs(joined.inputs, joined.params["sums"])
                absorbed.update(equation.inputs)
                equation = joined
        equations.append(equation)
    kept = [e for e in equations if not absorbed.intersection(e.outputs)]
    return replace(graph, equations=kept)


def _joined(equation: Equation, trees: dict[Value, _Pairs]) -> Equation | None:
    """The sum of two trees as one op; None if they are none, or if there is no kernel."""
    if not all(v in trees and v.spec == equation.outputs[0].spec for v in equation.inputs):
        return None
    a, b = (trees[v] for v in equation.inputs)
    inputs, sums = (*a.inputs, *b.inputs), (*a.sums, *b.sums[:-1], b.sums[-1] + 1)
    layouts = [engine.in_order(v.shape, v.dtype) for v in (*inputs, *equation.outputs)]
    if engine.lower(WEIGHT_SUM, {"sums": sums}, layouts[:-1], layouts[-1:]) is None:
        return None
    return replace(equation, primitive=WEIGHT_SUM, inputs=inputs, params={"sums": sums})
