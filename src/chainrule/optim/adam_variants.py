"""Variants of Adam: other steps from the averages of the gradient and of its square."""

from __future__ import annotations

from typing import Any, ClassVar

from chainrule.ops.elementwise import maximum
from chainrule.optim.formula import FormulaOptimizer, averaged, scalar, where
from chainrule.optim.group import ParamGroup
from chainrule.optim.number import Number
from chainrule.optim.optimizer import Params, State
from chainrule.optim.options import FROM_ZERO
from chainrule.tensor import Tensor


class AdamVariant(FormulaOptimizer):
    """Base class: m ← β₁·m + (1 − β₁)·d,  v ← β₂·v + (1 − β₂)·d², and the options of Adam.

    A subclass defines `formula`, and calls `moments` in it.
    """

    states: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        maximize: bool,
        switches: dict[str, bool | None],
        **more: Any,
    ) -> None:
        numbers = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        super().__init__(params, numbers | more | dict(maximize=bool(maximize)), **switches)

    def moments(self, d: Tensor, s: Any) -> tuple[Tensor, Tensor]:
        """The new m and v."""
        beta1, beta2 = s.betas
        return averaged(s.exp_avg, d, beta1), averaged(s.exp_avg_sq, d * d, beta2)


class Adamax(AdamVariant):
    """w ← w − η/(1 − β₁ᵗ)·m/u,  u ← max(β₂·u, |d| + ε),  d = g + λ·w.

    m ← β₁·m + (1 − β₁)·d. Kingma & Ba, 2015 (section 7.1). Options: lr η, betas (β₁, β₂), eps ε,
    weight_decay λ. With `maximize`, g is replaced by −g. Raises ArgumentError for options out of
    range.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adamax([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    states: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **switches: bool | None,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, maximize, switches)

    def formula(self, w: Any, d: Any, s: Any) -> Any:
        """w, m and u."""
        beta1, beta2 = s.betas
        m = averaged(s.exp_avg, d, beta1)
        u = maximum(beta2 * s.exp_inf, d.abs() + s.eps)
        return w - s.lr / (1 - beta1**s.t) * (m / u), m, u


class NAdam(AdamVariant):
    """w ← w − η·(μ'·m/(1 − ∏μ·μ') + (1 − μ)·d/(1 − ∏μ)) / (√v̂ + ε): Adam with Nesterov's momentum.

    μ = β₁·(1 − 0.96^(t·ψ)/2), and μ' is that of step t + 1; m, v and v̂ are those of Adam. Dozat,
    2016. Options: lr η, betas (β₁, β₂), eps ε, weight_decay λ, momentum_decay ψ. d = g + λ·w, or
    with `decoupled_weight_decay` d = g, and the step starts from w·(1 − η·λ). With `maximize`, g is
    replaced by −g. Raises ArgumentError for options out of range.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = NAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.8944, -1.8944], requires_grad=True)
    """

    states: ClassVar[tuple[str, ...]] = ("mu_product", "exp_avg", "exp_avg_sq")
    conditions: ClassVar = {"momentum_decay": FROM_ZERO}

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **switches: bool | None,
    ) -> None:
        more: dict[str, Any] = dict(momentum_decay=momentum_decay)
        more |= dict(decoupled_weight_decay=bool(decoupled_weight_decay))
        super().__init__(params, lr, betas, eps, weight_decay, maximize, switches, **more)

    def initial_state(self, parameter: Tensor, group: ParamGroup) -> State:
        """Zeros, and the empty product 1."""
        return super().initial_state(parameter, group) | {"mu_product": scalar(1.0)}

    def formula(self, w: Any, d: Any, s: Any) -> Any:
        """w, ∏μ, m and v."""
        (beta1, beta2), t = s.betas, s.t
        m, v = self.moments(d, s)
        mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (k * s.momentum_decay)) for k in (t, t + 1))
        mu_product = s.mu_product * mu
        product = Number.of(mu_product)
        ahead = mu_next / (1 - product * mu_next) * m + (1 - mu) / (1 - product) * d
        return w - s.lr * ahead / ((v / (1 - beta2**t)).sqrt() + s.eps), mu_product, m, v


class RAdam(AdamVariant):
    """w ← w − η·r·m̂ / (√v̂ + ε'), or w − η·m̂ while v is unreliable: a rectified Adam.

    r² = (ρ − 4)(ρ − 2)ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)ρ) if ρ > 5, with ρ = ρ∞ − 2·t·β₂ᵗ/(1 − β₂ᵗ) and
    ρ∞ = 2/(1 − β₂) − 1. ε' = ε/√(1 − β₂ᵗ); m̂ and v̂ are those of Adam. Liu et al., 2020. Options:
    lr η, betas (β₁, β₂), eps ε, weight_decay λ. d = g + λ·w, or with `decoupled_weight_decay`
    d = g, and the step starts from w·(1 − η·λ). With `maximize`, g is replaced by −g. Raises
    ArgumentError for options out of range.

    >>> import chainrule as cr
    >>> w = cr.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = RAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.8, -1.6], requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **switches: bool | None,
    ) -> None:
        more = dict(decoupled_weight_decay=bool(decoupled_weight_decay))
        super().__init__(params, lr, betas, eps, weight_decay, maximize, switches, **more)

    def formula(self, w: Any, d: Any, s: Any) -> Any:
        """w, m and v."""
        (beta1, beta2), t = s.betas, s.t
        m, v = self.moments(d, s)
        correction, limit = 1 - beta2**t, 2 / (1 - beta2) - 1
        length = limit - 2 * t * beta2**t / correction
        reliable = length > 5
        rho = Number.of(where(reliable, length, 6.0))  # 6 only so that the root exists
        ratio = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)
        scale = where(reliable, (ratio * correction) ** 0.5 / (v.sqrt() + s.eps), 1.0)
        return w - s.lr / (1 - beta1**t) * (m * scale), m, v


class LAMB(AdamVariant):
    """w ← w − η·(‖w‖/‖r‖)·r,  r = m̂ / (√v̂ + ε) + λ·w: Adam with a rate for each parameter.

    m̂ and v̂ are those of Adam. The ratio is 1 if one of the norms is 0. You et al., 2020, for
    large batches. Options: lr η, betas (β₁, β₂), eps ε, weight_decay λ. With `maximize`, g is
    replaced by −g. Raises ArgumentError for options out of range.

    >>> import chainrule as cr
    >>> w = cr.tensor([3.0, 4.0], requires_grad=True)
    >>> optimizer = LAMB([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([2.6464, 3.6464], requires_grad=True)
    """

    decay: ClassVar = "nothing"

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **switches: bool | None,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, maximize, switches)

    def formula(self, w: Any, d: Any, s: Any) -> Any:
        """w, m and v."""
        (beta1, beta2), t = s.betas, s.t
        m, v = self.moments(d, s)
        r = m / (1 - beta1**t) / ((v / (1 - beta2**t)).sqrt() + s.eps) + s.weight_decay * w
        of_w, of_r = (w * w).sum().sqrt(), (r * r).sum().sqrt()
        ratio = where((of_w > 0) & (of_r > 0), of_w / where(of_r > 0, of_r, 1.0), 1.0)
        return w - s.lr * ratio * r, m, v
