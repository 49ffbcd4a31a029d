"""Base classes of schedules: the learning rate as a formula of the step, both stored in tensors.

A schedule is a formula η(t) of the step t, written with ops on 0-d tensors. `step()` assigns
t ← t + 1 and then the lr of every group, so a schedule can be captured together with a training
step. t is 0 before the first `step()`. The caller decides whether it counts batches or epochs.

As in PyTorch, most schedules multiply the current rate by η(t)/η(t − 1). So a rate that was set by
hand between two steps remains in effect, and several schedules of one optimizer are multiplied.
`step(t)` goes to step t and sets the rate to η(t).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, unknown_name
from chainrule.ops import compare
from chainrule.optim.group import ParamGroup
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.options import checked
from chainrule.settings import use
from chainrule.tensor import Tensor, from_numpy

FORMAT_VERSION = 1
Numbers = dict[str, Tensor]
Each = float | Sequence[float]
"""A number for all groups, or one for each."""

where: Any = compare.where


class LRScheduler:
    """Base class of schedules. A subclass defines `values`, or as in PyTorch `get_lr`.

    `values` gives the numbers of a group as tensors, so that a step can be captured. `get_lr`
    computes the rates of all groups as Python numbers from `last_epoch`, which is t, and
    `base_lrs`. A subclass keeps its options as attributes, and then calls `super().__init__`.

    A schedule that changes the current rate sets `chained = True`, and also defines `first_values`
    and `next_values`. With `last_epoch` = t − 1, a schedule resumes at t. The groups must then have
    an `initial_lr`, which they have after loading an optimizer's state; a chained schedule does not
    change their rates. Raises ArgumentError if there is no `initial_lr`.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> class Inverse(LRScheduler):
    ...     '''η(t) = η₀ / (1 + t).'''
    ...     def values(self, group, step):
    ...         return {"lr": group.tensors["initial_lr"] / (1 + step)}
    >>> optimizer = optim.SGD([cr.zeros(2, requires_grad=True)], lr=1.0)
    >>> schedule = Inverse(optimizer)
    >>> for _ in range(3):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    chained: ClassVar[bool] = False
    enters: ClassVar[bool] = False  # Whether `get_lr` at step 0 gives the first rate again.
    unsaved: ClassVar[tuple[str, ...]] = ("state", "_last", "_is_initial")
    optimizer: Optimizer
    state: Numbers
    _last: list[Tensor]
    _is_initial: bool = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.attach(optimizer, last_epoch=last_epoch)
        for group in optimizer.param_groups:
            if last_epoch >= 0 and "initial_lr" not in group:
                raise ArgumentError(
                    f"last_epoch = {last_epoch} resumes a schedule, and a group has no initial_lr",
                    instead="Load the optimizer's state first, or leave last_epoch out.",
                )
            group.add_number("initial_lr", group["lr"])
        self._is_initial = True
        if type(self).step is not LRScheduler.step:
            self.step()
        elif last_epoch < 0:
            self._go(self.first_values)
        elif self.chained:
            self.state["last_epoch"].assign(last_epoch + 1)
        else:
            self._go(self.values)
        self._is_initial = False

    def attach(self, optimizer: Optimizer, **state: float) -> None:
        """Set the optimizer, and the state: numbers that are attributes, and kept as tensors."""
        if not isinstance(optimizer, Optimizer):
            raise DTypeError(
                f"{type(self).__name__} schedules an optimizer", given=type(optimizer).__name__
            )
        self.optimizer = optimizer
        for name in state:
            vars(self).pop(name, None)
        self.state = vars(self).get("state", {}) | {n: number(x) for n, x in state.items()}
        self._last = []
        self.note_rates()

    # -- for subclasses ------------------------------------------------------------------------

    def values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """The numbers of a group at a step: `lr`, and others that the schedule changes.

        `step` is a 0-d int64 tensor. Use ops, not Python's `if`, so that it can be captured.
        """
        if type(self).get_lr is LRScheduler.get_lr:
            raise NotImplementedError(f"{type(self).__name__} defines neither values nor get_lr")
        self.state["last_epoch"].assign(step)
        place = next(i for i, g in enumerate(self.optimizer.param_groups) if g is group)
        rate = self.get_lr()[place]
        return {"lr": rate if isinstance(rate, Tensor) else number(float(rate))}

    def first_values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """The numbers of a group at step 0, when the schedule is made."""
        return self.values(group, step)

    def next_values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """The numbers of a group at step t ≥ 1, when the group has those of step t − 1."""
        return self.values(group, step)

    # -- use -----------------------------------------------------------------------------------

    @property
    def base_lrs(self) -> list[float]:
        """η₀, the initial learning rate of each group."""
        return [group["initial_lr"] for group in self.optimizer.param_groups]

    @base_lrs.setter
    def base_lrs(self, rates: Sequence[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["initial_lr"] = rate

    def get_lr(self) -> list[float]:
        """The rates that a step to t computes from the current ones. See also `get_last_lr`."""
        step = self.state["last_epoch"]
        first = self._is_initial or (self.enters and int(step) == 0)
        numbers = self.first_values if first else self.next_values
        with exactly():
            groups = self.optimizer.param_groups
            return [float(numbers(group, step)["lr"].item()) for group in groups]

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group after the last step."""
        return [rate.item() for rate in self._last]

    @property
    def _last_lr(self) -> list[float]:
        return self.get_last_lr()

    @_last_lr.setter
    def _last_lr(self, rates: Sequence[float]) -> None:
        for last, rate in zip(self._last, rates, strict=True):
            last.assign(float(rate))

    def step(self, epoch: int | None = None) -> None:
        """t ← t + 1, and update the numbers of each group. With `epoch`: t ← epoch, and set them to
        the values of the formula."""
        if epoch is None:
            self._go(self.next_values)
        else:
            self._go(self.values, number(epoch))

    def _go(
        self, numbers: Callable[[ParamGroup, Tensor], Numbers], to: Tensor | None = None
    ) -> None:
        """Go to the next step, or to the step `to`, and assign the numbers of all groups."""
        with exactly():
            counter = self.state["last_epoch"]
            step = counter + 1 if to is None else to
            counter.assign(step)
            if type(self).get_lr is not LRScheduler.get_lr:  # of a class that changes another one
                numbers = partial(LRScheduler.values, self)
            for group in self.optimizer.param_groups:
                for name, value in numbers(group, step).items():
                    group.tensors[name].assign(value)
            self.note_rates()

    def note_rates(self) -> None:
        """Keep the present rates for `get_last_lr`."""
        rates = [group.tensors["lr"] for group in self.optimizer.param_groups]
        while len(self._last) < len(rates):
            self._last.append(number(0.0))
        with use(gradients=False):
            for last, rate in zip(self._last, rates, strict=True):
                last.assign(rate)

    # -- state ---------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        state = vars(self).get("state", {})
        if name in state:
            return state[name].item()
        raise unknown_name(self, type(self).__name__, name)

    def __setattr__(self, name: str, value: Any) -> None:
        state = vars(self).get("state", {})
        if name in state:
            with use(gradients=False):
                state[name].assign(value)
        else:
            super().__setattr__(name, value)

    @property
    def options(self) -> dict[str, Any]:
        """The attributes that are plain values: what a subclass keeps besides its state."""
        kept = {name: x for name, x in vars(self).items() if name not in self.unsaved}
        return {name: x for name, x in kept.items() if is_plain(x)}

    def state_dict(self) -> dict[str, Any]:
        """The class, the options and the state, as tensors and plain values."""
        state = {name: from_numpy(x._numbers("state_dict")) for name, x in self.state.items()}
        return {
            "scheduler": type(self).__name__,
            "version": FORMAT_VERSION,
            "options": plain(self.options),
            "state": state,
            "last_lr": self.get_last_lr(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load the state. Raises one ArgumentError for everything that does not fit (class,
        version, options, names); the schedule is then unchanged. The learning rates are part of the
        state of the optimizer."""
        if problems := self._misfits(state_dict):
            raise ArgumentError(
                f"the state does not fit this {type(self).__name__}: {'; '.join(problems)}"
            )
        self.restore(state_dict["state"], state_dict.get("last_lr", ()))

    def restore(self, state: Mapping[str, Any], last_lr: Sequence[Any]) -> None:
        """Set the state, and what `get_last_lr` gives."""
        with use(gradients=False):
            for name, tensor in self.state.items():
                x = state[name]
                tensor.assign(x if isinstance(x, Tensor) else np.asarray(x, tensor.dtype))
            if len(last_lr) == len(self._last):
                self._last_lr = list(last_lr)

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
        here, there = plain(self.options), plain(given["options"])
        for name in {**here, **there}:
            if here.get(name) != there.get(name):
                problems.append(f"its {name} is {there.get(name)}, here {here.get(name)}")
        if given["state"].keys() != self.state.keys():
            problems.append(f"its state is {[*given['state']]}, here {[*self.state]}")
        return problems

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"{type(self).__name__}({shown})"


class FactorSchedule(LRScheduler):
    """η(t) = η₁ + (η₀ − η₁)·f(t), where η₁ is `eta_min`, or 0. A subclass defines f, `curve`.

    From one step to the next, η ← η₁ + (η − η₁)·f(t)/f(t − 1). If f(t − 1) = 0,
    η ← η + (η₀ − η₁)·f(t).
    """

    chained = True
    eta_min: float = 0.0

    @abstractmethod
    def curve(self, step: Tensor) -> Tensor:
        """f(t) for t ≥ 0."""

    def values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """η(t)."""
        base, low = group.tensors["initial_lr"], self.eta_min
        return {"lr": low + (base - low) * self.curve(step)}

    def first_values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """η₁ + (η − η₁)·f(0), where η is the current rate."""
        lr, low, f = group.tensors["lr"], self.eta_min, self.curve(step)
        return {"lr": where(f == 1, lr, low + (lr - low) * f)}

    def next_values(self, group: ParamGroup, step: Tensor) -> Numbers:
        """η at step t, computed from η at t − 1. It is unchanged if f(t) = f(t − 1)."""
        lr, base = group.tensors["lr"], group.tensors["initial_lr"]
        new, old = self.curve(step), self.curve(step - 1)
        if low := self.eta_min:
            lr, base = lr - low, base - low
        moved = where(old == 0, lr + base * new, lr * (new / old))
        return {"lr": moved + low if low else moved}


def group_place(optimizer: Optimizer, group: ParamGroup) -> int:
    """The number of a group in its optimizer."""
    return next(i for i, g in enumerate(optimizer.param_groups) if g is group)


def each(name: str, optimizer: Optimizer, value: Each) -> list[float]:
    """A number for each group. Raises ArgumentError for another count of numbers."""
    groups = optimizer.param_groups
    values = list(value) if isinstance(value, Sequence) else [value] * len(groups)
    if len(values) != len(groups):
        raise ArgumentError(f"{len(values)} {name} for {len(groups)} groups")
    return [checked(name, x).item() for x in values]


def number(x: float) -> Tensor:
    """A number that is kept as a state: a 0-d tensor of int64 or float64."""
    return from_numpy(np.asarray(x, np.int64 if isinstance(x, int) else np.float64))


class Step(Tensor):
    """The step that is passed to user functions. It is not hashable, since a look-up in a dict by
    its identity would always fail."""

    __slots__ = ()

    def __hash__(self) -> int:
        raise DTypeError(
            "a step is a tensor, which a dict or set cannot look up",
            instead="Use a list, or cr.where; or int(step) where nothing is captured.",
        )


def exactly() -> Any:
    """Schedules are computed in float64, without gradients."""
    return use(gradients=False, default_dtype=np.dtype(np.float64))


def is_plain(value: Any) -> bool:
    """Whether a value can be in JSON."""
    if isinstance(value, (list, tuple, dict)):
        return all(map(is_plain, value.values() if isinstance(value, dict) else value))
    return value is None or isinstance(value, (bool, int, float, str))


def plain(value: Any) -> Any:
    """Options as they are in JSON, with lists instead of tuples."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value
