"""Constant folding: equations that depend only on constants are computed at compile time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from chainrule.graph import Equation, Graph, as_tuple
from chainrule.kinds import Collective

MOST_ELEMENTS = 4096
"""The largest result that is folded. A larger one would cost more memory than it saves time."""


def is_left(equation: Equation) -> bool:
    """Whether an equation is not folded: a view that repeats elements needs no memory as a view,
    opaque views are never changed, and a collective op waits for the other ranks."""
    view = equation.primitive.view
    if isinstance(equation.primitive.kind, Collective):
        return True
    return view is not None and (view.repeats or view.opaque)


def fold_constants(graph: Graph, is_left: Callable[[Equation], bool] = is_left) -> Graph:
    """Evaluate the equations whose inputs are all constants, by the same kernels as eager code.

    is_left: whether an equation stays nevertheless.
    """
    constants = dict(graph.constants)
    kept = []
    for equation in graph.equations:
        small = all(v.spec.size <= MOST_ELEMENTS for v in equation.outputs)
        known = equation.inputs and all(v in constants for v in equation.inputs)
        if known and small and not is_left(equation):
            arrays = [constants[v] for v in equation.inputs]
            results = as_tuple(equation.primitive.evaluate(*arrays, **equation.params))
            constants.update(zip(equation.outputs, map(np.asarray, results), strict=True))
        else:
            kept.append(equation)
    return replace(graph, equations=kept, constants=constants)
