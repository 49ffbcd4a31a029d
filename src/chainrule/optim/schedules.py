"""Schedules with one formula: steps, exponentials, cosines, lines, and user functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DTypeError
from chainrule.optim.group import ParamGroup
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.scheduler import FactorSchedule, Numbers, Schedule
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
        super().__init__(optimizer, {"step_size": step_size, "gamma": gamma}, last_epoch)

    def factor(self, step: Tensor) -> Tensor:
        """γ^⌊t / s⌋."""
        power: Tensor = self.options["gamma"] ** (step // self.options["step_size"])
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
        options = {"milestones": sorted(milestones), "gamma": gamma}
        super().__init__(optimizer, options, last_epoch)

    def factor(self, step: Tensor) -> Tensor:
        """γ^n."""
        passed = step >= from_numpy(np.array(self.options["milestones"], np.int64))
        power: Tensor = self.options["gamma"] ** passed.sum()
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
        super().__init__(optimizer, {"gamma": gamma}, last_epoch)

    def factor(self, step: Tensor) -> Tensor:
        """γᵗ."""
        power: Tensor = self.options["gamma"] ** step
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
        super().__init__(optimizer, {"T_max": T_max, "eta_min": eta_min}, last_epoch)

    def factor(self, step: Tensor) -> Tensor:
        """(1 + cos(π t / T)) / 2."""
        return (1 + (step * (math.pi / self.options["T_max"])).cos()) / 2


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
        options = dict(start_factor=start_factor, end_factor=end_factor, total_iters=total_iters)
        super().__init__(optimizer, options, last_epoch)

    def factor(self, step: Tensor) -> Tensor:
        """a + (b − a) · min(t, n) / n."""
        start, end, n = (self.options[k] for k in ("start_factor", "end_factor", "total_iters"))
        return start + (end - start) * (step.clamp(max=n) / n)


class LambdaLR(Schedule):
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

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[Any], Any] | Sequence[Callable[[Any], Any]],
        last_epoch: int = -1,
    ) -> None:
        groups = getattr(optimizer, "param_groups", [])
        given = [lr_lambda] * len(groups) if callable(lr_lambda) else list(lr_lambda)
        _require(len(given) == len(groups), f"{len(given)} functions", f"{len(groups)}, as groups")
        self.lr_lambdas, self.shared = given, callable(lr_lambda)
        super().__init__(optimizer, {}, last_epoch)

    def values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """η(t)."""
        index = next(i for i, g in enumerate(self.optimizer.param_groups) if g is group)
        if index >= len(self.lr_lambdas) and not self.shared:
            raise ArgumentError(
                f"a group was added to the {len(self.lr_lambdas)} that have a function each",
                instead="Make the schedule after the last add_param_group, or with one function.",
            )
        function = self.lr_lambdas[0 if self.shared else index]
        return {"lr": group.tensors["initial_lr"] * function(_Step(step._data))}


class _Step(Tensor):
    """The step that is passed to user functions. It is not hashable, since a look-up in a dict by
    its identity would always fail."""

    __slots__ = ()

    def __hash__(self) -> int:
        raise DTypeError(
            "a step is a tensor, which a dict or set cannot look up",
            instead="Use a list, or cr.where; or int(step) where nothing is captured.",
        )


def _require(right: bool, given: str, expected: str) -> None:
    if not right:
        raise ArgumentError(given, expected=expected)
