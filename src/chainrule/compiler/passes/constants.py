"""Constant folding: what depends on constants alone is computed once, now."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chainrule.graph import Equation, Graph, as_tuple

MOST_ELEMENTS = 4096
"""Larger results are not folded: a broadcast constant would trade arithmetic for memory."""


def _is_left(equation: Equation) -> bool:
    """What repeats costs no memory when it is broadcast; what is opaque stays as it is."""
    view = equation.primitive.view
    return view is not None and (view.repeats or view.opaque)


def fold_constants(graph: Graph) -> Graph:
    """Evaluate, as eager computation does, the equations whose inputs are constants."""
    constants = dict(graph.constants)
    kept = []
    for equation in graph.equations:
        small = all(v.spec.size <= MOST_ELEMENTS for v in equation.outputs)
        known = equation.inputs and all(v in constants for v in equation.inputs)
        if known and small and not _is_left(equation):
            arrays = [constants[v] for v in equation.inputs]
            results = as_tuple(equation.primitive.evaluate(*arrays, **equation.params))
            constants.update(zip(equation.outputs, map(np.asarray, results), strict=True))
        else:
            kept.append(equation)
    return replace(graph, equations=kept, constants=constants)
