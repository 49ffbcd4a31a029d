"""Adagrad: steps scaled by the sum of all squared gradients so far."""

from __future__ import annotations

from chainrule.gateway import apply
from chainrule.optim.group import ParamGroup
from chainrule.optim.optimizer import Optimizer, Params, State, step_counter, zeros_of
from chainrule.tensor import Tensor


class Adagrad(Optimizer):
    """w ← w − ηₜ·d / (√s + ε),  s ← s + d²,  d = g + λ·w,  ηₜ = η / (1 + (t − 1)·γ), t = 1, 2, …

    Duchi, Hazan & Singer, 2011. `maximize` climbs: −g for g.

    lr η, lr_decay γ, weight_decay λ, initial_accumulator_value the first s, eps ε. Options out of
    range raise ArgumentError.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adagrad([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        **switches: bool | None,
    ) -> None:
        defaults = dict(
            lr=lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value, maximize=bool(maximize),
        )  # fmt: skip
        super().__init__(params, defaults, **switches)

    def initial_state(self, parameter: Tensor, group: ParamGroup) -> State:
        """The step counter, and s."""
        total = zeros_of(parameter).assign(group["initial_accumulator_value"])
        return {"step": step_counter(), "sum": total}

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, group: ParamGroup
    ) -> None:
        """One step, as the formula of the class says."""
        of = group.tensors
        w, s, step = apply(
            "adagrad_update", parameter, gradient, state["sum"], state["step"],
            of["lr"], of["lr_decay"], of["eps"], of["weight_decay"],
            maximize=group.flags["maximize"],
        )  # fmt: skip
        parameter.assign(w)
        state["sum"].assign(s)
        state["step"].assign(step)
