"""The schedule that depends on a metric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.scheduler import LRScheduler, exactly, number, where
from chainrule.tensor import Tensor


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
        if not factor < 1:
            raise ArgumentError(f"factor = {factor}", expected="factor < 1")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ArgumentError(
                f"mode = {mode!r}, threshold_mode = {threshold_mode!r}",
                expected="'min' or 'max'; 'rel' or 'abs'",
            )
        best = math.inf if mode == "min" else -math.inf
        self.attach(optimizer, best=best, num_bad_epochs=0, cooldown_counter=0, last_epoch=0)
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.eps = cooldown, eps
        self.min_lrs = list(min_lr) if isinstance(min_lr, Sequence) else [min_lr]
        self._check_groups()

    def step(self, metrics: Any = None, epoch: int | None = None) -> None:  # type: ignore[override]
        """Record a metric (a number or 0-d tensor), and reduce the rates if it is a plateau."""
        if metrics is None:
            raise ArgumentError("the plateau schedule needs the metric: step(loss)")
        self._check_groups()
        state = self.state
        with exactly():
            if isinstance(metrics, Tensor):
                metric = metrics.reshape(()).to(np.float64)
            else:
                metric = number(float(metrics))
            better = self._better(metric)
            cooling = state["cooldown_counter"] > 0
            bad = where(better | cooling, 0, state["num_bad_epochs"] + 1)
            cooldown = state["cooldown_counter"] - cooling.to(np.int64)
            reduce = bad > self.patience
            state["best"].assign(where(better, metric, state["best"]))
            state["num_bad_epochs"].assign(where(reduce, 0, bad))
            state["cooldown_counter"].assign(where(reduce, self.cooldown, cooldown))
            state["last_epoch"].assign(state["last_epoch"] + 1 if epoch is None else epoch)
            self._reduce(reduce)
            self.note_rates()

    @property
    def in_cooldown(self) -> bool:
        """Whether the steps after a reduction are not counted yet."""
        return bool(self.cooldown_counter > 0)

    def _check_groups(self) -> None:
        lows, groups = len(self.min_lrs), len(self.optimizer.param_groups)
        if lows not in (1, groups):
            raise ArgumentError(
                f"{lows} min_lr for {groups} groups",
                instead="Give one number for all, or make the schedule after the last group.",
            )

    def _better(self, metric: Tensor) -> Tensor:
        best, margin = self.state["best"], self.threshold
        sign = -1 if self.mode == "min" else 1
        bound = best * (1 + sign * margin) if self.threshold_mode == "rel" else best + sign * margin
        return metric < bound if sign < 0 else metric > bound

    def _reduce(self, now: Tensor) -> None:
        for place, group in enumerate(self.optimizer.param_groups):
            lr, low = group.tensors["lr"], float(self.min_lrs[place % len(self.min_lrs)])
            smaller = (lr * self.factor).clamp(min=low)
            worthwhile = now & (lr - smaller > self.eps)
            lr.assign(where(worthwhile, smaller, lr))
