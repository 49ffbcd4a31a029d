"""Schedules of several parts, and the one that depends on a metric: sequences, one cycle,
plateaus."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, listing
from chainrule.optim.group import ParamGroup
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.options import checked
from chainrule.optim.scheduler import LRScheduler, Numbers, Schedule, where
from chainrule.settings import use
from chainrule.tensor import Tensor, from_numpy


class SequentialLR(Schedule):
    """η(t) = ηᵢ(t − mᵢ), where mᵢ is the last of the `milestones` ≤ t: several schedules in turn.

    At a milestone, the rate is set to ηᵢ(0). Raises ArgumentError for milestones that do not rise
    or do not fit the number of schedules, and DTypeError for a schedule without a formula. A
    warm-up, then a cosine:

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> optimizer = optim.SGD([cr.zeros(2, requires_grad=True)], lr=1.0)
    >>> warm_up = optim.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> cosine = optim.CosineAnnealingLR(optimizer, T_max=4)
    >>> schedule = SequentialLR(optimizer, [warm_up, cosine], milestones=[2])
    >>> for _ in range(5):
    ...     print(f"{schedule.get_last_lr()[0]:.2f}", end=" ")
    ...     schedule.step()
    0.50 0.75 1.00 0.85 0.50
    """

    chained = True

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        parts: list[Schedule] = []
        for part in schedulers:
            if not isinstance(part, Schedule):
                raise DTypeError(
                    "SequentialLR takes schedules in closed form", given=type(part).__name__
                )
            if part.optimizer is not optimizer:
                raise ArgumentError(f"{part} schedules another optimizer")
            parts.append(part)
        starts = list(milestones)
        if len(starts) != len(parts) - 1 or starts != sorted(set(starts)):
            raise ArgumentError(
                f"{len(parts)} schedules and the milestones {starts}",
                expected="rising milestones, one fewer than schedules",
            )
        self.schedulers = parts
        self.starts = [0, *starts]
        options = {
            "milestones": starts,
            "schedulers": [{type(part).__name__: part.options} for part in parts],
        }
        super().__init__(optimizer, options, last_epoch)

    def values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """The numbers of the schedule that is active at this step."""
        return self._chosen(group, step, lambda part, own: part.values(group, own))

    def next_values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """The numbers of the active schedule: set at its first step, and updated afterwards."""

        def following(part: Schedule, own: Tensor) -> Numbers:
            anew = part.values(group, own)
            moved = part.next_values(group, own) if part.chained else anew
            return {name: where(own == 0, x, moved[name]) for name, x in anew.items()}

        return self._chosen(group, step, following)

    def _chosen(
        self, group: ParamGroup, step: Tensor, numbers: Callable[[Schedule, Tensor], Numbers]
    ) -> Numbers:
        chosen: Numbers = {}
        for part, start in zip(self.schedulers, self.starts, strict=True):
            for name, value in numbers(part, (step - start).clamp(min=0)).items():
                before = chosen.get(name, group.tensors[name])
                chosen[name] = where(step >= start, value, before)
        return chosen


RATES = ("initial_lr", "max_lr", "min_lr")
"""The first, the largest and the last rate of a cycle."""


class OneCycleLR(Schedule):
    """η rises from η₀ to `max_lr` in the first p·n steps, then falls to η₁ at step n − 1.

    Smith & Topin, 2018. η₀ = max_lr / div_factor, η₁ = η₀ / final_div_factor, n is `total_steps`
    (or epochs · steps_per_epoch), p is `pct_start`. A phase from a to b is
    b + (a − b) · (1 + cos(π·u)) / 2 ("cos") or a + (b − a) · u ("linear"), with u from 0 to 1. With
    `three_phase`, η falls to η₀ in the second p·n steps, and then to η₁. With `cycle_momentum`, the
    momentum (or β₁) moves in the opposite direction, between `max_momentum` and `base_momentum`.

    Raises ArgumentError for options out of range, and if there is no momentum to cycle.

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
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
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
        groups = getattr(optimizer, "param_groups", [])
        if cycle_momentum and not all("betas" in g or g.get("momentum") for g in groups):
            raise ArgumentError(
                "there is no momentum to cycle", instead="Pass cycle_momentum=False."
            )
        if last_epoch == -1:
            _set_rates(groups, max_lr, div_factor, final_div_factor)
        options = dict(
            total_steps=n,
            pct_start=pct_start,
            anneal_strategy=anneal_strategy,
            cycle_momentum=cycle_momentum,
            base_momentum=base_momentum,
            max_momentum=max_momentum,
            three_phase=three_phase,
        )
        super().__init__(optimizer, options, last_epoch)

    def values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """The learning rate, and with `cycle_momentum` the momentum."""
        if missing := [name for name in RATES if name not in group.tensors]:
            raise ArgumentError(
                f"a group was added that has no {listing(missing)}, and so no cycle",
                instead=f"Give {listing(RATES)} to add_param_group.",
            )
        n, share = self.options["total_steps"], self.options["pct_start"]
        high, low = self.options["max_momentum"], self.options["base_momentum"]
        start, top, last = (group.tensors[k] for k in RATES)
        up = (share * n - 1, start, top, high, low)
        if self.options["three_phase"]:
            down = (2 * share * n - 2, top, start, low, high)
            phases = [up, down, (n - 1, start, last, high, high)]
        else:
            phases = [up, (n - 1, top, last, low, high)]
        begin = 0.0
        lr, momentum = start, from_numpy(np.asarray(high, np.float64))
        for number, (end, lr_from, lr_to, momentum_from, momentum_to) in enumerate(phases):
            done = (step - begin) / (end - begin) if end > begin else step * 0.0 + 1.0
            share_done = self._annealed(done.clamp(0.0, 1.0))
            turn = step > begin if number else step >= 0
            lr = where(turn, lr_to + (lr_from - lr_to) * share_done, lr)
            moved = momentum_to + (momentum_from - momentum_to) * share_done
            momentum = where(turn, moved, momentum)
            begin = end
        if not self.options["cycle_momentum"]:
            return {"lr": lr}
        if "betas" in group.tensors:
            first = from_numpy(np.array([True, False]))
            return {"lr": lr, "betas": where(first, momentum, group.tensors["betas"])}
        return {"lr": lr, "momentum": momentum}

    def _annealed(self, u: Tensor) -> Tensor:
        """The share of the old value: from 1 at u = 0 to 0 at u = 1."""
        if self.options["anneal_strategy"] == "linear":
            return 1 - u
        return (1 + (u * math.pi).cos()) / 2


def _set_rates(
    groups: Sequence[ParamGroup],
    max_lr: float | Sequence[float],
    div_factor: float,
    final_div_factor: float,
) -> None:
    """Set the first, the largest and the last rate of the cycle in each group."""
    tops = max_lr if isinstance(max_lr, Sequence) else [max_lr] * len(groups)
    if len(tops) != len(groups):
        raise ArgumentError(f"{len(tops)} max_lr for {len(groups)} groups")
    for group, top in zip(groups, tops, strict=True):
        first = checked("lr", top).item() / div_factor
        for name, value in zip(RATES, (first, top, first / final_div_factor), strict=True):
            group.add_number(name, value)
            group[name] = value


class ReduceLROnPlateau(LRScheduler):
    """η ← max(γ·η, `min_lr`) after more than `patience` steps in which the metric did not improve.

    γ is `factor`. In mode "min", the metric improves if it is below best·(1 − threshold) ("rel") or
    best − threshold ("abs"); in mode "max", if it is above best·(1 + threshold) or
    best + threshold. After a reduction, `cooldown` steps are not counted. A reduction by at most
    `eps` is skipped. The decision consists of tensor ops, so a captured step can include it. Raises
    ArgumentError for options out of range.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> optimizer = optim.SGD([cr.zeros(2, requires_grad=True)], lr=1.0)
    >>> schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in [3.0, 2.0, 2.0, 2.0, 2.0]:
    ...     schedule.step(loss)
    ...     print(schedule.get_last_lr()[0], end=" ")
    1.0 1.0 1.0 0.5 0.5
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        if not 0 <= factor < 1:
            raise ArgumentError(f"factor = {factor}", expected="0 ≤ factor < 1")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ArgumentError(
                f"mode = {mode!r}, threshold_mode = {threshold_mode!r}",
                expected="'min' or 'max'; 'rel' or 'abs'",
            )
        lows = list(min_lr) if isinstance(min_lr, Sequence) else [min_lr]
        options = dict(
            mode=mode,
            factor=factor,
            patience=patience,
            threshold=threshold,
            threshold_mode=threshold_mode,
            cooldown=cooldown,
            min_lr=lows,
            eps=eps,
        )
        zero = np.zeros((), np.int64)
        state = {
            "best": from_numpy(np.asarray(math.inf if mode == "min" else -math.inf)),
            "num_bad_epochs": from_numpy(zero),
            "cooldown_counter": from_numpy(zero),
            "last_epoch": from_numpy(zero),
        }
        super().__init__(optimizer, options, state)
        self._check_groups()

    def step(self, metrics: Any = None, epoch: int | None = None) -> None:
        """Record a metric (a number or 0-d tensor), and reduce the rates if it is a plateau."""
        if metrics is None:
            raise ArgumentError("the plateau schedule needs the metric: step(loss)")
        self._check_groups()
        options, state = self.options, self.state
        with use(gradients=False, default_dtype=np.dtype(np.float64)):
            if isinstance(metrics, Tensor):
                metric = metrics.reshape(()).to(np.float64)
            else:
                metric = from_numpy(np.asarray(metrics, np.float64).reshape(()))
            better = self._better(metric)
            cooling = state["cooldown_counter"] > 0
            bad = where(better | cooling, 0, state["num_bad_epochs"] + 1)
            cooldown = state["cooldown_counter"] - cooling.to(np.int64)
            reduce = bad > options["patience"]
            state["best"].assign(where(better, metric, state["best"]))
            state["num_bad_epochs"].assign(where(reduce, 0, bad))
            state["cooldown_counter"].assign(where(reduce, options["cooldown"], cooldown))
            state["last_epoch"].assign(state["last_epoch"] + 1 if epoch is None else epoch)
            self._reduce(reduce)

    def _check_groups(self) -> None:
        lows, groups = len(self.options["min_lr"]), len(self.optimizer.param_groups)
        if lows not in (1, groups):
            raise ArgumentError(
                f"{lows} min_lr for {groups} groups",
                instead="Give one number for all, or make the schedule after the last group.",
            )

    def _better(self, metric: Tensor) -> Tensor:
        best, margin = self.state["best"], self.options["threshold"]
        sign = -1 if self.options["mode"] == "min" else 1
        if self.options["threshold_mode"] == "rel":
            bound = best * (1 + sign * margin)
        else:
            bound = best + sign * margin
        return metric < bound if sign < 0 else metric > bound

    def _reduce(self, now: Tensor) -> None:
        lows = self.options["min_lr"]
        for number, group in enumerate(self.optimizer.param_groups):
            lr = group.tensors["lr"]
            smaller = (lr * self.options["factor"]).clamp(min=float(lows[number % len(lows)]))
            worthwhile = now & (lr - smaller > self.options["eps"])
            lr.assign(where(worthwhile, smaller, lr))
