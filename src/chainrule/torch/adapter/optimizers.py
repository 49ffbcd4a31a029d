"""PyTorch's attributes of Optimizer: state dicts in PyTorch's layout, including files of PyTorch,
and its texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.optim import saving
from chainrule.optim.group import RATES
from chainrule.optim.optimizer import Optimizer, State
from chainrule.tensor import Tensor, from_numpy
from chainrule.torch.adapter.attributes import add_all, asked_by_package, teach

_OWN_STATE, _OWN_LOAD = Optimizer.state_dict, Optimizer.load_state_dict
_OWN_ADD = Optimizer.add_param_group
_OWN_LAYOUT = {"optimizer", "version"}
"""Entries of the package's own state dicts, besides PyTorch's `state` and `param_groups`."""


class OptimizerAttributes:
    """Attributes that Optimizer has while PyTorch's attributes are active."""

    @property
    def state(self: Any) -> Any:
        """The states of the parameters that were updated."""
        own = vars(self)["state"]
        return BegunStates(own, self) if self.declares_state and not asked_by_package() else own

    @state.setter
    def state(self: Any, states: Mapping[Tensor, State]) -> None:
        vars(self)["state"] = states

    def add_param_group(self: Any, param_group: Mapping[str, Any]) -> None:
        """Add a group, with PyTorch's switches among its entries."""
        _OWN_ADD(self, param_group)
        group = self.param_groups[-1]
        group.extras = self.given_switches | group.extras

    def state_dict(self: Any) -> dict[str, Any]:
        """`{"state": {0: {...}, ...}, "param_groups": [...]}`, with parameters by number.

        A parameter that was never updated has no state.
        """
        if asked_by_package():
            return _OWN_STATE(self)
        saved: dict[str, Any] = self._saved(lambda: outward(self))
        return saved

    def load_state_dict(self: Any, state_dict: Mapping[str, Any]) -> None:
        """Load options and state of this optimizer, or of PyTorch's."""
        if _OWN_LAYOUT & state_dict.keys() or not {"state", "param_groups"} <= state_dict.keys():
            _OWN_LOAD(self, state_dict)
        else:
            self._loaded(state_dict, lambda given: saving.restore(self, inward(self, given)))

    def __repr__(self: Any) -> str:
        text = f"{type(self).__name__} ("
        for number, group in enumerate(self.param_groups):
            options = sorted(group.options().items())
            lines = [f"Parameter Group {number}", *[f"    {key}: {x}" for key, x in options]]
            text += "".join(f"\n{line}" for line in lines) + "\n"
        return text + ")"


class BegunStates(MutableMapping[Tensor, Any]):
    """The states of an optimizer, as a dict in which a parameter is once it has been updated."""

    def __init__(self, own: dict[Tensor, State], optimizer: Any) -> None:
        self.own, self.unlisted = own, optimizer.unlisted

    def __getitem__(self, parameter: Tensor) -> Any:
        return ShownState(self.own[parameter], self.unlisted)

    def __setitem__(self, parameter: Tensor, state: State) -> None:
        self[parameter].update(state)

    def __delitem__(self, parameter: Tensor) -> None:
        for x in self.own[parameter].values():
            x.zero_()

    def __iter__(self) -> Iterator[Tensor]:
        return (parameter for parameter, kept in self.own.items() if has_begun(kept))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))


class ShownState(MutableMapping[str, Any]):
    """The state of one parameter as PyTorch's: its names, and steps that are counted in float32.

    Writing an entry changes the tensor of the state.
    """

    def __init__(self, own: State, unlisted: tuple[str, ...]) -> None:
        self.own, self.unlisted = own, unlisted

    def __getitem__(self, name: str) -> Any:
        x = self.own[name]
        return x.to(np.float32) if name == "step" else x

    def __setitem__(self, name: str, value: Any) -> None:
        if name in self.own:
            self.own[name].copy_(
                value if isinstance(value, Tensor) else from_numpy(np.array(value))
            )
        else:
            self.own[name] = value

    def __delitem__(self, name: str) -> None:
        del self.own[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.own if name not in self.unlisted)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))


def has_begun(kept: State) -> bool:
    """Whether a parameter was updated."""
    return bool(kept) and ("step" not in kept or int(kept["step"]) > 0)


def outward(optimizer: Any) -> dict[str, Any]:
    """The state dict in PyTorch's layout."""
    own = saving.snapshot(optimizer)
    started = {number: kept for number, kept in own["state"].items() if has_begun(kept)}
    if optimizer.declares_state:
        started = {n: dict(ShownState(s, optimizer.unlisted)) for n, s in started.items()}
    return {"state": started, "param_groups": own["param_groups"]}


def inward(optimizer: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The state dict in the package's layout, with entries added that only this optimizer has."""
    own = saving.snapshot(optimizer)
    if len(given["param_groups"]) != len(own["param_groups"]):
        raise ArgumentError(
            "the state has another number of parameter groups",
            given=len(given["param_groups"]),
            expected=len(own["param_groups"]),
        )
    pairs = list(zip(own["param_groups"], given["param_groups"], strict=True))
    numbers = {
        theirs: ours
        for mine, other in pairs
        for ours, theirs in zip(mine["params"], other["params"], strict=False)
    }
    state = {numbers.get(int(theirs), int(theirs)): x for theirs, x in given["state"].items()}
    if optimizer.declares_state:
        fresh = enumerate([f for group in optimizer.param_groups for f in _fresh(optimizer, group)])
        state |= {number: _completed(f, state.get(number, {})) for number, f in fresh}
    groups = [
        {**mine, **{k: x for k, x in other.items() if k in mine or k in RATES or x}}
        for mine, other in pairs
    ]
    return {**own, "state": state, "param_groups": groups}


def _fresh(optimizer: Any, group: Any) -> list[State]:
    """The states of the parameters of a group before the first step."""
    return [optimizer.initial_state(parameter, group) for parameter in group.params]


def _completed(fresh: State, given: Mapping[str, Any]) -> State:
    """A state as in PyTorch's file, with the counter in int64; entries that it lacks are fresh."""
    found = {name: x for name, x in given.items() if x is not None}
    if found and "step" in fresh:
        found["step"] = from_numpy(np.array(int(found.get("step", 1)), np.int64))
    return fresh | found


def install() -> None:
    """Add PyTorch's attributes to Optimizer."""
    add_all(Optimizer, OptimizerAttributes)
    teach(Optimizer, "torch.optim.Optimizer")
