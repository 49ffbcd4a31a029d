"""Adam and AdamW: steps scaled by running averages of the gradient and of its square."""

from __future__ import annotations

from chainrule.gateway import apply
from chainrule.optim.group import ParamGroup
from chainrule.optim.optimizer import Optimizer, Params, State, step_counter, zeros_of
from chainrule.tensor import Tensor


def adam_state(parameter: Tensor, group: ParamGroup) -> State:
    """The step counter, m, v, and with `amsgrad` the largest v so far."""
    names = ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * group.flags["amsgrad"]
    return {"step": step_counter(), **{name: zeros_of(parameter) for name in names}}


def adam_step(
    parameter: Tensor, gradient: Tensor, state: State, group: ParamGroup, decoupled: bool
) -> None:
    """Assign what `adam_update` computes."""
    of = group.tensors
    largest = [state["max_exp_avg_sq"]] if group.flags["amsgrad"] else []
    w, m, v, step, *grown = apply(
        "adam_update", parameter, gradient, state["exp_avg"], state["exp_avg_sq"], state["step"],
        of["lr"], of["betas"], of["eps"], of["weight_decay"], *largest,
        decoupled=decoupled, maximize=group.flags["maximize"],
    )  # fmt: skip
    parameter.assign(w)
    state["exp_avg"].assign(m)
    state["exp_avg_sq"].assign(v)
    state["step"].assign(step)
    for tensor, value in zip(largest, grown, strict=True):
        tensor.assign(value)


class Adam(Optimizer):
    """w ← w − η·m̂ / (√v̂ + ε),  m̂ = m/(1 − β₁ᵗ),  v̂ = v/(1 − β₂ᵗ)  at step t = 1, 2, …,
    with m ← β₁·m + (1 − β₁)·d,  v ← β₂·v + (1 − β₂)·d²,  d = g + λ·w.

    Kingma & Ba, 2015. With `amsgrad`, v̂ is of the largest v so far (Reddi et al., 2018).
    `maximize` climbs: −g for g. A float32 gradient above 1.8e19 has an infinite square: its
    weight then stays as it is.

    lr η, betas (β₁, β₂), eps ε, weight_decay λ. Options out of range raise ArgumentError.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **switches: bool | None,
    ) -> None:
        defaults = dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=bool(amsgrad),
            maximize=bool(maximize),
        )  # fmt: skip
        super().__init__(params, defaults, **switches)

    def initial_state(self, parameter: Tensor, group: ParamGroup) -> State:
        """The step counter, m, v, and with `amsgrad` the largest v so far."""
        return adam_state(parameter, group)

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, group: ParamGroup
    ) -> None:
        """One step, as the formula of the class says."""
        adam_step(parameter, gradient, state, group, decoupled=False)


class AdamW(Optimizer):
    """w ← w·(1 − η·λ) − η·m̂ / (√v̂ + ε): Adam, with the decay of the weights kept out of m and v.

    Loshchilov & Hutter, 2019. m̂, v̂ and the options are those of Adam, with d = g.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.85, -1.8 ], requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **switches: bool | None,
    ) -> None:
        defaults = dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=bool(amsgrad),
            maximize=bool(maximize),
        )  # fmt: skip
        super().__init__(params, defaults, **switches)

    def initial_state(self, parameter: Tensor, group: ParamGroup) -> State:
        """The step counter, m, v, and with `amsgrad` the largest v so far."""
        return adam_state(parameter, group)

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, group: ParamGroup
    ) -> None:
        """One step, as the formula of the class says."""
        adam_step(parameter, gradient, state, group, decoupled=True)
