"""Muon: momentum whose matrix is replaced by the nearest orthogonal one."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from chainrule.errors import ArgumentError, ShapeError
from chainrule.optim.formula import FormulaOptimizer, averaged
from chainrule.optim.group import ParamGroup
from chainrule.optim.optimizer import Params, State
from chainrule.tensor import Tensor


def original(rows: int, columns: int) -> float:
    """√max(1, rows/columns)."""
    return math.sqrt(max(1, rows / columns))


def match_rms_adamw(rows: int, columns: int) -> float:
    """0.2·√max(rows, columns): the size of the steps of AdamW."""
    return 0.2 * math.sqrt(max(rows, columns))


RATIOS = {None: original, "original": original, "match_rms_adamw": match_rms_adamw}
"""What the rate of a matrix is multiplied by: `adjust_lr_fn`."""


class Muon(FormulaOptimizer):
    """w ← w·(1 − η·λ) − η'·orthogonal(b),  b ← μ·b + (1 − μ)·g, for matrices.

    orthogonal(b) ≈ U·Vᵀ of the SVD b = U·S·Vᵀ, by `ns_steps` steps of a Newton-Schulz iteration
    x ← a·x + (b'·x·xᵀ + c·(x·xᵀ)²)·x from b/‖b‖, with (a, b', c) = `ns_coefficients`. With
    `nesterov`, b is replaced by (1 − μ)·g + μ·b. η' = η·√max(1, rows/columns), or with
    `adjust_lr_fn="match_rms_adamw"` η' = η·0.2·√max(rows, columns). Jordan et al., 2024; Liu et
    al., 2025. Options: lr η, weight_decay λ, momentum μ, eps, the least ‖b‖. PyTorch iterates in
    bfloat16; here the iteration has the dtype of the weights.

    Raises ShapeError for parameters that are no matrices: give those to another optimizer. Raises
    ArgumentError for options out of range.

    >>> import chainrule as cr
    >>> w = cr.zeros(2, 2, requires_grad=True)
    >>> optimizer = Muon([w], lr=0.1, ns_steps=20, ns_coefficients=(1.5, -0.5, 0.0))
    >>> (w * cr.tensor([[3.0, 0.0], [0.0, 1.0]])).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([[-0.1,  0. ],
            [ 0. , -0.1]], requires_grad=True)
    """

    states: ClassVar = ("momentum_buffer",)
    decay: ClassVar = "weights"
    fixed: ClassVar = frozenset({"ns_steps", "adjust_lr_fn"})
    switches: ClassVar = {}
    unlisted: ClassVar = ("step",)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        numbers: dict[str, Any] = dict(lr=lr, weight_decay=weight_decay, momentum=momentum)
        flags = dict(nesterov=bool(nesterov), ns_coefficients=ns_coefficients, eps=eps)
        more = dict(ns_steps=ns_steps, adjust_lr_fn=adjust_lr_fn)
        super().__init__(params, numbers | flags | more)

    def initial_state(self, parameter: Tensor, group: ParamGroup) -> State:
        """The buffer b. Raises ShapeError unless the parameter is a matrix."""
        if parameter.ndim != 2:
            raise ShapeError(
                "Muon updates matrices",
                given=parameter.shape,
                expected="two dimensions",
                instead="Give other parameters to another optimizer, such as AdamW.",
            )
        if group["adjust_lr_fn"] not in RATIOS:
            raise ArgumentError(
                f"adjust_lr_fn = {group['adjust_lr_fn']!r}", expected="original or match_rms_adamw"
            )
        if not 0 <= group["ns_steps"] < 100:
            raise ArgumentError(f"ns_steps = {group['ns_steps']}", expected="0 to 99")
        return super().initial_state(parameter, group)

    def formula(self, w: Any, d: Any, s: Any) -> Any:
        """w and b."""
        b = averaged(s.momentum_buffer, d, s.momentum)
        change = orthogonal(averaged(b, d, s.momentum) if s.nesterov else b, s)
        return w - s.lr * RATIOS[s.adjust_lr_fn](*w.shape) * change, b


def orthogonal(x: Any, s: Any) -> Any:
    """The nearest orthogonal matrix, approximately: all singular values become about 1."""
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.mT  # so that x·xᵀ is the smaller product
    x = x / (x * x).sum().sqrt().clamp(s.eps.in_dtype(x.dtype), None)
    a, b, c = s.ns_coefficients
    for _ in range(s.ns_steps):
        square = x @ x.mT
        x = a * x + (b * square + c * (square @ square)) @ x
    return x if wide else x.mT
