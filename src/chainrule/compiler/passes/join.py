"""Joined slices: the gradients of the parts of a split are written into one array, in one op."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from chainrule.graph import Equation, Graph, Value
from chainrule.kinds import Other
from chainrule.primitive import Primitive, Shape, Spec, SpecLike

Index = tuple[Any, ...]


class _Joined:
    """y[indexᵢ] = xᵢ for slices that do not overlap, and y = 0 elsewhere.

    An input whose shape is not that of its slice is reshaped.
    """

    name, kind = "joined_slices", Other(total=True)

    def infer(*xs: SpecLike, shape: Shape, indices: tuple[Index, ...]) -> Spec:
        return Spec(shape, xs[0].dtype)

    def forward(*xs: Any, shape: Shape, indices: tuple[Index, ...]) -> Any:
        y = np.zeros(shape, xs[0].dtype)
        for x, index in zip(xs, indices, strict=True):
            part = y[index]
            part += x.reshape(part.shape)  # added, since −0 must become 0 as in the sums
        return y


JOINED = Primitive(_Joined)
"""The op that only this pass creates. It is not in the registry."""


class _Parts(NamedTuple):
    inputs: tuple[Value, ...]
    indices: tuple[Index, ...]


MOST = 16
"""The most slices that are joined. Further ones are added in place."""


def join_slices(graph: Graph) -> Graph:
    """Replace sums of slices of one array that do not overlap."""
    made_by: dict[Value, Equation] = {v: e for e in graph.equations for v in e.outputs}
    parts: dict[Value, _Parts] = {}
    equations = []
    for equation in graph.equations:
        output, x = equation.outputs[0], equation.inputs[-1] if equation.inputs else None
        before = _before(equation, parts)
        if x is not None and before is not None and _is_plain(equation, x):
            source = made_by.get(x)
            if source is not None and source.primitive.name == "reshape":
                x = source.inputs[0]
            both = _Parts((*before.inputs, x), (*before.indices, equation.params["index"]))
            if len(both.inputs) <= MOST and _apart(both.indices, output.shape):
                parts[output] = both
                if before.inputs:
                    params = {"shape": output.shape, "indices": both.indices}
                    equation = replace(
                        equation, primitive=JOINED, inputs=both.inputs, params=params
                    )
        equations.append(equation)
    return replace(graph, equations=equations)


def _before(equation: Equation, parts: dict[Value, _Parts]) -> _Parts | None:
    """The parts to which an equation adds a slice: none, or those that were joined before."""
    name = equation.primitive.name
    if name == "slice_into":
        return _Parts((), ())
    return parts.get(equation.inputs[0]) if name == "add_at" else None


def _is_plain(equation: Equation, x: Value) -> bool:
    """Whether the index has only slices with step 1, and `x` is not broadcast to its slice."""
    index, (output,) = equation.params["index"], equation.outputs
    if output.dtype.kind != "f" or not all(isinstance(i, slice) for i in index):
        return False
    runs = _runs(index, output.shape)
    sizes = tuple(max(end - start, 0) for start, end, _ in runs)
    return all(step == 1 for _, _, step in runs) and sizes == x.shape


def _runs(index: Index, shape: Shape) -> list[tuple[int, int, int]]:
    """(start, stop, step) for every dimension."""
    whole = (*index, *[slice(None)] * (len(shape) - len(index)))
    return [i.indices(n) for i, n in zip(whole, shape, strict=True)]


def _apart(indices: tuple[Index, ...], shape: Shape) -> bool:
    """Whether there is a dimension in which no two slices overlap."""
    for runs in zip(*[_runs(index, shape) for index in indices], strict=True):
        ordered = sorted(runs)
        if all(a[1] <= b[0] for a, b in pairwise(ordered)):
            return True
    return False
