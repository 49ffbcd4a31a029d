"""A parameter group: parameters, and the options of their update."""

from __future__ import annotations

from collections.abc import Collection, Iterator, MutableMapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, listing
from chainrule.optim.options import CONDITIONS, checked, is_number
from chainrule.settings import use
from chainrule.tensor import Tensor, from_numpy

SCHEDULED = ("initial_lr", "max_lr", "min_lr", "name")
"""The entries of a group besides the options of its optimizer: rates of schedules, and a name."""


class ParamGroup(MutableMapping[str, Any]):
    """One entry of `optimizer.param_groups`, with the interface of PyTorch's dict.

    Every number (lr, momentum, betas, ...) is stored as a float64 Tensor in `tensors`. Updates read
    the tensor, and `group["lr"] = 0.01` assigns it, so that a captured step sees the change.
    Reading `group["lr"]` returns a Python number. Flags (nesterov, amsgrad, ...) cannot change
    after the group is made. Neither can numbers in `stateful` that are 0, since the optimizer has
    no state for them. Raises ArgumentError for such a change and for values out of range.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> group = optim.SGD([cr.zeros(3, requires_grad=True)], lr=0.1).param_groups[0]
    >>> group["lr"] *= 0.5
    >>> group["lr"], group.tensors["lr"]
    (0.05, tensor(0.05, dtype=float64))
    """

    __slots__ = ("flags", "params", "tensors", "without")

    def __init__(
        self, params: Sequence[Tensor], options: dict[str, Any], stateful: Collection[str] = ()
    ) -> None:
        self.params = list(params)
        self.tensors: dict[str, Tensor] = {}
        self.flags: dict[str, Any] = {}
        for name, value in options.items():
            if name in CONDITIONS or is_number(value):
                self.tensors[name] = from_numpy(checked(name, value).copy())
            else:
                self.flags[name] = value
        self.without = {name for name in stateful if not self[name]}

    def __getitem__(self, name: str) -> Any:
        if name == "params":
            return self.params
        if name in self.tensors:
            value = self.tensors[name].tolist()
            return tuple(value) if isinstance(value, list) else value
        return self.flags[name]

    def __setitem__(self, name: str, value: Any) -> None:
        tensor = self.tensors.get(name)
        if tensor is None:
            self._set_flag(name, value)
            return
        if not isinstance(value, Tensor):
            value = checked(name, value)
            if name in self.without and value:
                raise ArgumentError(
                    f"{name} = {value}: this group was made without a buffer for it",
                    instead=f"Make the optimizer with {name} > 0.",
                )
        with use(gradients=False):
            tensor.assign(value.to(np.float64) if isinstance(value, Tensor) else value)

    def _set_flag(self, name: str, value: Any) -> None:
        if name not in self.flags:
            raise ArgumentError(
                f"a parameter group has no option {name!r}", expected=listing([*self])
            )
        if name != "name" and value != self.flags[name]:
            raise ArgumentError(
                f"{name} = {self.flags[name]} was fixed when the optimizer was made",
                given=value,
                instead=f"Make a new optimizer with {name}={value}.",
            )
        self.flags[name] = value

    def __delitem__(self, name: str) -> None:
        raise ArgumentError(f"the option {name!r} of a parameter group cannot be removed")

    def __iter__(self) -> Iterator[str]:
        yield from ("params", *self.tensors, *self.flags)

    def __len__(self) -> int:
        return 1 + len(self.tensors) + len(self.flags)

    def add_number(self, name: str, value: float) -> None:
        """Add a number unless the group has it. Schedules add `initial_lr`."""
        if name not in self.tensors:
            self.tensors[name] = from_numpy(checked(name, value))

    def options(self) -> dict[str, Any]:
        """All entries except the parameters, as Python values."""
        return {name: self[name] for name in self if name != "params"}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.options().items())
        return f"ParamGroup({len(self.params)} parameters, {shown})"
