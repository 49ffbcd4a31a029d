"""Lion and Rprop: the direction of a step is a sign, and its size does not depend on the
gradient."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from chainrule.optim.formula import FormulaOptimizer, averaged, where
from chainrule.optim.optimizer import Params
from chainrule.optim.options import Condition
from chainrule.tensor import Tensor


class Lion(FormulaOptimizer):
    """w ← w·(1 − η·λ) − η·sign(β₁·m + (1 − β₁)·g),  then m ← β₂·m + (1 − β₂)·g.

    Chen et al., 2023. Options: lr η, betas (β₁, β₂), weight_decay λ. With `maximize`, g is replaced
    by −g. Raises ArgumentError for options out of range.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Lion([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    states: ClassVar = ("exp_avg",)
    decay: ClassVar = "weights"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **switches: bool | None,
    ) -> None:
        numbers = dict(lr=lr, betas=betas, weight_decay=weight_decay)
        super().__init__(params, numbers | dict(maximize=bool(maximize)), **switches)

    def formula(self, w: Any, d: Any, s: Any) -> Any:
        """w and m."""
        beta1, beta2 = s.betas
        direction = averaged(s.exp_avg, d, beta1).sign()
        return w - s.lr * direction, averaged(s.exp_avg, d, beta2)


class Rprop(FormulaOptimizer):
    """w ← w − sign(d)·σ, with a step size σ for each weight that follows the sign of its gradient.

    Where g has the sign of the previous d, σ ← η⁺·σ and d = g. Where it has the other sign,
    σ ← η⁻·σ and d = 0. σ starts at lr and stays within `step_sizes`; `etas` are (η⁻, η⁺). For full
    batches: the sign of a gradient from few samples is noise. Riedmiller & Braun, 1993. With
    `maximize`, g is replaced by −g. Raises ArgumentError for options out of range.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Rprop([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    states: ClassVar = ("prev", "step_size")
    conditions: ClassVar = {
        "etas": Condition("0 < η⁻ < 1 < η⁺", lambda a, b: 0 < a < 1 < b < math.inf, shape=(2,)),
        "step_sizes": Condition("two numbers ≥ 0", lambda a, b: a >= 0 and b >= 0, shape=(2,)),
    }

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
        **switches: bool | None,
    ) -> None:
        numbers = dict(lr=lr, etas=etas, step_sizes=step_sizes)
        super().__init__(params, numbers | dict(maximize=bool(maximize)), **switches)

    def formula(self, w: Any, d: Any, s: Any) -> Any:
        """w, d and σ."""
        smaller, larger = s.etas
        least, most = (limit.in_dtype(s.dtype) for limit in s.step_sizes)
        turn = (d * s.prev).sign()
        size = where(s.t == 1, s.lr.in_dtype(s.dtype), s.step_size)
        size = where(turn > 0, larger * size, where(turn < 0, smaller * size, size))
        size = size.clamp(least, most)
        d = where(turn < 0, 0.0, d)
        return w - d.sign() * size, d, size
