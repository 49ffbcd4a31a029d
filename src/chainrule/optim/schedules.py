"""Schedules with one formula: steps, exponentials, cosines, lines, and user functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.optim.group import ParamGroup
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.scheduler import (
    FactorSchedule,
    LRScheduler,
    Numbers,
    Step,
    each,
    group_place,
    where,
)
from chainrule.tensor import Tensor, from_numpy


class StepLR(FactorSchedule):
    """η(t) = η₀ · γ^⌊t / s⌋, where s is `step_size` and γ is `gamma`.

    Raises ArgumentError unless s ≥ 1.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> optimizer = optim.SGD([cr.zeros(2, requires_grad=True)], lr=1.0)
    >>> schedule = StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for _ in range(5):
    ...     print(schedule.get_last_lr()[0], end=" ")
    ...     schedule.step()
    1.0 1.0 0.5 0.5 0.25
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        _require(step_size >= 1, f"step_size = {step_size}", "an integer ≥ 1")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def curve(self, step: Tensor) -> Tensor:
        """γ^⌊t / s⌋."""
        power: Tensor = self.gamma ** (step.clamp(min=0) // self.step_size)
        return power


class MultiStepLR(FactorSchedule):
    """η(t) = η₀ · γ^n, where n is the number of `milestones` ≤ t and γ is `gamma`.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> optimizer = optim.SGD([cr.zeros(2, requires_grad=True)], lr=1.0)
    >>> schedule = MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
    >>> for _ in range(5):
    ...     print(schedule.get_last_lr()[0], end=" ")
    ...     schedule.step()
    1.0 0.5 0.5 0.25 0.25
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Sequence[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def curve(self, step: Tensor) -> Tensor:
        """γ^n."""
        passed = step >= from_numpy(np.array(self.milestones, np.int64))
        power: Tensor = self.gamma ** passed.sum()
        return power


class ExponentialLR(FactorSchedule):
    """η(t) = η₀ · γᵗ, where γ is `gamma`.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> optimizer = optim.SGD([cr.zeros(2, requires_grad=True)], lr=1.0)
    >>> schedule = ExponentialLR(optimizer, gamma=0.5)
    >>> for _ in range(4):
    ...     print(schedule.get_last_lr()[0], end=" ")
    ...     schedule.step()
    1.0 0.5 0.25 0.125
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def curve(self, step: Tensor) -> Tensor:
        """γᵗ."""
        power: Tensor = self.gamma**step
        return power


class CosineAnnealingLR(FactorSchedule):
    """η(t) = η₁ + (η₀ − η₁) · (1 + cos(π·t/T)) / 2, where T is `T_max` and η₁ is `eta_min`.

    Loshchilov & Hutter, 2017. After T, the rate rises again; the period is 2·T. Raises
    ArgumentError unless T > 0.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> optimizer = optim.SGD([cr.zeros(2, requires_grad=True)], lr=1.0)
    >>> schedule = CosineAnnealingLR(optimizer, T_max=4)
    >>> for _ in range(5):
    ...     print(f"{schedule.get_last_lr()[0]:.2f}", end=" ")
    ...     schedule.step()
    1.00 0.85 0.50 0.15 0.00
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        _require(T_max > 0, f"T_max = {T_max}", "a number of steps > 0")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def curve(self, step: Tensor) -> Tensor:
        """(1 + cos(π t / T)) / 2."""
        return (1 + (step * (math.pi / self.T_max)).cos()) / 2


class LinearLR(FactorSchedule):
    """η(t) = η₀ · (a + (b − a) · min(t, n) / n): a warm-up, or a linear decay.

    a is `start_factor`, b is `end_factor`, n is `total_iters`. Raises ArgumentError unless
    0 < a ≤ 1, 0 ≤ b ≤ 1 and n ≥ 1.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> optimizer = optim.SGD([cr.zeros(2, requires_grad=True)], lr=1.0)
    >>> schedule = LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> for _ in range(4):
    ...     print(schedule.get_last_lr()[0], end=" ")
    ...     schedule.step()
    0.5 0.75 1.0 1.0
    """

    enters = True

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        _require(0 < start_factor <= 1, f"start_factor = {start_factor}", "0 < start_factor ≤ 1")
        _require(0 <= end_factor <= 1, f"end_factor = {end_factor}", "0 ≤ end_factor ≤ 1")
        _require(total_iters >= 1, f"total_iters = {total_iters}", "an integer ≥ 1")
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def curve(self, step: Tensor) -> Tensor:
        """a + (b − a) · min(t, n) / n."""
        start, n = self.start_factor, self.total_iters
        return start + (self.end_factor - start) * (step.clamp(max=n) / n)


class ConstantLR(FactorSchedule):
    """η(t) = c·η₀ in the first n steps, then η₀, where c is `factor` and n is `total_iters`.

    Raises ArgumentError unless 0 ≤ c ≤ 1.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> optimizer = optim.SGD([cr.zeros(2, requires_grad=True)], lr=1.0)
    >>> schedule = ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> for _ in range(4):
    ...     print(schedule.get_last_lr()[0], end=" ")
    ...     schedule.step()
    0.5 0.5 1.0 1.0
    """

    enters = True

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        _require(0 <= factor <= 1, f"factor = {factor}", "0 ≤ factor ≤ 1")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def curve(self, step: Tensor) -> Tensor:
        """c while t < n, then 1."""
        chosen: Tensor = where(step < self.total_iters, self.factor, 1.0)
        return chosen


class PolynomialLR(FactorSchedule):
    """η(t) = η₀ · (1 − min(t, n)/n)^p, where n is `total_iters` and p is `power`.

    Raises ArgumentError unless n ≥ 1.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> optimizer = optim.SGD([cr.zeros(2, requires_grad=True)], lr=1.0)
    >>> schedule = PolynomialLR(optimizer, total_iters=4, power=2.0)
    >>> for _ in range(5):
    ...     print(schedule.get_last_lr()[0], end=" ")
    ...     schedule.step()
    1.0 0.5625 0.25 0.0625 0.0
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        _require(total_iters >= 1, f"total_iters = {total_iters}", "an integer ≥ 1")
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def curve(self, step: Tensor) -> Tensor:
        """(1 − min(t, n)/n)^p."""
        share: Tensor = (1 - step.clamp(max=self.total_iters) / self.total_iters) ** self.power
        return share


class SWALR(LRScheduler):
    """η goes from its value to `swa_lr` in n steps, where n is `anneal_epochs`, and stays there.

    The share of `swa_lr` is (1 − cos(π·t/n)) / 2 ("cos") or t/n ("linear"). For weights that are
    averaged afterwards (Izmailov et al., 2018). Raises ArgumentError for options out of range.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> optimizer = optim.SGD([cr.zeros(2, requires_grad=True)], lr=1.0)
    >>> schedule = SWALR(optimizer, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> for _ in range(4):
    ...     print(schedule.get_last_lr()[0], end=" ")
    ...     schedule.step()
    1.0 0.75 0.5 0.5
    """

    chained = True

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | Sequence[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        _require(anneal_strategy in ("cos", "linear"), repr(anneal_strategy), "'cos' or 'linear'")
        fits = isinstance(anneal_epochs, int) and anneal_epochs >= 0
        _require(fits, f"anneal_epochs = {anneal_epochs}", "an integer ≥ 0")
        self.attach(optimizer)
        rates = each("swa_lr", optimizer, swa_lr)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["swa_lr"] = rate
        self.anneal_epochs, self._anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """The rate after step t − 1, moved on to step t."""
        lr, end = group.tensors["lr"], group.tensors["swa_lr"]
        if self.anneal_epochs == 0:
            step = step.clamp(min=1)
        old, new = self._share(step - 1), self._share(step)
        start = where(old == 1, end, (lr - old * end) / where(old == 1, 1.0, 1 - old))
        return {"lr": end * new + start * (1 - new)}

    def _share(self, step: Tensor) -> Tensor:
        share = (step / max(1, self.anneal_epochs)).clamp(0.0, 1.0)
        return share if self._anneal_strategy == "linear" else (1 - (share * math.pi).cos()) / 2


class OfFunctions(LRScheduler):
    """Base class of schedules by functions of the step: one for all groups, or one for each."""

    unsaved: ClassVar = (*LRScheduler.unsaved, "lr_lambdas", "shared")

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[Any], Any] | Sequence[Callable[[Any], Any]],
        last_epoch: int = -1,
    ) -> None:
        self.attach(optimizer)
        count = len(optimizer.param_groups)
        given = [lr_lambda] * count if callable(lr_lambda) else list(lr_lambda)
        _require(len(given) == count, f"{len(given)} functions", f"{count}, as groups")
        self.lr_lambdas, self.shared = given, callable(lr_lambda)
        super().__init__(optimizer, last_epoch)

    def of(self, group: ParamGroup, step: Tensor) -> Any:
        """f(t), of the function for a group."""
        place = group_place(self.optimizer, group)
        if place >= len(self.lr_lambdas) and not self.shared:
            raise ArgumentError(
                f"a group was added to the {len(self.lr_lambdas)} that have a function each",
                instead="Make the schedule after the last add_param_group, or with one function.",
            )
        return self.lr_lambdas[0 if self.shared else place](Step(step._data))


class LambdaLR(OfFunctions):
    """η(t) = η₀ · f(t), where f is `lr_lambda`: one function, or one for each group.

    One function also applies to groups that are added later. t is a 0-d int64 tensor, which can be
    used as a number. To capture the step, write f with ops (`cr.where` instead of `if`). Raises
    ArgumentError if the number of functions is not that of the groups.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> optimizer = optim.SGD([cr.zeros(2, requires_grad=True)], lr=1.0)
    >>> schedule = LambdaLR(optimizer, lambda t: 0.5 ** (t // 2))
    >>> for _ in range(5):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """η(t)."""
        return {"lr": group.tensors["initial_lr"] * self.of(group, step)}


class MultiplicativeLR(OfFunctions):
    """η(t) = η(t − 1) · f(t) for t ≥ 1, where f is `lr_lambda`, as for LambdaLR.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> optimizer = optim.SGD([cr.zeros(2, requires_grad=True)], lr=1.0)
    >>> schedule = MultiplicativeLR(optimizer, lambda t: 0.5)
    >>> for _ in range(3):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.125]
    """

    chained = True

    def values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """η(t), if the rate is η(t − 1)."""
        return {"lr": group.tensors["lr"] * self.of(group, step)}

    def first_values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """The rate as it is."""
        return {"lr": group.tensors["lr"]}


def _require(right: bool, given: str, expected: str) -> None:
    if not right:
        raise ArgumentError(given, expected=expected)
