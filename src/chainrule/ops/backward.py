"""Ops that leave values as they are, and act on gradients on the way back."""

from __future__ import annotations

from chainrule.primitive import primitive
from chainrule.samples import cases


@primitive
class gradients_through:
    """yᵢ = xᵢ; on the way back the gradients by x are `function(gradients by y)`.

    `function` takes and returns as many gradients as there are inputs, None where there is none.
    """
    partial = True
    samples = cases(
        lambda rng: (rng.normal(size=(3, 4)), rng.normal(size=2), {"function": tuple}),
        lambda rng: (rng.normal(size=(3, 4)), {"function": tuple}),
    )
    def infer(*xs, function): return xs
    def flops(*xs, function): return 0
    def forward(*xs, function): return tuple([x.copy() for x in xs])
    def vjp(gs, function): return function(gs if isinstance(gs, list) else [gs])
