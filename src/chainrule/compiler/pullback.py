"""Results of compiled functions on the tape. Forward and backward pass are one program each.

The call is one node. Its derivative runs the backward program on values that the forward program
has saved. If only some of its results get a gradient, there is a program for just these: as in
eager code, the others contribute nothing, and a leaf that only they depend on gets no gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from chainrule import tape
from chainrule.compiler.histories import Pullback
from chainrule.compiler.passes import optimize
from chainrule.errors import NotDifferentiableError
from chainrule.graph import Equation, Graph, Value
from chainrule.primitive import Array, Primitive
from chainrule.settings import current
from chainrule.tensor import Tensor, wrap

Gradients = Sequence[Tensor | None]
Pull = Callable[[Gradients], Gradients]


class _Call:
    """The results of a compiled function, as a function of the tensors on which they depend."""

    name, partial = "compiled_call", True

    def infer(*xs: Any, pull: Pull) -> Any:
        return None

    def forward(*xs: Any, pull: Pull) -> Any:
        return None

    def vjp(gs: Any, pull: Pull) -> Any:
        return pull(gs if isinstance(gs, list) else [gs])


CALL = Primitive(_Call)
"""The record of calls on the tape. It is not in the registry, since no program can call it."""


class Backward:
    """The backward program of a pullback. `saved` is the number of values that it needs."""

    def __init__(self, pullback: Pullback, plan: Callable[[Graph], Any]) -> None:
        self.results, self.targets = pullback.results, pullback.targets
        self.saved = len(pullback.saved)
        self._graph, self._plan = pullback.graph, plan
        # For each set of absent gradients: the plan, and which targets still get a gradient.
        self._plans = {
            frozenset[int](): (plan(optimize(pullback.graph)), [True] * len(self.targets))
        }

    def record(
        self, tensors: Sequence[Tensor], saved: Sequence[Array], leaves: Sequence[Tensor]
    ) -> None:
        """Record the results of one call on the tape; `leaves` are its tensor arguments."""
        inputs = [leaves[t] if isinstance(t, int) else t for t in self.targets]
        outputs = tuple([tensors[i] for i in self.results])
        tape.record(CALL, inputs, {"pull": partial(self._pull, saved)}, outputs)

    def _pull(self, saved: Sequence[Array], gs: Gradients) -> Gradients:
        if current().gradients:
            raise NotDifferentiableError(
                "a compiled function is differentiated once from outside",
                instead="Take both derivatives inside of the compiled function, or run the "
                "function itself, without cr.compile.",
            )
        absent = frozenset([i for i, g in enumerate(gs) if g is None])
        if absent not in self._plans:
            graph, reached = without(self._graph, self.saved, absent)
            self._plans[absent] = self._plan(optimize(graph)), reached
        plan, reached = self._plans[absent]
        given = [*saved, *[g._data for g in gs if g is not None]]
        arrays = [np.require(x, requirements=["C", "ALIGNED"]) for x in given]
        results = iter(plan.run(arrays))
        return [wrap(next(results)) if is_reached else None for is_reached in reached]


def without(graph: Graph, saved: int, absent: Collection[int]) -> tuple[Graph, list[bool]]:
    """The graph of a derivative where some gradients among its inputs, those after the `saved`
    ones, are absent; and for each of its outputs whether it is still there.

    What only absent gradients reach is absent. A sum of gradients is that of the others, and
    other ops read zeros for what is absent.
    """
    gradients = set(graph.inputs[saved:])
    gone = {graph.inputs[saved + i] for i in absent}
    constants, equations = dict(graph.constants), list[Equation]()
    same: dict[Value, Value] = {}
    inputs = [v for v in graph.inputs if v not in gone]
    for equation in graph.equations:
        given = [same.get(v, v) for v in equation.inputs]
        reaching = [v for v in given if v in gradients]
        if reaching:
            gradients.update(equation.outputs)
        if reaching and gone.issuperset(reaching):
            gone.update(equation.outputs)
        elif (other := _other_summand(equation, given, gone)) is not None:
            same[equation.outputs[0]] = other
        else:
            for i, v in enumerate(given):
                if v in gone:
                    given[i] = Value(v.spec)
                    constants[given[i]] = np.zeros(v.shape, v.dtype)
            equations.append(replace(equation, inputs=tuple(given)))
    outputs = [same.get(v, v) for v in graph.outputs]
    kept = [v for v in outputs if v not in gone]
    return Graph(inputs, constants, equations, kept).check(), [v not in gone for v in outputs]


def _other_summand(equation: Equation, given: list[Value], gone: set[Value]) -> Value | None:
    """What an equation equals if one of its two operands is absent and a zero there is neutral."""
    for i, zero in enumerate(equation.primitive.neutral):
        other = given[1 - i]
        if zero == 0 and given[i] in gone and other.spec == equation.outputs[0].spec:
            return other
    return None
