"""Adagrad, RMSprop and Adadelta: steps scaled by the size of previous gradients."""

from __future__ import annotations

from typing import Any, ClassVar

from chainrule.ops import update
from chainrule.optim.formula import FormulaOptimizer, averaged
from chainrule.optim.group import ParamGroup
from chainrule.optim.optimizer import SWITCHES, Params, State
from chainrule.optim.options import FROM_ZERO, Condition
from chainrule.optim.rule import RuleOptimizer
from chainrule.tensor import Tensor


class Adagrad(RuleOptimizer):
    """w ← w − ηₜ·d / (√s + ε),  s ← s + d²,  d = g + λ·w,  ηₜ = η / (1 + (t − 1)·γ), t = 1, 2, …

    Duchi, Hazan & Singer, 2011. Options: lr η, lr_decay γ, weight_decay λ,
    initial_accumulator_value (the initial s), eps ε. With `maximize`, g is replaced by −g. Raises
    ArgumentError for options out of range.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adagrad([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    rule = update.adagrad_update
    names: ClassVar = {"step": "step", "sum": "s"}
    conditions: ClassVar = {"lr_decay": FROM_ZERO, "initial_accumulator_value": FROM_ZERO}
    switches: ClassVar = {"foreach": None, "differentiable": False, "fused": None}

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
        numbers = dict(lr=lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay)
        start = dict(initial_accumulator_value=initial_accumulator_value)
        super().__init__(params, numbers | start | dict(maximize=bool(maximize)), **switches)

    def initial_state(self, parameter: Tensor, group: ParamGroup) -> State:
        """The step counter, and the initial s."""
        state = super().initial_state(parameter, group)
        start = group.tensors["initial_accumulator_value"].to(parameter.dtype)
        state["sum"].assign(start.expand(parameter.shape))
        return state


class RMSprop(RuleOptimizer):
    """w ← w − η·d / (√v + ε),  v ← α·v + (1 − α)·d²,  d = g + λ·w.

    Hinton, 2012 (lecture 6e). Options: lr η, alpha α, eps ε, weight_decay λ, momentum μ. With
    `centered`, v is replaced by v − m² in the step, with m ← α·m + (1 − α)·d (Graves, 2013). With
    momentum, b ← μ·b + d / (√v + ε) and w ← w − η·b. With `maximize`, g is replaced by −g. Raises
    ArgumentError for options out of range.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = RMSprop([w], lr=0.01, alpha=0.75)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.98, -1.98], requires_grad=True)
    """

    rule = update.rmsprop_update
    names: ClassVar = {
        "step": "step",
        "square_avg": "v",
        "grad_avg": "buffers",
        "momentum_buffer": "buffers",
    }
    optional: ClassVar = {"grad_avg": "centered", "momentum_buffer": "momentum"}
    switches: ClassVar = SWITCHES
    conditions: ClassVar = {"alpha": Condition("0 ≤ alpha < 1", lambda x: 0 <= x < 1)}

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
        numbers = dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum)
        flags = dict(centered=bool(centered), maximize=bool(maximize))
        super().__init__(params, numbers | flags, **switches)


class Adadelta(FormulaOptimizer):
    """w ← w − η·Δ,  Δ = √(u + ε)/√(v + ε)·d,  v ← ρ·v + (1 − ρ)·d²,  u ← ρ·u + (1 − ρ)·Δ².

    d = g + λ·w. Zeiler, 2012. Options: lr η, rho ρ, eps ε, weight_decay λ. With `maximize`, g is
    replaced by −g. Raises ArgumentError for options out of range.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adadelta([w], eps=1e-2)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.6877, -1.6848], requires_grad=True)
    """

    states: ClassVar = ("square_avg", "acc_delta")
    conditions: ClassVar = {"rho": Condition("0 ≤ rho ≤ 1", lambda x: 0 <= x <= 1)}

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **switches: bool | None,
    ) -> None:
        numbers = dict(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)
        super().__init__(params, numbers | dict(maximize=bool(maximize)), **switches)

    def formula(self, w: Any, d: Any, s: Any) -> Any:
        """w, v and u."""
        v = averaged(s.square_avg, d * d, s.rho)
        delta = (s.acc_delta + s.eps).sqrt() / (v + s.eps).sqrt() * d
        return w - s.lr * delta, v, averaged(s.acc_delta, delta * delta, s.rho)
