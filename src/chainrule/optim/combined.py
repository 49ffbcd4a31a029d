"""Schedules of several parts: one after the other, or all at each step."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from chainrule.errors import ArgumentError, DTypeError
from chainrule.optim.group import ParamGroup
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.plateau import ReduceLROnPlateau
from chainrule.optim.scheduler import LRScheduler, Numbers, where
from chainrule.tensor import Tensor


class Combined(LRScheduler):
    """Base class of the schedules that have other schedules as parts."""

    unsaved: ClassVar = (*LRScheduler.unsaved, "_schedulers")
    _schedulers: list[LRScheduler]

    def take(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer) -> None:
        """Check the parts and keep them. Raises ArgumentError or DTypeError if one does not fit."""
        for part in schedulers:
            if not isinstance(part, LRScheduler) or isinstance(part, ReduceLROnPlateau):
                raise DTypeError(
                    f"{type(self).__name__} takes schedules that step without a metric",
                    given=type(part).__name__,
                )
            if part.optimizer is not optimizer:
                raise ArgumentError(f"{part} schedules another optimizer")
        self._schedulers = list(schedulers)

    @property
    def options(self) -> dict[str, Any]:
        """The own options, and those of the parts."""
        parts = [{type(part).__name__: part.options} for part in self._schedulers]
        return {**super().options, "schedulers": parts}


class SequentialLR(Combined):
    """η(t) = ηᵢ(t − mᵢ), where mᵢ is the last of the `milestones` ≤ t: several schedules in turn.

    At a milestone, the rate is set to ηᵢ(0). Raises ArgumentError for milestones that do not rise
    or do not fit the number of schedules, and DTypeError for schedules that need a metric or have
    parts themselves. A warm-up, then a cosine:

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
        self.take(schedulers, optimizer)
        if any(isinstance(part, Combined) for part in schedulers):
            raise DTypeError(
                "a part of SequentialLR has parts itself", instead="Give all of them in one row."
            )
        self._milestones = list(milestones)
        if len(self._milestones) != len(self._schedulers) - 1 or self._milestones != sorted(
            set(self._milestones)
        ):
            raise ArgumentError(
                f"{len(self._schedulers)} schedules and the milestones {self._milestones}",
                expected="rising milestones, one fewer than schedules",
            )
        super().__init__(optimizer, last_epoch)

    @property
    def active(self) -> LRScheduler:
        """The part that is active at the present step."""
        return self._schedulers[bisect_right(self._milestones, self.last_epoch)]

    def first_values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """The numbers of the first schedule, as if the others had not been made."""
        group.tensors["lr"].assign(group.tensors["initial_lr"])
        return self._schedulers[0].first_values(group, step)

    def values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """The numbers of the schedule that is active at this step."""
        return self._chosen(group, step, lambda part, own: part.values(group, own))

    def next_values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """The numbers of the active schedule: set at its first step, and updated afterwards."""

        def following(part: LRScheduler, own: Tensor) -> Numbers:
            anew = part.values(group, own)
            moved = part.next_values(group, own) if part.chained else anew
            return {name: where(own == 0, x, moved[name]) for name, x in anew.items()}

        return self._chosen(group, step, following)

    def _chosen(
        self, group: ParamGroup, step: Tensor, numbers: Callable[[LRScheduler, Tensor], Numbers]
    ) -> Numbers:
        chosen: Numbers = {}
        for part, start in zip(self._schedulers, [0, *self._milestones], strict=True):
            for name, value in numbers(part, (step - start).clamp(min=0)).items():
                before = chosen.get(name, group.tensors[name])
                chosen[name] = where(step >= start, value, before)
        return chosen


class ChainedScheduler(Combined):
    """All `schedulers` make a step at each step, in their order: η(t) = η₀·Πᵢ fᵢ(t).

    Raises ArgumentError if there is no part, or parts of several optimizers, and DTypeError for
    schedules that need a metric.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> optimizer = optim.SGD([cr.zeros(2, requires_grad=True)], lr=1.0)
    >>> warm_up = optim.ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> decay = optim.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule = ChainedScheduler([warm_up, decay])
    >>> for _ in range(4):
    ...     print(schedule.get_last_lr()[0], end=" ")
    ...     schedule.step()
    0.5 0.25 0.25 0.125
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        if not schedulers:
            raise ArgumentError("a chain of no schedules", expected="at least one")
        optimizer = schedulers[0].optimizer if optimizer is None else optimizer
        self.take(schedulers, optimizer)
        self.attach(optimizer)
        self.state = {
            f"{place}.{name}": x
            for place, part in enumerate(self._schedulers)
            for name, x in part.state.items()
        }

    def step(self, epoch: int | None = None) -> None:
        """A step of each part."""
        for part in self._schedulers:
            part.step(epoch)
        self.note_rates()
