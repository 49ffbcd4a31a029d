"""PyTorch's attributes of schedules: state dicts in PyTorch's layout, and files of PyTorch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from chainrule.optim.scheduler import LRScheduler
from chainrule.torch.adapter.attributes import add_all, asked_by_package, teach

_OWN_STATE, _OWN_LOAD = LRScheduler.state_dict, LRScheduler.load_state_dict
_OWN_LAYOUT = {"scheduler", "version"}
"""Entries of the package's own state dicts."""


class SchedulerAttributes:
    """Attributes that LRScheduler has while PyTorch's attributes are active."""

    _get_lr_called_within_step = True
    """PyTorch's schedules of users ask it before they warn."""

    @property
    def _step_count(self: Any) -> int:
        """The number of steps, with the one that PyTorch makes at the start."""
        counted = vars(self).get("_counted")
        return int(self.last_epoch + 1) if counted is None else counted

    @_step_count.setter
    def _step_count(self: Any, count: int) -> None:
        vars(self)["_counted"] = count

    def state_dict(self: Any) -> dict[str, Any]:
        """The attributes of the schedule, except the optimizer."""
        return _OWN_STATE(self) if asked_by_package() else outward(self)

    def load_state_dict(self: Any, state_dict: Mapping[str, Any]) -> None:
        """Load the attributes of this schedule, or of PyTorch's."""
        if _OWN_LAYOUT & state_dict.keys():
            _OWN_LOAD(self, state_dict)
        else:
            inward(self, state_dict)


def outward(schedule: Any) -> dict[str, Any]:
    """The state dict in PyTorch's layout."""
    options = {name: x for name, x in schedule.options.items() if name != "schedulers"}
    state = {n: x.item() for n, x in schedule.state.items() if "." not in n}
    result = {**options, **state, "_last_lr": schedule.get_last_lr()}
    if "_schedulers" in vars(schedule):
        result["_schedulers"] = [outward(part) for part in schedule._schedulers]
    elif "last_epoch" in state:
        result |= {"base_lrs": schedule.base_lrs, "_step_count": schedule._step_count}
        result |= {"_is_initial": False, "_get_lr_called_within_step": False}
    if "milestones" in result:
        result["milestones"] = Counter(result["milestones"])
    if "lr_lambdas" in vars(schedule):
        result["lr_lambdas"] = [None] * len(schedule.lr_lambdas)
    return result


def inward(schedule: Any, given: Mapping[str, Any]) -> None:
    """Set the attributes from a state dict in PyTorch's layout."""
    of_user = not type(schedule).__module__.startswith("chainrule.")
    for name, value in given.items():
        if name == "_schedulers":
            for part, state in zip(schedule._schedulers, value, strict=True):
                part.load_state_dict(state)
        elif name == "milestones" and isinstance(value, Mapping):
            schedule.milestones = sorted(Counter(value).elements())
        elif name in {"_last_lr", *schedule.state, *schedule.options} or (
            of_user and name not in ("base_lrs", "_is_initial", "_get_lr_called_within_step")
        ):
            setattr(schedule, name, value)


def install() -> None:
    """Add PyTorch's attributes to LRScheduler."""
    add_all(LRScheduler, SchedulerAttributes)
    teach(LRScheduler, "torch.optim.lr_scheduler.LRScheduler")
