"""Base classes of schedules: the learning rate as a formula of the step, both stored in tensors.

A schedule is a formula η(t) of the step t, written with ops on 0-d tensors. `step()` assigns
t ← t + 1 and then the lr of every group, so a schedule can be captured together with a training
step. t is 0 before the first `step()`. The caller decides whether it counts batches or epochs.

As in PyTorch, most schedules multiply the current rate by η(t)/η(t − 1). So a rate that was set by
hand between two steps remains in effect, and several schedules of one optimizer are multiplied.
`step(t)` goes to step t and sets the rate to η(t).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from chainrule.errors import ArgumentError, DTypeError
from chainrule.ops import compare
from chainrule.optim.group import ParamGroup
from chainrule.optim.optimizer import Optimizer
from chainrule.settings import use
from chainrule.tensor import Tensor, from_numpy

FORMAT_VERSION = 1
Numbers = dict[str, Tensor]

where: Any = compare.where


class LRScheduler(ABC):
    """Base class of all schedules: an optimizer, fixed options, and state in tensors."""

    def __init__(self, optimizer: Optimizer, options: dict[str, Any], state: Numbers) -> None:
        if not isinstance(optimizer, Optimizer):
            raise DTypeError(
                f"{type(self).__name__} schedules an optimizer", given=type(optimizer).__name__
            )
        self.optimizer = optimizer
        self.options = options
        self.state = state

    @abstractmethod
    def step(self, *args: Any, **kwargs: Any) -> None:
        """Go to the next step, and assign the learning rates."""

    @property
    def last_epoch(self) -> int:
        """t: the number of calls of `step()`, or the step that was passed to it."""
        return int(self.state["last_epoch"].item())

    @last_epoch.setter
    def last_epoch(self, epoch: int) -> None:
        self.state["last_epoch"].assign(epoch)

    def get_last_lr(self) -> list[float]:
        """The current learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The class, the options and the state, as tensors and plain values."""
        state = {name: from_numpy(x._numbers("state_dict")) for name, x in self.state.items()}
        return {
            "scheduler": type(self).__name__,
            "version": FORMAT_VERSION,
            "options": _plain(self.options),
            "state": state,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load the state. Raises one ArgumentError for everything that does not fit (class,
        version, options, names); the schedule is then unchanged. The learning rates are part of the
        state of the optimizer."""
        if problems := self._misfits(state_dict):
            raise ArgumentError(
                f"the state does not fit this {type(self).__name__}: {'; '.join(problems)}"
            )
        with use(gradients=False):
            for name, tensor in self.state.items():
                tensor.assign(_number(state_dict["state"][name], tensor))

    def _misfits(self, given: Mapping[str, Any]) -> list[str]:
        """Everything that does not fit in a state, each with both values."""
        own = type(self).__name__
        if not isinstance(given, Mapping) or not {"state", "options"} <= given.keys():
            return [f"it has no `state` and `options`, as {own}.state_dict() has"]
        problems = []
        if (name := given.get("scheduler")) != own:
            problems.append(f"it is of {name or 'no named class'}, this is {own}")
        if (version := given.get("version")) != FORMAT_VERSION:
            problems.append(f"its format version is {version}, this release reads {FORMAT_VERSION}")
        here, there = _plain(self.options), _plain(given["options"])
        for name in {**here, **there}:
            if here.get(name) != there.get(name):
                problems.append(f"its {name} is {there.get(name)}, here {here.get(name)}")
        if given["state"].keys() != self.state.keys():
            problems.append(f"its state is {[*given['state']]}, here {[*self.state]}")
        return problems

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"{type(self).__name__}({shown})"


class Schedule(LRScheduler):
    """A schedule with a formula of the step. A subclass defines `values`.

    A schedule that multiplies the current rate sets `chained = True`, and also defines
    `first_values` and `next_values`. With `last_epoch` = t − 1, a schedule resumes at t. The groups
    must then have an `initial_lr`, which they have after loading an optimizer's state; a chained
    schedule does not change their rates. Raises ArgumentError if there is no `initial_lr`.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> class Inverse(Schedule):
    ...     '''η(t) = η₀ / (1 + t).'''
    ...     def values(self, group, step):
    ...         return {"lr": group.tensors["initial_lr"] / (1 + step)}
    >>> optimizer = optim.SGD([cr.zeros(2, requires_grad=True)], lr=1.0)
    >>> schedule = Inverse(optimizer, {})
    >>> for _ in range(3):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    chained: ClassVar[bool] = False

    def __init__(self, optimizer: Optimizer, options: dict[str, Any], last_epoch: int = -1) -> None:
        super().__init__(optimizer, options, {"last_epoch": _count(last_epoch)})
        for group in optimizer.param_groups:
            if last_epoch >= 0 and "initial_lr" not in group:
                raise ArgumentError(
                    f"last_epoch = {last_epoch} resumes a schedule, and a group has no initial_lr",
                    instead="Load the optimizer's state first, or leave last_epoch out.",
                )
            group.add_number("initial_lr", group["lr"])
        if last_epoch < 0:
            self._go(self.first_values)
        elif self.chained:
            self.state["last_epoch"].assign(last_epoch + 1)
        else:
            self._go(self.values)

    @abstractmethod
    def values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """The numbers of a group at a step: `lr`, and others that the schedule changes.

        `step` is a 0-d int64 tensor. Use ops, not Python's `if`, so that it can be captured.
        """

    def first_values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """The numbers of a group at step 0, when the schedule is made."""
        return self.values(group, step)

    def next_values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """The numbers of a group at step t ≥ 1, when the group has those of step t − 1."""
        return self.values(group, step)

    @property
    def base_lrs(self) -> list[float]:
        """η₀, the initial learning rate of each group."""
        return [group["initial_lr"] for group in self.optimizer.param_groups]

    def step(self, epoch: int | None = None) -> None:
        """t ← t + 1, and update the numbers of each group. With `epoch`: t ← epoch, and set them to
        the values of the formula."""
        if epoch is None:
            self._go(self.next_values)
        else:
            self._go(self.values, _count(epoch))

    def _go(
        self, numbers: Callable[[ParamGroup, Tensor], Numbers], to: Tensor | None = None
    ) -> None:
        """Go to the next step, or to the step `to`, and assign the numbers of all groups."""
        with use(gradients=False, default_dtype=np.dtype(np.float64)):
            counter = self.state["last_epoch"]
            step = counter + 1 if to is None else to
            counter.assign(step)
            for group in self.optimizer.param_groups:
                for name, value in numbers(group, step).items():
                    group.tensors[name].assign(value)


class FactorSchedule(Schedule):
    """η(t) = η₁ + (η₀ − η₁)·f(t), where η₁ is `eta_min`, or 0. A subclass defines f, `factor`.

    From one step to the next, η ← η₁ + (η − η₁)·f(t)/f(t − 1). If f(t − 1) = 0,
    η ← η + (η₀ − η₁)·f(t).
    """

    chained = True

    @abstractmethod
    def factor(self, step: Tensor) -> Tensor:
        """f(t) for t ≥ 0."""

    def values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """η(t)."""
        base, low = group.tensors["initial_lr"], self.options.get("eta_min", 0.0)
        return {"lr": low + (base - low) * self.factor(step)}

    def first_values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """η₁ + (η − η₁)·f(0), where η is the current rate."""
        lr, low, f = group.tensors["lr"], self.options.get("eta_min", 0.0), self.factor(step)
        return {"lr": where(f == 1, lr, low + (lr - low) * f)}

    def next_values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """η at step t, computed from η at t − 1. It is unchanged if f(t) = f(t − 1)."""
        lr, base = group.tensors["lr"], group.tensors["initial_lr"]
        new, old = self.factor(step), self.factor(step - 1)
        if low := self.options.get("eta_min"):
            lr, base = lr - low, base - low
        moved = where(old == 0, lr + base * new, lr * (new / old))
        return {"lr": moved + low if low else moved}


def _count(n: int) -> Tensor:
    return from_numpy(np.asarray(n, np.int64))


def _number(value: Any, like: Tensor) -> Any:
    return value if isinstance(value, Tensor) else np.asarray(value, like.dtype)


def _plain(value: Any) -> Any:
    """Options as they are in JSON, with lists instead of tuples."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
