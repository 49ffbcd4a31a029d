"""A parameter group: some parameters, and the options by which they are updated."""

from __future__ import annotations

import math
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, listing
from chainrule.primitive import SCALARS
from chainrule.settings import use
from chainrule.tensor import Tensor, from_numpy

_NUMBER = np.dtype(np.float64)

RANGES: dict[str, tuple[float, float, str]] = {
    "lr": (0.0, math.inf, "a finite number ≥ 0"),
    "initial_lr": (0.0, math.inf, "a finite number ≥ 0"),
    "momentum": (0.0, math.inf, "a finite number ≥ 0"),
    "weight_decay": (0.0, math.inf, "a finite number ≥ 0"),
    "eps": (0.0, math.inf, "a finite number ≥ 0"),
    "lr_decay": (0.0, math.inf, "a finite number ≥ 0"),
    "initial_accumulator_value": (0.0, math.inf, "a finite number ≥ 0"),
    "alpha": (0.0, 1.0, "0 ≤ alpha < 1"),
    "betas": (0.0, 1.0, "two numbers, 0 ≤ beta < 1"),
}
"""Option → (smallest, first too large, in words). Other options take any finite number."""

SCHEDULED = ("initial_lr", "max_lr", "min_lr", "name")
"""What a group may have beside the options of its optimizer: numbers of schedules, and a name."""


def checked(name: str, value: Any) -> Any:
    """A number, or several, as float64, once it is sure that they make sense for the option."""
    low, high, words = RANGES.get(name, (-math.inf, math.inf, "a finite number"))
    if not is_number(value):
        raise DTypeError(f"{name} is no number", given=repr(value), expected=words)
    try:
        array = np.asarray(value.detach() if isinstance(value, Tensor) else value, _NUMBER)
    except (TypeError, ValueError):
        raise DTypeError(f"{name} is no number", given=repr(value), expected=words) from None
    if array.shape != ((2,) if name == "betas" else ()):
        raise ArgumentError(f"{name} = {value}", expected=words)
    if not all(low <= x < high and math.isfinite(x) for x in array.ravel().tolist()):
        raise ArgumentError(f"{name} = {value}", expected=words)
    return array


def is_number(value: Any) -> bool:
    """Whether an option is a number (or several), and not a flag or a text."""
    if isinstance(value, (tuple, list)):
        return bool(value) and all(map(is_number, value))
    numbers = (*SCALARS, Tensor, np.ndarray)
    return isinstance(value, numbers) and not isinstance(value, (bool, np.bool_))


class ParamGroup(MutableMapping[str, Any]):
    """One entry of `optimizer.param_groups`: reads and writes like PyTorch's dict.

    Every number (lr, momentum, betas, ...) is a float64 Tensor underneath, found in `tensors`: an
    update reads the tensor and `group["lr"] = 0.01` assigns it, so that a captured step sees the
    change. Reading `group["lr"]` gives a Python number. Flags (nesterov, amsgrad, ...) decide
    which state there is; they stay as they were when the group was made.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> group = optim.SGD([cr.zeros(3, requires_grad=True)], lr=0.1).param_groups[0]
    >>> group["lr"] *= 0.5
    >>> group["lr"], group.tensors["lr"]
    (0.05, tensor(0.05, dtype=float64))
    """

    __slots__ = ("flags", "params", "tensors", "without")

    def __init__(self, params: Sequence[Tensor], options: dict[str, Any]) -> None:
        self.params = list(params)
        self.tensors: dict[str, Tensor] = {}
        self.flags: dict[str, Any] = {}
        for name, value in options.items():
            if name in RANGES or is_number(value):
                self.tensors[name] = from_numpy(checked(name, value).copy())
            else:
                self.flags[name] = value
        self.without = {"momentum"} & {n for n, x in self.tensors.items() if not x._data.any()}

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
                    instead="Make the optimizer with momentum > 0.",
                )
        with use(gradients=False):
            tensor.assign(value.to(_NUMBER) if isinstance(value, Tensor) else value)

    def _set_flag(self, name: str, value: Any) -> None:
        if name not in self.flags:
            raise ArgumentError(
                f"a parameter group has no option {name!r}", expected=listing([*self])
            )
        if name != "name" and value != self.flags[name]:
            raise ArgumentError(
                f"{name} = {self.flags[name]} was fixed when the optimizer was made",
                given=value, instead=f"Make a new optimizer with {name}={value}.",
            )  # fmt: skip
        self.flags[name] = value

    def __delitem__(self, name: str) -> None:
        raise ArgumentError(f"the option {name!r} of a parameter group cannot be removed")

    def __iter__(self) -> Iterator[str]:
        yield from ("params", *self.tensors, *self.flags)

    def __len__(self) -> int:
        return 1 + len(self.tensors) + len(self.flags)

    def add_number(self, name: str, value: float) -> None:
        """Give the group one more number, unless it has it: a schedule does, with `initial_lr`."""
        if name not in self.tensors:
            self.tensors[name] = from_numpy(checked(name, value))

    def options(self) -> dict[str, Any]:
        """All but the parameters, as plain values."""
        return {name: self[name] for name in self if name != "params"}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.options().items())
        return f"ParamGroup({len(self.params)} parameters, {shown})"
