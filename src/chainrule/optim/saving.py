"""What is saved of an optimizer, and whether a saved state fits another one."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, listing
from chainrule.optim.group import RATES, ParamGroup
from chainrule.optim.options import checked
from chainrule.settings import use
from chainrule.tensor import Tensor, from_numpy
from chainrule.tree import map_leaves

FORMAT_VERSION = 1
NAMES = ("name", "param_names")
"""Entries of a saved group that any group takes."""


def snapshot(optimizer: Any) -> dict[str, Any]:
    """The class, the options of each group, and the state of each parameter by its number."""
    groups, start = [], 0
    for group in optimizer.param_groups:
        numbers = list(range(start, start + len(group.params)))
        groups.append({**group.options(), "params": numbers})
        start += len(numbers)
    states = enumerate(optimizer.states_in_order())
    return {
        "optimizer": type(optimizer).__name__,
        "version": FORMAT_VERSION,
        "state": {number: copied(kept) for number, kept in states},
        "param_groups": groups,
    }


def copied(state: Any) -> Any:
    """A copy of a state that later steps do not change."""

    def leaf(x: Any) -> Any:
        return from_numpy(x._numbers("state_dict")) if isinstance(x, Tensor) else copy.copy(x)

    return map_leaves(leaf, state)


def restore(optimizer: Any, saved: Mapping[str, Any]) -> None:
    """Load options and state. Raises one ArgumentError for everything that does not fit; the
    optimizer is then unchanged."""
    if problems := misfits(optimizer, saved):
        raise ArgumentError(
            f"the state does not fit this {type(optimizer).__name__}: {'; '.join(problems)}"
        )
    states = {int(number): kept for number, kept in saved["state"].items()}
    for group, options in zip(optimizer.param_groups, saved["param_groups"], strict=True):
        known = {*group.tensors, *group.flags, *RATES, "params"}
        group.extras = {name: x for name, x in options.items() if name not in known}
        for name in options.keys() & known - {"params"}:
            group[name] = options[name]
    with use(gradients=False):
        if not optimizer.declares_state:
            parameters = [p for group in optimizer.param_groups for p in group.params]
            optimizer.state.clear()
            optimizer.state.update((parameters[n], copied(kept)) for n, kept in states.items())
            return
        for number, own in enumerate(optimizer.states_in_order()):
            for name, tensor in own.items():
                tensor.assign(_as_array(states[number][name]))


def misfits(optimizer: Any, given: Any) -> list[str]:
    """Everything that does not fit in a saved state, each with both values."""
    own = type(optimizer).__name__
    if not isinstance(given, Mapping) or not {"state", "param_groups"} <= given.keys():
        return [f"it has no `state` and `param_groups`, as {own}.state_dict() has"]
    problems = []
    if given.get("optimizer") != own:
        problems.append(f"it is of {given.get('optimizer', 'no named class')}, this is {own}")
    if given.get("version") != FORMAT_VERSION:
        problems.append(
            f"its format version is {given.get('version')}, this release reads {FORMAT_VERSION}"
        )
    groups, here = given["param_groups"], optimizer.param_groups
    if len(groups) != len(here):
        problems.append(f"it has {len(groups)} groups, this has {len(here)}")
        return problems
    for number, (group, options) in enumerate(zip(here, groups, strict=True)):
        problems += [f"group {number}: {text}" for text in _group_misfits(group, options)]
    return problems + _state_misfits(optimizer, given["state"])


def _group_misfits(group: ParamGroup, given: Mapping[str, Any]) -> list[str]:
    problems = []
    if (count := len(given.get("params", ()))) != len(group.params):
        problems.append(f"it has {count} parameters, here {len(group.params)}")
    if missing := sorted({*group.tensors, *group.flags} - {*given, *RATES}):
        problems.append(f"it has no {listing(missing)}")
    if extra := sorted({*given} - {*group, *RATES, *NAMES, *group.kind.switches}):
        problems.append(f"it has {listing(extra)}, not known here")
    for name, value in given.items():
        if name in group.tensors or name in RATES:
            try:
                checked(name, value, group.kind.conditions)
            except (ArgumentError, DTypeError) as error:
                problems.append(str(error))
        elif name in group.flags and not group.has_flag(name, value):
            problems.append(f"its {name} is {value}, here {group.flags[name]}")
    return problems


def _state_misfits(optimizer: Any, given: Mapping[Any, Mapping[str, Any]]) -> list[str]:
    problems: list[str] = []
    here = optimizer.states_in_order()
    states = {int(number): kept for number, kept in given.items()}
    if extra := [number for number in states if number >= len(here)]:
        problems.append(f"state of parameter {listing(extra)}, this has {len(here)}")
    if not optimizer.declares_state:
        return problems
    for number, own in enumerate(here):
        kept = states.get(number, {})
        if own.keys() != kept.keys():
            problems.append(
                f"parameter {number} has the state {listing([*kept]) or 'none'}, "
                f"here {listing([*own]) or 'none'}"
            )
        for name in own.keys() & kept.keys():
            spec, there = own[name].spec, _as_array(kept[name])
            if (spec.shape, spec.dtype) != (there.shape, there.dtype):
                problems.append(
                    f"{name} of parameter {number} is {there.dtype}{there.shape}, here {spec}"
                )
    return problems


def _as_array(value: Any) -> Any:
    return value._numbers("load_state_dict") if isinstance(value, Tensor) else np.asarray(value)
