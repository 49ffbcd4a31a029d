"""PyTorch's attributes of Optimizer: state dicts in PyTorch's layout, including files of
PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.optim.group import SCHEDULED
from chainrule.optim.optimizer import Optimizer
from chainrule.tensor import Tensor, from_numpy
from chainrule.torch.adapter.attributes import add_all, asked_by_package

_OWN_STATE, _OWN_LOAD = Optimizer.state_dict, Optimizer.load_state_dict
_OWN_LAYOUT = {"optimizer", "version"}
"""Entries of the package's own state dicts, besides PyTorch's `state` and `param_groups`."""


class OptimizerAttributes:
    """Attributes that Optimizer has while PyTorch's attributes are active."""

    def state_dict(self: Any) -> dict[str, Any]:
        """`{"state": {0: {...}, ...}, "param_groups": [...]}`, with parameters by number.

        A parameter that was never updated has no state.
        """
        own = _OWN_STATE(self)
        if asked_by_package():
            return own
        started = {n: kept for n, kept in own["state"].items() if _has_begun(kept)}
        state = {n: {name: _outward(name, x) for name, x in s.items()} for n, s in started.items()}
        return {"state": state, "param_groups": own["param_groups"]}

    def load_state_dict(self: Any, state_dict: Mapping[str, Any]) -> None:
        """Load options and state of this optimizer, or of PyTorch's."""
        if {"state", "param_groups"} <= state_dict.keys() and not _OWN_LAYOUT & state_dict.keys():
            state_dict = _completed(self, state_dict)
        _OWN_LOAD(self, state_dict)


def _has_begun(kept: Mapping[str, Tensor]) -> bool:
    return bool(kept) and ("step" not in kept or kept["step"].item() > 0)


def _outward(name: str, x: Tensor) -> Tensor:
    """PyTorch counts steps in float32."""
    return x.to(np.float32) if name == "step" else x


def _completed(optimizer: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The state dict, with entries added that only this optimizer has."""
    own = _OWN_STATE(optimizer)
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
    state = {number: _fresh(p, optimizer) for number, p in enumerate(optimizer.state)}
    for theirs, kept in given["state"].items():
        ours = numbers.get(int(theirs), int(theirs))
        fresh = state.get(ours, {})
        found = {name: _inward(name, x) for name, x in kept.items() if x is not None}
        if "step" not in fresh:
            found.pop("step", None)
        elif found:
            found.setdefault("step", from_numpy(np.array(1)))
        state[ours] = fresh | found
    groups = [
        {**mine, **{k: v for k, v in other.items() if k in mine or k in SCHEDULED or v}}
        for mine, other in pairs
    ]
    return {**own, "state": state, "param_groups": groups}


def _fresh(parameter: Tensor, optimizer: Any) -> dict[str, Any]:
    """The state of a parameter before the first step."""
    group = next(g for g in optimizer.param_groups if any(p is parameter for p in g["params"]))
    return dict(optimizer.initial_state(parameter, group))


def _inward(name: str, x: Any) -> Any:
    """The package counts steps in int64."""
    if name != "step":
        return x
    return from_numpy(np.array(int(x), np.int64))


def install() -> None:
    """Add PyTorch's attributes to Optimizer."""
    add_all(Optimizer, OptimizerAttributes)
