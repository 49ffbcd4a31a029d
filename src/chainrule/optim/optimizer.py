"""Optimizer: the base class, with parameters, their state, and an update that subclasses define."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, listing
from chainrule.ops.creation import zeros_like
from chainrule.optim.group import SCHEDULED, ParamGroup
from chainrule.optim.options import checked
from chainrule.settings import use
from chainrule.tensor import Tensor, from_numpy

Params = Iterable[Tensor] | Iterable[Mapping[str, Any]]
State = dict[str, Tensor]

FORMAT_VERSION = 1
SWITCHES = ("capturable", "differentiable", "foreach", "fused")
"""PyTorch's switches between implementations. Chainrule has one, so they are accepted and have no
effect. `differentiable=True` is refused, since it is not supported."""


class Optimizer:
    """Base class of optimizers.

    A subclass passes its options to `__init__`, and defines `initial_state` and `update` (or, as in
    PyTorch, its own `step`). `optional` maps the name of a state to the option without which there
    is no such state.

    All state is created with the optimizer, in the order of the parameters, and changed only by
    `assign`. So the first step does not differ from later ones, and a capture sees every read and
    write.

    Raises ArgumentError for options out of range and for parameters that are missing, repeated or
    not leaves, and DTypeError for parameters that are not floating tensors.

    >>> import chainrule as cr
    >>> class SignDescent(Optimizer):
    ...     '''w ← w − η·sign(g).'''
    ...     def __init__(self, params, lr=0.1):
    ...         super().__init__(params, {"lr": lr})
    ...     def initial_state(self, parameter, group):
    ...         return {}
    ...     def update(self, parameter, gradient, state, group):
    ...         step = gradient.sign() * group.tensors["lr"].to(parameter.dtype)
    ...         parameter.assign(parameter - step)
    >>> w = cr.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = SignDescent([w])
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    optional: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self, params: Params, defaults: Mapping[str, Any], **switches: bool | None
    ) -> None:
        if strangers := [name for name in switches if name not in SWITCHES]:
            raise ArgumentError(
                f"{type(self).__name__} has no option {listing(strangers)}",
                expected=listing([*defaults]),
            )
        if switches.get("differentiable"):
            raise ArgumentError(
                "no gradient passes through a step of an optimizer",
                given="differentiable=True",
                instead="Write the update with ops, and take gradients of its result.",
            )
        self.defaults = dict(defaults)
        self.param_groups: list[ParamGroup] = []
        self.state: dict[Tensor, State] = {}
        ParamGroup([], self.defaults)  # checks the defaults, even if all groups override them
        for group in _as_groups(params):
            self.add_param_group(group)

    # -- for subclasses ------------------------------------------------------------------------

    def initial_state(self, parameter: Tensor, group: ParamGroup) -> State:
        """The state of one parameter before the first step, by name. By default there is none."""
        return {}

    def update(self, parameter: Tensor, gradient: Tensor, state: State, group: ParamGroup) -> None:
        """Update one parameter and its state, by `assign`. Gradients are not recorded."""
        raise NotImplementedError(f"{type(self).__name__} has neither an update nor a step")

    # -- use -----------------------------------------------------------------------------------

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a group: a dict with `params`, and options that differ from the defaults.

        Raises the same errors as the constructor.
        """
        own = dict(param_group)
        if "params" not in own:
            raise ArgumentError("a parameter group needs the key 'params'", given=[*own])
        params = _as_params(own.pop("params"))
        known = {*self.defaults, *SCHEDULED}
        if strangers := [name for name in own if name not in known]:
            raise ArgumentError(
                f"{type(self).__name__} has no option {listing(strangers)}",
                expected=listing([*self.defaults]),
            )
        number = len(self.param_groups)
        for position, parameter in enumerate(params):
            _check_parameter(parameter, f"parameter {position} of group {number}")
            if any(parameter is p for p in [*self.state, *params[:position]]):
                raise ArgumentError(
                    f"parameter {position} of group {number} appears twice",
                    given=parameter.spec,
                    expected="each parameter once, in one group",
                )
        flags = {n: bool(x) for n, x in own.items() if isinstance(self.defaults.get(n), bool)}
        group = ParamGroup(params, {**self.defaults, **own, **flags}, {*self.optional.values()})
        if any("initial_lr" in other for other in self.param_groups):  # there is a schedule
            group.add_number("initial_lr", group["lr"])
        states = [self.initial_state(p, group) for p in params]
        self.param_groups.append(group)
        self.state.update(zip(params, states, strict=True))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of all parameters; with `set_to_none=False`, set them to 0."""
        for group in self.param_groups:
            for parameter in group.params:
                if set_to_none:
                    parameter.grad = None
                elif (g := parameter.grad) is not None:
                    parameter.grad = zeros_like(g.detach())

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        If `closure` is given, it is called first, to compute the loss and the gradients. Its value
        is returned.
        """
        loss = None
        if closure is not None:
            with use(gradients=True):
                loss = closure()
        with use(gradients=False):
            for group in self.param_groups:
                for parameter in group.params:
                    gradient = parameter.grad
                    if gradient is not None:
                        self.update(parameter, gradient, self.state[parameter], group)
        return loss

    # -- save and load -------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The class, the options of each group, and the state of each parameter by its number, as
        tensors and plain values. Later steps do not change it."""
        groups, start = [], 0
        for group in self.param_groups:
            numbers = list(range(start, start + len(group.params)))
            groups.append({**group.options(), "params": numbers})
            start += len(numbers)
        state = {
            number: {name: from_numpy(x._numbers("state_dict")) for name, x in kept.items()}
            for number, kept in enumerate(self.state.values())
        }
        return {
            "optimizer": type(self).__name__,
            "version": FORMAT_VERSION,
            "state": state,
            "param_groups": groups,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load options and state. Raises one ArgumentError for everything that does not fit; the
        optimizer is then unchanged."""
        if problems := self._misfits(state_dict):
            raise ArgumentError(
                f"the state does not fit this {type(self).__name__}: {'; '.join(problems)}"
            )
        states = {int(number): kept for number, kept in state_dict["state"].items()}
        for group, options in zip(self.param_groups, state_dict["param_groups"], strict=True):
            for name, value in options.items():
                if name in SCHEDULED and name != "name":
                    group.add_number(name, value)
                if name != "params":
                    group[name] = value
        with use(gradients=False):
            for number, own in enumerate(self.state.values()):
                for name, tensor in own.items():
                    tensor.assign(_as_array(states[number][name]))

    def _misfits(self, given: Mapping[str, Any]) -> list[str]:
        """Everything that does not fit in a state, each with both values."""
        own = type(self).__name__
        if not isinstance(given, Mapping) or not {"state", "param_groups"} <= given.keys():
            return [f"it has no `state` and `param_groups`, as {own}.state_dict() has"]
        problems = []
        if given.get("optimizer") != own:
            problems.append(f"it is of {given.get('optimizer', 'no named class')}, this is {own}")
        if given.get("version") != FORMAT_VERSION:
            problems.append(
                f"its format version is {given.get('version')}, this release reads {FORMAT_VERSION}"
            )
        groups = given["param_groups"]
        if len(groups) != len(self.param_groups):
            problems.append(f"it has {len(groups)} groups, this has {len(self.param_groups)}")
            return problems
        for number, (group, options) in enumerate(zip(self.param_groups, groups, strict=True)):
            problems += [f"group {number}: {text}" for text in _group_misfits(group, options)]
        return problems + self._state_misfits(given["state"])

    def _state_misfits(self, given: Mapping[Any, Mapping[str, Any]]) -> list[str]:
        problems = []
        states = {int(number): kept for number, kept in given.items()}
        if extra := [number for number in states if number >= len(self.state)]:
            problems.append(f"state of parameter {listing(extra)}, this has {len(self.state)}")
        for number, own in enumerate(self.state.values()):
            kept = states.get(number, {})
            if own.keys() != kept.keys():
                problems.append(
                    f"parameter {number} has the state {listing([*kept]) or 'none'}, "
                    f"here {listing([*own]) or 'none'}"
                )
            for name in own.keys() & kept.keys():
                here, there = own[name].spec, _as_array(kept[name])
                if (here.shape, here.dtype) != (there.shape, there.dtype):
                    problems.append(
                        f"{name} of parameter {number} is {there.dtype}{there.shape}, here {here}"
                    )
        return problems

    def __repr__(self) -> str:
        body = "\n".join(f"  {number}: {group}" for number, group in enumerate(self.param_groups))
        return f"{type(self).__name__}(\n{body}\n)"


def _group_misfits(group: ParamGroup, given: Mapping[str, Any]) -> list[str]:
    problems = []
    if (count := len(given.get("params", ()))) != len(group.params):
        problems.append(f"it has {count} parameters, here {len(group.params)}")
    here, there = {*group, *SCHEDULED}, {*given, *SCHEDULED}
    if missing := sorted(here - there):
        problems.append(f"it has no {listing(missing)}")
    if extra := sorted(there - here):
        problems.append(f"it has {listing(extra)}, not known here")
    for name, value in given.items():
        if name in group.tensors or name in SCHEDULED[:-1]:
            try:
                checked(name, value)
            except (ArgumentError, DTypeError) as error:
                problems.append(str(error))
        elif name in group.flags and name != "name" and value != group.flags[name]:
            problems.append(f"its {name} is {value}, here {group.flags[name]}")
    return problems


def _as_array(value: Any) -> Any:
    return value._numbers("load_state_dict") if isinstance(value, Tensor) else np.asarray(value)


def _as_groups(params: Any) -> list[Mapping[str, Any]]:
    """The parameters that are passed to an optimizer, as a list of groups."""
    entries = _as_params(params)
    if not isinstance(entries[0], Mapping):
        return [{"params": entries}]
    if any(not isinstance(entry, Mapping) for entry in entries):
        raise DTypeError("groups (dicts) and parameters are mixed", expected="one kind of them")
    return entries


def _as_params(params: Any) -> list[Any]:
    """The entries of a list or generator. Raises ArgumentError if there is none."""
    if isinstance(params, Tensor):
        return [params]
    if isinstance(params, (Mapping, str)) or not isinstance(params, Iterable):
        raise DTypeError(
            "an optimizer takes an iterable of parameters, or a list of groups",
            given=type(params).__name__,
            instead="Pass model.parameters().",
        )
    entries = list(params)
    if not entries:
        raise ArgumentError(
            "there is no parameter to train",
            instead="Does the model keep its parts as attributes? See model.named_parameters().",
        )
    return entries


def _check_parameter(parameter: Any, which: str) -> None:
    if not isinstance(parameter, Tensor):
        raise DTypeError(f"{which} is no tensor", given=type(parameter).__name__)
    if parameter.dtype.kind != "f":
        raise DTypeError(f"{which} cannot be trained", given=parameter.spec, expected="floats")
    if not parameter.is_leaf:
        raise ArgumentError(
            f"{which} was computed, and training changes leaf tensors",
            given=repr(parameter.spec),
            instead="Pass x.detach().clone().requires_grad_().",
        )
