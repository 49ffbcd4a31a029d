"""Results of compiled functions on the tape. Forward and backward pass are one program each.

The call is one node. Its derivative runs the backward program on values that the forward program
has saved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from chainrule import tape
from chainrule.compiler.histories import Pullback
from chainrule.compiler.passes import optimize
from chainrule.errors import NotDifferentiableError
from chainrule.graph import Graph
from chainrule.primitive import Array, Primitive
from chainrule.settings import current
from chainrule.tensor import Tensor, wrap

Pull = Callable[[Sequence[Tensor]], list[Tensor]]


class _Call:
    """The results of a compiled function, as a function of the tensors on which they depend."""

    name = "compiled_call"

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
        self.plan = plan(optimize(pullback.graph))

    def record(
        self, tensors: Sequence[Tensor], saved: Sequence[Array], leaves: Sequence[Tensor]
    ) -> None:
        """Record the results of one call on the tape; `leaves` are its tensor arguments."""
        inputs = [leaves[t] if isinstance(t, int) else t for t in self.targets]
        outputs = tuple([tensors[i] for i in self.results])
        tape.record(CALL, inputs, {"pull": partial(self._pull, saved)}, outputs)

    def _pull(self, saved: Sequence[Array], gs: Sequence[Tensor]) -> list[Tensor]:
        if current().gradients:
            raise NotDifferentiableError(
                "a compiled function is differentiated once from outside",
                instead="Take both derivatives inside of the compiled function, or run the "
                "function itself, without cr.compile.",
            )
        given = [*saved, *[g._data for g in gs]]
        arrays = [np.require(x, requirements=["C", "ALIGNED"]) for x in given]
        return [wrap(array) for array in self.plan.run(arrays)]
