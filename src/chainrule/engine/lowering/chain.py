"""Chains of elementwise ops, with optional reductions at the end, in one run of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from chainrule.engine.chain import Reduction, Step, fused_call
from chainrule.engine.layout import FLOATS, NativeCall
from chainrule.engine.lowering.elementwise import in_floats, steps_of
from chainrule.engine.lowering.reduce import fold_of
from chainrule.engine.lowering.table import Layouts, lowering
from chainrule.graph import Graph, Value


class ChainSteps(NamedTuple):
    """The steps of a graph of elementwise equations, and the operands that are its outputs.

    Reductions are the last outputs. All reduce the same dimensions of the same shape.
    """

    steps: tuple[Step, ...]
    results: tuple[int, ...]
    reductions: tuple[Reduction, ...] = ()
    dims: tuple[int, ...] = ()


def chain_steps(body: Graph) -> ChainSteps | None:
    """The steps of a graph of elementwise equations, with optional reductions at the end. None if
    the machine cannot compute one of them.

    Constants must be single numbers. All values must have the same floating dtype or be booleans,
    so that the machine rounds where the separate ops would.
    """
    operands: dict[Value, int | float] = {v: i for i, v in enumerate(body.inputs)}
    for value, array in body.constants.items():
        if array.size != 1 or array.dtype not in FLOATS:
            return None
        operands[value] = float(array.reshape(())[()])
    values = [*body.inputs, *(v for e in body.equations for v in e.outputs)]
    if not in_floats([v.dtype for v in values]):
        return None
    steps: list[Step] = []
    reductions: list[Reduction] = []
    dims: tuple[int, ...] = ()
    for equation in body.equations:
        source, params = equation.inputs[0], equation.params
        fold = fold_of(equation.primitive, params, source.shape, int(operands[source]))
        if fold is not None:
            reductions.append(fold)
            dims = params["dims"]
            continue
        own = steps_of(equation.primitive, params, [v.dtype for v in equation.inputs])
        if own is None:
            return None
        steps += _placed(own, [operands[v] for v in equation.inputs], len(body.inputs) + len(steps))
        operands[equation.outputs[0]] = len(body.inputs) + len(steps) - 1
    results = [operands[v] for v in body.outputs[: len(body.outputs) - len(reductions)]]
    if any(isinstance(r, float) for r in results):
        return None
    return ChainSteps(tuple(steps), tuple(int(r) for r in results), tuple(reductions), dims)


def _placed(steps: Sequence[Step], places: Sequence[int | float], first: int) -> list[Step]:
    """The steps of one op, with operands renumbered for the whole chain."""
    n = len(places)

    def placed(x: Any) -> int | float:
        if isinstance(x, float):
            return x
        return places[x] if x < n else first + x - n

    return [(step[0], *[placed(x) for x in step[1:]]) for step in steps]


@lowering("chain")
def _chain(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    chain = chain_steps(params["body"])
    if chain is None or not all(x.in_order() for x in outputs):
        return None
    dtype = next((v.dtype for v in (*inputs, *outputs) if v.dtype in FLOATS), None)
    shape = params["body"].equations[0].outputs[0].shape
    return fused_call(
        inputs, outputs, *chain[:2], chain.reductions, chain.dims, shape=shape, dtype=dtype
    )


@lowering("fused")
def _fused(params: dict[str, Any], inputs: Layouts, outputs: Layouts) -> NativeCall | None:
    reductions = [Reduction(*r) for r in params.get("reductions", ())]
    return fused_call(inputs, outputs, **{"results": (), **params, "reductions": reductions})
