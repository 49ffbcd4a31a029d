"""RMSprop: steps scaled by a running average of the squared gradient."""

from __future__ import annotations

from chainrule.gateway import apply
from chainrule.optim.group import ParamGroup
from chainrule.optim.optimizer import Optimizer, Params, State, zeros_of
from chainrule.tensor import Tensor


class RMSprop(Optimizer):
    """w ← w − η·d / (√v + ε),  v ← α·v + (1 − α)·d²,  d = g + λ·w.

    Hinton, 2012 (lecture 6e). With `centered`, v − m² stands for v, with m ← α·m + (1 − α)·d
    (Graves, 2013). With momentum μ, b ← μ·b + d / (√v + ε) and w ← w − η·b. `maximize` climbs.

    lr η, alpha α, eps ε, weight_decay λ, momentum μ. Options out of range raise ArgumentError.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = RMSprop([w], lr=0.01, alpha=0.75)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.98, -1.98], requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
        **switches: bool | None,
    ) -> None:
        defaults = dict(
            lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum,
            centered=bool(centered), maximize=bool(maximize),
        )  # fmt: skip
        super().__init__(params, defaults, **switches)

    def initial_state(self, parameter: Tensor, group: ParamGroup) -> State:
        """v, and where they are used m and b."""
        names = ["square_avg"] + ["grad_avg"] * group.flags["centered"]
        if "momentum" not in group.without:
            names.append("momentum_buffer")
        return {name: zeros_of(parameter) for name in names}

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, group: ParamGroup
    ) -> None:
        """One step, as the formula of the class says."""
        of, flags = group.tensors, group.flags
        w, *values = apply(
            "rmsprop_update", parameter, gradient, state["square_avg"],
            of["lr"], of["alpha"], of["eps"], of["weight_decay"], of["momentum"],
            *[buffer for name, buffer in state.items() if name != "square_avg"],
            centered=flags["centered"], maximize=flags["maximize"],
        )  # fmt: skip
        parameter.assign(w)
        for tensor, value in zip(state.values(), values, strict=True):
            tensor.assign(value)
