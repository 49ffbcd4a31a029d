"""ASGD: stochastic gradient descent that also averages the weights."""

from __future__ import annotations

from typing import Any, ClassVar

from chainrule.optim.formula import FormulaOptimizer, averaged, scalar, where
from chainrule.optim.group import ParamGroup
from chainrule.optim.number import Number, larger
from chainrule.optim.optimizer import Params, State
from chainrule.tensor import Tensor


class ASGD(FormulaOptimizer):
    """w ← (1 − λ'·ηₜ)·w − ηₜ·d,  ηₜ₊₁ = η / (1 + λ'·η·t)^α, and a ← the mean of w from step t₀ on.

    η₁ = η and d = g + λ·w. The average is the state `ax`. Polyak & Juditsky, 1992. Options: lr η,
    lambd λ', alpha α, t0 t₀, weight_decay λ. With `maximize`, g is replaced by −g. Raises
    ArgumentError for options out of range.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = ASGD([w], lr=0.1, lambd=0.0, t0=0)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (w * w).sum().backward()
    ...     optimizer.step()
    >>> w, optimizer.state[w]["ax"]
    (tensor([ 0.64, -1.28], requires_grad=True), tensor([ 0.64, -1.28]))
    """

    states: ClassVar = ("eta", "mu", "ax")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        maximize: bool = False,
        **switches: bool | None,
    ) -> None:
        numbers = dict(lr=lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay)
        super().__init__(params, numbers | dict(maximize=bool(maximize)), **switches)

    def initial_state(self, parameter: Tensor, group: ParamGroup) -> State:
        """Zeros; ηₜ is set at the first step, and the share of w in its average is 1."""
        own = {"eta": scalar(0.0), "mu": scalar(1.0)}
        return super().initial_state(parameter, group) | own

    def formula(self, w: Any, d: Any, s: Any) -> Any:
        """w, ηₜ₊₁, the share of the next w in the average, and the average."""
        first = s.lr.in_dtype(s.eta.dtype)
        eta, mu = Number.of(where(s.t == 1, first, s.eta)), Number.of(s.mu)
        w = (1 - s.lambd * eta) * w - eta * d
        new_eta = s.lr / (1 + s.lambd * s.lr * s.t) ** s.alpha
        new_mu = 1 / larger(s.t - s.t0, 1.0)
        return w, new_eta, new_mu, averaged(s.ax, w, 1 - mu)
