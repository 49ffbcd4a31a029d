"""Adam and AdamW: steps scaled by running averages of the gradient and of its square."""

from __future__ import annotations

from typing import ClassVar

from chainrule.ops import update
from chainrule.optim.optimizer import SWITCHES, Params
from chainrule.optim.rule import RuleOptimizer
from chainrule.tensor import Tensor


class Adam(RuleOptimizer):
    """w ← w − η·m̂ / (√v̂ + ε),  m̂ = m/(1 − β₁ᵗ),  v̂ = v/(1 − β₂ᵗ)  at step t = 1, 2, …,
    with m ← β₁·m + (1 − β₁)·d,  v ← β₂·v + (1 − β₂)·d²,  d = g + λ·w.

    Kingma & Ba, 2015. Options: lr η, betas (β₁, β₂), eps ε, weight_decay λ. With `amsgrad`, v̂ is
    computed from the largest v so far (Reddi et al., 2018). With `decoupled_weight_decay`, d = g,
    and the step starts from w·(1 − η·λ), as in AdamW. With `maximize`, g is replaced by −g. The
    square of a float32 gradient above 1.8e19 is infinite; its weight then does not change.

    Raises ArgumentError for options out of range.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    rule = update.adam_update
    names: ClassVar = {
        "step": "step",
        "exp_avg": "m",
        "exp_avg_sq": "v",
        "max_exp_avg_sq": "largest",
        "decoupled_weight_decay": "decoupled",
    }
    optional: ClassVar = {"max_exp_avg_sq": "amsgrad"}
    switches: ClassVar = {**SWITCHES, "fused": None}

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
        decoupled_weight_decay: bool = False,
        **switches: bool | None,
    ) -> None:
        numbers = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        decoupled = dict(decoupled_weight_decay=bool(decoupled_weight_decay))
        flags = dict(amsgrad=bool(amsgrad), maximize=bool(maximize)) | decoupled
        super().__init__(params, numbers | flags, **switches)


class AdamW(Adam):
    """w ← w·(1 − η·λ) − η·m̂ / (√v̂ + ε): Adam with weight decay that does not enter m and v.

    Loshchilov & Hutter, 2019. m̂, v̂ and the options are those of Adam, with d = g. Raises
    ArgumentError for options out of range.

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
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            decoupled_weight_decay=True,
            **switches,
        )
