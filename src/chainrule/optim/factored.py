"""Adafactor: the squares of the gradient of a matrix, kept as one row and one column."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.optim.formula import FormulaOptimizer, averaged
from chainrule.optim.group import ParamGroup
from chainrule.optim.number import Number, larger, smaller
from chainrule.optim.optimizer import Params, State, zero_state
from chainrule.optim.options import Condition
from chainrule.tensor import Tensor, from_numpy


class Adafactor(FormulaOptimizer):
    """w ← w·(1 − η·λ) − α·u / max(1, RMS(u)/d),  u = g/√v̂,  α = max(ε₂, RMS(w))·min(η, 1/√t).

    v ← (1 − t^γ)·v + t^γ·g². For a parameter with two dimensions or more, only the means r and c of
    v over its rows and its columns are kept, and v̂ = r·c / mean(r). Shazeer & Stern, 2018.
    Options: lr η, beta2_decay γ, d d, weight_decay λ, eps (ε₁, ε₂): the least √v̂, by default the
    precision of the dtype, and the least RMS(w). With `maximize`, g is replaced by −g. Raises
    ArgumentError for options out of range.

    >>> import chainrule as cr
    >>> w = cr.tensor([[1.0, -2.0]], requires_grad=True)
    >>> optimizer = Adafactor([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([[ 0.8419, -1.8419]], requires_grad=True)
    """

    decay: ClassVar = "nothing"
    fixed: ClassVar = frozenset({"eps"})
    switches: ClassVar = {"foreach": None}
    conditions: ClassVar = {
        "beta2_decay": Condition("a finite number ≤ 0", lambda x: -np.inf < x <= 0),
        "d": Condition("a finite number ≥ 1", lambda x: 1 <= x < np.inf),
    }

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **switches: bool | None,
    ) -> None:
        numbers: dict[str, Any] = dict(lr=lr, beta2_decay=beta2_decay, eps=eps, d=d)
        more = dict(weight_decay=weight_decay, maximize=bool(maximize))
        super().__init__(params, numbers | more, **switches)

    def initial_state(self, parameter: Tensor, group: ParamGroup) -> State:
        """Zeros: r and c, or v. Raises ArgumentError for ε out of range."""
        least, floor = group["eps"]
        if not (least is None or 0 <= least < np.inf) or not 0 <= floor < np.inf:
            raise ArgumentError(f"eps = {group['eps']}", expected="(ε₁ ≥ 0 or None, ε₂ ≥ 0)")
        if parameter.ndim < 2:
            return zero_state(parameter, ("step", "variance"))
        *front, rows, columns = parameter.shape
        zeros = [np.zeros((*front, *last), parameter.dtype) for last in ((rows, 1), (1, columns))]
        row, column = (from_numpy(x) for x in zeros)
        return {**zero_state(parameter, ("step",)), "row_var": row, "col_var": column}

    def formula(self, w: Any, d: Any, s: Any) -> Any:
        """w, then r and c, or v."""
        least, floor = s.eps
        least = float(np.finfo(s.stored).eps) if least is None else least
        beta, square = 1 - s.t**s.beta2_decay, d * d
        alpha = larger(root_mean_square(w), floor) * smaller(s.lr, s.t**-0.5)
        if d.ndim < 2:
            v = averaged(s.variance, square, beta)
            kept: tuple[Tensor, ...] = (v,)
        else:
            row = averaged(s.row_var, square.mean(-1, keepdim=True), beta)
            column = averaged(s.col_var, square.mean(-2, keepdim=True), beta)
            v = row * column / row.mean(-2, keepdim=True).clamp(min=least)
            kept = (row, column)
        u = d / v.clamp(min=least**2).sqrt()
        alpha = alpha / larger(root_mean_square(u) / s.d, 1.0)
        return (1 - s.lr * s.weight_decay) * w - alpha * u, *kept


def root_mean_square(x: Tensor) -> Number:
    """√(Σ xᵢ² / n)."""
    return Number.of((x * x).sum().sqrt()) / math.sqrt(max(x.numel(), 1))
