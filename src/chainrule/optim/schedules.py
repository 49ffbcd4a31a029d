"""Schedules of one formula: steps, exponentials, cosines, lines, and functions of one's own."""

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
    """η(t) = η₀ · γ^⌊t / s⌋, with s `step_size` and γ `gamma`."""

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
    """η(t) = η₀ · γ^n, with n the number of `milestones` ≤ t and γ `gamma`."""

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
    """η(t) = η₀ · γᵗ, with γ `gamma`."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        super().__init__(optimizer, {"gamma": gamma}, last_epoch)

    def factor(self, step: Tensor) -> Tensor:
        """γᵗ."""
        power: Tensor = self.options["gamma"] ** step
        return power


class CosineAnnealingLR(FactorSchedule):
    """η(t) = η₁ + (η₀ − η₁) · (1 + cos(π t / T)) / 2, with T `T_max` and η₁ `eta_min`.

    Loshchilov & Hutter, 2017. After T it rises again, with the period 2 T.
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

    a is `start_factor`, b `end_factor`, n `total_iters`.
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
    """η(t) = η₀ · f(t), with f `lr_lambda`: one function, or one for each group.

    One function serves groups that are added later too. f is given t as a 0-d int64 tensor, which
    acts as a number; write f with ops (`cr.where`, not `if`) where the step is to be captured.

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
    """A step as users' functions see it. It is no key of a dict: that would never be found."""

    __slots__ = ()

    def __hash__(self) -> int:
        raise DTypeError(
            "a step is a tensor, which a dict or set cannot look up",
            instead="Use a list, or cr.where; or int(step) where nothing is captured.",
        )


def _require(right: bool, given: str, expected: str) -> None:
    if not right:
        raise ArgumentError(given, expected=expected)
