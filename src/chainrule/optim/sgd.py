"""Stochastic gradient descent, with momentum and Nesterov's variant."""

from __future__ import annotations

from chainrule.errors import ArgumentError
from chainrule.gateway import apply
from chainrule.optim.group import ParamGroup
from chainrule.optim.optimizer import Optimizer, Params, State, step_counter, zeros_of
from chainrule.tensor import Tensor


class SGD(Optimizer):
    """w ← w − η·d, d = g + λ·w; with momentum μ: b ← μ·b + (1 − τ)·d, w ← w − η·b.

    The first b is d itself, without the dampening τ. With `nesterov`, w ← w − η·(d + μ·b).
    `maximize` climbs: −g for g. (Robbins & Monro, 1951; Polyak, 1964; Nesterov, 1983.)

    lr η, momentum μ, dampening τ, weight_decay λ. Options out of range raise ArgumentError.

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
        defaults = dict(
            lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay,
            nesterov=nesterov, maximize=maximize,
        )  # fmt: skip
        super().__init__(params, defaults, **switches)

    def initial_state(self, parameter: Tensor, group: ParamGroup) -> State:
        """The momentum buffer and the step counter, where there is momentum."""
        if "momentum" in group.without:
            return {}
        return {"step": step_counter(), "momentum_buffer": zeros_of(parameter)}

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, group: ParamGroup
    ) -> None:
        """One step, as the formula of the class says."""
        of, flags = group.tensors, group.flags
        if not state:
            (w,) = apply(
                "sgd_update", parameter, gradient, of["lr"], of["weight_decay"],
                maximize=flags["maximize"],
            )  # fmt: skip
            parameter.assign(w)
            return
        w, b, step = apply(
            "momentum_update", parameter, gradient, state["momentum_buffer"], state["step"],
            of["lr"], of["momentum"], of["dampening"], of["weight_decay"],
            nesterov=flags["nesterov"], maximize=flags["maximize"],
        )  # fmt: skip
        parameter.assign(w)
        state["momentum_buffer"].assign(b)
        state["step"].assign(step)
