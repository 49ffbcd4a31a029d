"""A parameter group: parameters, and the options of their update."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from chainrule.errors import ArgumentError, listing
from chainrule.optim.options import CONDITIONS, Condition, checked, is_number
from chainrule.settings import use
from chainrule.tensor import Tensor, from_numpy

RATES = ("initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum", "swa_lr")
"""The numbers of a group that schedules add to the options of its optimizer."""


class Rules(Protocol):
    """What the class of an optimizer declares about its options."""

    optional: ClassVar[Mapping[str, str]]
    fixed: ClassVar[frozenset[str]]
    conditions: ClassVar[Mapping[str, Condition]]
    switches: ClassVar[Mapping[str, bool | None]]


class ParamGroup(MutableMapping[str, Any]):
    """One entry of `optimizer.param_groups`, with the interface of PyTorch's dict.

    Every number (lr, momentum, betas, ...) is stored as a float64 Tensor in `tensors`. Updates read
    the tensor, and `group["lr"] = 0.01` assigns it, so that a captured step sees the change.
    Reading `group["lr"]` returns a Python number. Flags (nesterov, amsgrad, ...)
    cannot change after the group is made. Neither can options that the class of the optimizer,
    `kind`, declares as fixed. `without` names the numbers that are 0, so that the optimizer has no
    state for them; `completed` is called when one of them is set. Other entries, such as a name,
    are kept as they are in `extras`.

    Raises ArgumentError for a change that is not possible, for values out of range, and for an
    entry whose name is almost that of an option.

    >>> import chainrule as cr
    >>> from chainrule import optim
    >>> group = optim.SGD([cr.zeros(3, requires_grad=True)], lr=0.1).param_groups[0]
    >>> group["lr"] *= 0.5
    >>> group["lr"], group.tensors["lr"]
    (0.05, tensor(0.05, dtype=float64))
    """

    __slots__ = ("completed", "extras", "flags", "kind", "params", "tensors", "whole", "without")

    def __init__(
        self, params: Sequence[Tensor], options: Mapping[str, Any], kind: type[Rules]
    ) -> None:
        self.params = list(params)
        self.kind = kind
        self.completed: Callable[[ParamGroup], None] | None = None
        self.tensors: dict[str, Tensor] = {}
        self.flags: dict[str, Any] = {}
        self.extras: dict[str, Any] = {}
        self.whole = {name: _whole(value) for name, value in options.items()}
        for name, value in options.items():
            is_option = is_number(value) or name in CONDITIONS or name in kind.conditions
            if is_option and name not in kind.fixed:
                self.add_number(name, value)
            else:
                self.flags[name] = value
        given = {name: options[name] for name in kind.optional.values()}
        self.without = {n for n, x in given.items() if not (isinstance(x, Tensor) or x)}

    def __getitem__(self, name: str) -> Any:
        if name == "params":
            return self.params
        if name not in self.tensors:
            return self.flags[name] if name in self.flags else self.extras[name]
        tensor = self.tensors[name]
        values, whole = tensor.reshape(-1).tolist(), self.whole.get(name, ())
        given = [int(x) if i in whole and x.is_integer() else x for i, x in enumerate(values)]
        return tuple(given) if tensor.ndim else given[0]

    def __setitem__(self, name: str, value: Any) -> None:
        if name == "params":
            self.params = list(value)
        elif name in self.tensors:
            self._set_number(name, value)
        elif name in self.flags:
            self._check_flag(name, value)
        elif name in RATES:
            self.add_number(name, value)
        else:
            self.add_extras({name: value})

    def _set_number(self, name: str, value: Any) -> None:
        if not isinstance(value, Tensor):
            array = checked(name, value, self.kind.conditions)
        if (whole := _whole(value)) != self.whole.get(name):
            self.whole[name] = whole  # a captured step watches which list it is
        with use(gradients=False):
            new = value.to(np.float64) if isinstance(value, Tensor) else array
            self.tensors[name].assign(new)
        if name in self.without and (isinstance(value, Tensor) or value):
            self.without.remove(name)
            if self.completed is not None:
                self.completed(self)

    def has_flag(self, name: str, value: Any) -> bool:
        """Whether a flag has this value. In JSON, a tuple is a list."""
        return bool((tuple(value) if isinstance(value, list) else value) == self.flags[name])

    def _check_flag(self, name: str, value: Any) -> None:
        if not self.has_flag(name, value):
            raise ArgumentError(
                f"{name} = {self.flags[name]} was fixed when the optimizer was made",
                given=value,
                instead=f"Make a new optimizer with {name}={value}.",
            )

    def __delitem__(self, name: str) -> None:
        if name not in self.extras:
            raise ArgumentError(f"the option {name!r} of a parameter group cannot be removed")
        del self.extras[name]

    def __iter__(self) -> Iterator[str]:
        yield from ("params", *self.tensors, *self.flags, *self.extras)

    def __len__(self) -> int:
        return 1 + len(self.tensors) + len(self.flags) + len(self.extras)

    def add_number(self, name: str, value: Any) -> None:
        """Add a number unless the group has it. Schedules add `initial_lr`."""
        if name not in self.tensors:
            self.tensors[name] = from_numpy(checked(name, value, self.kind.conditions).copy())

    def add_extras(self, entries: Mapping[str, Any]) -> None:
        """Add entries that no update reads. Raises ArgumentError for misspelt options."""
        if strangers := misspelt(entries, [*self.tensors, *self.flags]):
            raise ArgumentError(
                f"a parameter group has no option {listing(strangers)}", expected=listing([*self])
            )
        self.extras.update(entries)

    def options(self) -> dict[str, Any]:
        """All entries except the parameters, as Python values."""
        return {name: self[name] for name in self if name != "params"}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.options().items())
        return f"ParamGroup({len(self.params)} parameters, {shown})"


def _whole(value: Any) -> list[int]:
    """The places of the integers among some numbers."""
    numbers = value if isinstance(value, (tuple, list)) else [value]
    return [place for place, number in enumerate(numbers) if type(number) is int]


def misspelt(names: Iterable[str], known: Sequence[str]) -> list[str]:
    """The names that are almost, but not exactly, a known one.

    >>> misspelt(["beta", "lr_scale", "lr"], ["lr", "betas"])
    ['beta']
    """
    strange = [name for name in names if name not in known]
    return [name for name in strange if difflib.get_close_matches(name, known, 1, cutoff=0.85)]
