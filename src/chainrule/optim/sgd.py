"""Stochastic gradient descent, with momentum and Nesterov's variant."""

from __future__ import annotations

from typing import Any, ClassVar

from chainrule.errors import ArgumentError
from chainrule.ops import update
from chainrule.optim.group import ParamGroup
from chainrule.optim.optimizer import Params
from chainrule.optim.rule import RuleOptimizer
from chainrule.tensor import Tensor


class SGD(RuleOptimizer):
    """w ← w − η·d, d = g + λ·w; with momentum μ: b ← μ·b + (1 − τ)·d, w ← w − η·b.

    Robbins & Monro, 1951; Polyak, 1964; Nesterov, 1983. Options: lr η, momentum μ, dampening τ,
    weight_decay λ. The first b is d, without dampening. With `nesterov`, w ← w − η·(d + μ·b). With
    `maximize`, g is replaced by −g. Raises ArgumentError for options out of range.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (w * w).sum().backward()
    ...     optimizer.step()
    >>> w
    tensor([ 0.46, -0.92], requires_grad=True)
    """

    names: ClassVar = {"step": "step", "momentum_buffer": "b"}
    optional: ClassVar = {"step": "momentum", "momentum_buffer": "momentum"}
    unlisted: ClassVar = ("step",)
    switches: ClassVar = {"foreach": None, "differentiable": False, "fused": None}

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        **switches: bool | None,
    ) -> None:
        if nesterov and (not momentum > 0 or dampening != 0):
            raise ArgumentError(
                "Nesterov's variant needs momentum > 0 and dampening = 0",
                given=f"momentum={momentum}, dampening={dampening}",
            )
        numbers = dict(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay)
        flags = dict(nesterov=bool(nesterov), maximize=bool(maximize))
        super().__init__(params, numbers | flags, **switches)

    def rule_of(self, group: ParamGroup) -> Any:
        """The rule with momentum if the group has a buffer for it, else the one without."""
        return update.sgd_update if "momentum" in group.without else update.momentum_update
