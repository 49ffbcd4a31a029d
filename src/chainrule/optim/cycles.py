"""Schedules that rise and fall: one cycle, many, and restarts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, listing
from chainrule.gateway import require
from chainrule.optim.group import ParamGroup
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.scheduler import (
    Each,
    LRScheduler,
    Numbers,
    Step,
    each,
    exactly,
    group_place,
    number,
    where,
)
from chainrule.tensor import Tensor, from_numpy


class OneCycleLR(LRScheduler):
    """η rises from η₀ to `max_lr` in the first p·n steps, then falls to η₁ at step n − 1.

    Smith & Topin, 2018. η₀ = max_lr / div_factor, η₁ = η₀ / final_div_factor, n is `total_steps`
    (or epochs · steps_per_epoch), p is `pct_start`. A phase from a to b is
    b + (a − b) · (1 + cos(π·u)) / 2 ("cos") or a + (b − a) · u ("linear"), with u from 0 to 1. With
    `three_phase`, η falls to η₀ in the second p·n steps, and then to η₁. With `cycle_momentum`, the
    momentum (or β₁) moves in the opposite direction, between `max_momentum` and `base_momentum`.

    Raises ArgumentError for options out of range, if the optimizer has no momentum to cycle, and
    after n steps.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> optimizer = optim.AdamW([cr.zeros(2, requires_grad=True)])
    >>> schedule = OneCycleLR(optimizer, max_lr=1.0, total_steps=10, anneal_strategy="linear")
    >>> for _ in range(5):
    ...     print(f"{schedule.get_last_lr()[0]:.2f}", end=" ")
    ...     schedule.step()
    0.04 0.52 1.00 0.86 0.71
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Each,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Each = 0.85,
        max_momentum: Each = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        n = total_steps if total_steps is not None else (epochs or 0) * (steps_per_epoch or 0)
        if not isinstance(n, int) or n < 1:
            raise ArgumentError(
                f"total_steps = {n}", expected="total_steps ≥ 1, or epochs and steps_per_epoch"
            )
        if not 0 <= pct_start <= 1 or anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(
                f"pct_start = {pct_start}, anneal_strategy = {anneal_strategy!r}",
                expected="0 ≤ pct_start ≤ 1, 'cos' or 'linear'",
            )
        self.attach(optimizer)
        self.total_steps, self.pct_start, self.three_phase = n, pct_start, three_phase
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        if last_epoch == -1:
            tops = each("max_lr", optimizer, max_lr)
            for group, top in zip(optimizer.param_groups, tops, strict=True):
                first = top / div_factor
                rates = {"initial_lr": first, "max_lr": top, "min_lr": first / final_div_factor}
                set_numbers(group, {**rates, "lr": first})
        if cycle_momentum:
            set_momenta(optimizer, base_momentum, max_momentum, start=last_epoch == -1)
        super().__init__(optimizer, last_epoch)

    def values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """The learning rate, and with `cycle_momentum` the momentum."""
        names = ["initial_lr", "max_lr", "min_lr"]
        names += ["max_momentum", "base_momentum"] if self.cycle_momentum else []
        if missing := [name for name in names if name not in group.tensors]:
            raise ArgumentError(
                f"a group was added that has no {listing(missing)}, and so no cycle",
                instead=f"Give {listing(names)} to add_param_group.",
            )
        require(
            step <= self.total_steps,
            ArgumentError(f"the cycle of {self.total_steps} steps is over"),
        )
        start, top, last = (group.tensors[name] for name in names[:3])
        lr = self._annealed(step, [start, top, last], start)
        if not self.cycle_momentum:
            return {"lr": lr}
        high, low = (group.tensors[name] for name in names[3:])
        return {"lr": lr, **momentum(group, self._annealed(step, [high, low, high], high))}

    def _annealed(self, step: Tensor, turns: list[Tensor], middle: Tensor) -> Tensor:
        """A number that goes from turn to turn; with `three_phase`, to `middle` before the last."""
        share, end = self.pct_start * self.total_steps, float(self.total_steps - 1)
        ends = [0.0, share - 1, end]
        if self.three_phase:
            ends, turns = [0.0, share - 1, 2 * share - 2, end], [*turns[:2], middle, turns[2]]
        value = turns[0]
        for place in range(len(ends) - 1):
            begin, end = ends[place : place + 2]
            u = (step - begin) / (end - begin) if end > begin else step * 0.0 + 1.0
            old, new = turns[place : place + 2]
            moved = new + (old - new) * self._left(u)
            value = where(step > begin, moved, value) if place else moved
        return value

    def _left(self, u: Tensor) -> Tensor:
        """The share of the old value: from 1 at u = 0 to 0 at u = 1."""
        if self.anneal_strategy == "linear":
            return 1 - u
        return (1 + (u * math.pi).cos()) / 2


class CyclicLR(LRScheduler):
    """η goes from `base_lr` to `max_lr` in `step_size_up` steps, and back in `step_size_down`.

    In cycle c = 1, 2, …, the height of the triangle is multiplied by s: in mode "triangular" s = 1,
    in "triangular2" s = 2^(1 − c), and in "exp_range" s = γᵗ, where γ is `gamma`. Instead of a
    mode, `scale_fn` gives s from c, or with `scale_mode="iterations"` from the step t. With
    `cycle_momentum`, the momentum (or β₁) moves in the opposite direction, between `max_momentum`
    and `base_momentum`. Smith, 2017.

    Raises ArgumentError for options out of range, and if the optimizer has no momentum to cycle.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> optimizer = optim.SGD([cr.zeros(2, requires_grad=True)], momentum=0.9)
    >>> schedule = CyclicLR(optimizer, 0.25, max_lr=1.25, step_size_up=2, mode="triangular2")
    >>> for _ in range(7):
    ...     print(schedule.get_last_lr()[0], end=" ")
    ...     schedule.step()
    0.25 0.75 1.25 0.75 0.25 0.5 0.75
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: Each,
        max_lr: Each,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[Any], Any] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: Each = 0.8,
        max_momentum: Each = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ArgumentError(f"mode = {mode!r}", expected="triangular, triangular2 or exp_range")
        self.attach(optimizer)
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma, self.scale_fn = mode, gamma, scale_fn
        self.scale_mode = "iterations" if scale_fn is None and mode == "exp_range" else scale_mode
        self.cycle_momentum = cycle_momentum
        self.max_lrs = each("max_lr", optimizer, max_lr)
        bases = each("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for group, base in zip(optimizer.param_groups, bases, strict=True):
                set_numbers(group, {"initial_lr": base, "lr": base})
        if cycle_momentum:
            limits = set_momenta(optimizer, base_momentum, max_momentum, start=last_epoch == -1)
            self.base_momentums, self.max_momentums = limits
        super().__init__(optimizer, last_epoch)

    def values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """The learning rate, and with `cycle_momentum` the momentum."""
        place = group_place(self.optimizer, group)
        if place >= len(self.max_lrs):
            raise ArgumentError(
                "a group was added that has no max_lr, and so no cycle",
                instead="Make the schedule after the last add_param_group.",
            )
        cycle = (1 + step / self.total_size).floor()
        x = 1 + step / self.total_size - cycle
        ratio = self.step_ratio
        down = (x - 1) / (ratio - 1) if ratio < 1 else x
        height = where(x <= ratio, x / ratio, down) * self._scale(cycle, step)
        base = group.tensors["initial_lr"]
        lr = base + (self.max_lrs[place] - base) * height
        if not self.cycle_momentum:
            return {"lr": lr}
        high, low = group.tensors["max_momentum"], group.tensors["base_momentum"]
        return {"lr": lr, **momentum(group, high - (high - low) * height)}

    def _scale(self, cycle: Tensor, step: Tensor) -> Any:
        if self.scale_fn is not None:
            counted = step if self.scale_mode == "iterations" else cycle.to(np.int64)
            return self.scale_fn(Step(counted._data))
        scales = {"triangular": (1.0, cycle), "triangular2": (0.5, cycle - 1)}
        factor, power = scales.get(self.mode, (self.gamma, step))
        return factor**power


class CosineAnnealingWarmRestarts(LRScheduler):
    """η(t) = η₁ + (η₀ − η₁) · (1 + cos(π·T/Tᵢ)) / 2, where T counts the steps since a restart.

    The first restart is after T₀ steps, `T_0`, and each period Tᵢ is `T_mult` times the one before.
    η₁ is `eta_min`. `step(t)` also takes fractions, such as `epoch + batch / batches`. Loshchilov &
    Hutter, 2017. Raises ArgumentError unless `T_0` and `T_mult` are integers ≥ 1.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> optimizer = optim.SGD([cr.zeros(2, requires_grad=True)], lr=1.0)
    >>> schedule = CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
    >>> for _ in range(7):
    ...     print(f"{schedule.get_last_lr()[0]:.2f}", end=" ")
    ...     schedule.step()
    1.00 0.50 1.00 0.85 0.50 0.15 1.00
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ArgumentError(f"{name} = {value}", expected="an integer ≥ 1")
        self.attach(optimizer, T_cur=float(last_epoch), T_i=float(T_0))
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def step(self, epoch: float | None = None) -> None:
        """t ← t + 1, or t ← `epoch`, and set the rates."""
        if epoch is not None and epoch < 0:
            raise ArgumentError(f"epoch = {epoch}", expected="a number ≥ 0")
        state = self.state
        with exactly():
            if epoch is None:
                since, period = state["T_cur"] + 1, state["T_i"]
                restarts = since >= period
                since = where(restarts, since - period, since)
                period = where(restarts, period * self.T_mult, period)
                state["last_epoch"].assign(state["last_epoch"] + 1)
            else:
                since, period = self._position(number(float(epoch)))
                state["last_epoch"].assign(math.floor(epoch))
            state["T_cur"].assign(since)
            state["T_i"].assign(period)
            for group in self.optimizer.param_groups:
                group.tensors["lr"].assign(self._rate(group, since, period))
            self.note_rates()

    def values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """η(t)."""
        return {"lr": self._rate(group, *self._position(step.to(np.float64)))}

    def _position(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The steps since the last restart, and the period that it began."""
        first, factor = self.T_0, self.T_mult
        if factor == 1:
            return t % first, number(float(first))
        # Where t is the end of a period, the logarithm may be rounded to just below an integer.
        restarts = ((t / first * (factor - 1) + 1).log() / math.log(factor) + 1e-10).floor()
        period = first * float(factor) ** restarts
        return t - (period - first) / (factor - 1), period

    def _rate(self, group: ParamGroup, since: Tensor, period: Tensor) -> Tensor:
        base = group.tensors["initial_lr"]
        share = (1 + (since / period * math.pi).cos()) / 2
        rate: Tensor = self.eta_min + (base - self.eta_min) * share
        return rate


def set_numbers(group: ParamGroup, numbers: dict[str, float]) -> None:
    """Set numbers of a group; those that it does not have are added."""
    for name, value in numbers.items():
        group.add_number(name, value)
        group[name] = value


def set_momenta(
    optimizer: Optimizer, base: Each, top: Each, start: bool
) -> tuple[list[float], list[float]]:
    """At the start, keep the limits of the momentum in each group, and set it to the upper one.

    Returns the lower and the upper limits. Raises ArgumentError if the optimizer has neither a
    momentum nor betas.
    """
    if not {"momentum", "betas"} & optimizer.defaults.keys():
        raise ArgumentError("there is no momentum to cycle", instead="Pass cycle_momentum=False.")
    lows, highs = (each("momentum", optimizer, x) for x in (base, top))
    for group, low, high in zip(optimizer.param_groups, lows, highs, strict=True):
        if start:
            set_numbers(group, {"max_momentum": high, "base_momentum": low})
            if "betas" in group:
                group["betas"] = (high, *group["betas"][1:])
            else:
                group["momentum"] = high
    return lows, highs


def momentum(group: ParamGroup, value: Tensor) -> Numbers:
    """The momentum of a group, or its betas with a new first one."""
    if "betas" not in group.tensors:
        return {"momentum": value}
    first = from_numpy(np.arange(group.tensors["betas"].shape[0]) == 0)
    return {"betas": where(first, value, group.tensors["betas"])}
