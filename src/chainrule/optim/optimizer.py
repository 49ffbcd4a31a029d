"""Optimizer: the base class, with parameters, their state, and an update that subclasses define."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, ClassVar

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, UninitializedError, listing
from chainrule.optim import saving
from chainrule.optim.group import RATES, ParamGroup, misspelt
from chainrule.optim.hooks import HookedOptimizer
from chainrule.optim.options import Condition
from chainrule.settings import use
from chainrule.tensor import Tensor, from_numpy

Params = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[Mapping[str, Any]]
State = dict[str, Any]

SWITCHES: dict[str, bool | None] = {"foreach": None, "capturable": False, "differentiable": False}
"""The switches that most of PyTorch's optimizers have, and their defaults."""


class Optimizer(HookedOptimizer):
    """Base class of optimizers.

    A subclass passes its options to `__init__`, and defines `initial_state` and `update` (or, as in
    PyTorch, its own `step`, which keeps what it likes in `state[parameter]`). It may declare:

    optional: from the name of a state to the option without which there is no such state.
    fixed: options that cannot change after a group is made, since the update branches on them.
    conditions: the conditions of its options, besides those in `options.CONDITIONS`.
    switches: PyTorch's switches between implementations, and their defaults. Chainrule has one
        implementation, so they have no effect, but `differentiable=True` is refused.
    unlisted: states that PyTorch's class of this name does not have.

    A declared state is created with the optimizer, in the order of the parameters, and changed only
    by `assign`. So the first step does not differ from later ones, and a capture sees every read
    and write.

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
    fixed: ClassVar[frozenset[str]] = frozenset()
    conditions: ClassVar[Mapping[str, Condition]] = {}
    switches: ClassVar[Mapping[str, bool | None]] = {}
    unlisted: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, params: Params, defaults: Mapping[str, Any], **switches: bool | None
    ) -> None:
        self.defaults = dict(defaults)
        if strangers := [name for name in switches if name not in self.switches]:
            raise self._no_option(strangers)
        if switches.get("differentiable"):
            raise ArgumentError(
                "no gradient passes through a step of an optimizer",
                given="differentiable=True",
                instead="Write the update with ops, and take gradients of its result.",
            )
        self.given_switches = {**self.switches, **switches}
        self.param_groups: list[ParamGroup] = []
        self.state: dict[Tensor, State] = defaultdict(dict)
        self._group([], {})  # checks the defaults, even if all groups override them
        for group in _as_groups(params):
            self.add_param_group(group)

    # -- for subclasses ------------------------------------------------------------------------

    def initial_state(self, parameter: Tensor, group: ParamGroup) -> State:
        """The state of one parameter before the first step, by name. By default there is none."""
        return {}

    def update(self, parameter: Tensor, gradient: Tensor, state: State, group: ParamGroup) -> None:
        """Update one parameter and its state, by `assign`. Gradients are not recorded."""
        raise NotImplementedError(f"{type(self).__name__} has neither an update nor a step")

    def update_group(self, group: ParamGroup) -> None:
        """Update every parameter of a group that has a gradient, by `update`."""
        for parameter in group.params:
            gradient = parameter.grad
            if gradient is not None:
                self._update_one(parameter, gradient, group)

    def _update_one(self, parameter: Tensor, gradient: Tensor, group: ParamGroup) -> None:
        self.update(parameter, gradient, self._state_of(parameter, group), group)

    # -- use -----------------------------------------------------------------------------------

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a group: a dict with `params`, options that differ from the defaults, and others.

        Raises the same errors as the constructor.
        """
        own = dict(param_group)
        if "params" not in own:
            raise ArgumentError("a parameter group needs the key 'params'", given=[*own])
        params, names = _as_params(own.pop("params"))
        if names:
            own["param_names"] = names
        if strangers := misspelt(own, [*self.defaults]):
            raise self._no_option(strangers)
        number = len(self.param_groups)
        grouped = [p for group in self.param_groups for p in group.params]
        for position, parameter in enumerate(params):
            _check_parameter(parameter, f"parameter {position} of group {number}")
            if any(parameter is p for p in [*grouped, *params[:position]]):
                raise ArgumentError(
                    f"parameter {position} of group {number} appears twice",
                    given=parameter.spec,
                    expected="each parameter once, in one group",
                )
        group = self._group(params, own)
        if any("initial_lr" in other for other in self.param_groups):  # there is a schedule
            group.add_number("initial_lr", group["lr"])
        states: dict[Tensor, State] = {}
        for parameter in params:
            with suppress(UninitializedError):  # its shape is known in the first step
                states[parameter] = self.initial_state(parameter, group)
        group.completed = self._complete
        self.param_groups.append(group)
        if self.declares_state:
            self.state.update(states)

    def _group(self, params: list[Tensor], own: Mapping[str, Any]) -> ParamGroup:
        flags = {n: bool(x) for n, x in own.items() if isinstance(self.defaults.get(n), bool)}
        known = {n: x for n, x in own.items() if n in self.defaults or n in RATES}
        group = ParamGroup(params, {**self.defaults, **known, **flags}, type(self))
        group.add_extras({n: x for n, x in own.items() if n not in known})
        return group

    def _no_option(self, names: list[str]) -> ArgumentError:
        return ArgumentError(
            f"{type(self).__name__} has no option {listing(names)}",
            expected=listing([*self.defaults]),
        )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of all parameters; with `set_to_none=False`, set them to 0."""
        for group in self.param_groups:
            for parameter in group.params:
                if set_to_none:
                    parameter.grad = None
                elif (g := parameter.grad) is not None:
                    g.detach_().zero_()

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
                self.update_group(group)
        return loss

    # -- state ---------------------------------------------------------------------------------

    @property
    def declares_state(self) -> bool:
        """Whether the class defines `initial_state`, so that no step adds a state."""
        return type(self).initial_state is not Optimizer.initial_state

    def states_in_order(self) -> list[State]:
        """The state of each parameter, in the order of the groups."""
        pairs = [(p, group) for group in self.param_groups for p in group.params]
        if not self.declares_state:
            return [self.state.get(parameter, {}) for parameter, _ in pairs]
        return [self._state_of(parameter, group) for parameter, group in pairs]

    def _state_of(self, parameter: Tensor, group: ParamGroup) -> State:
        if parameter not in self.state:  # it was put into the group later, or had no shape
            self.state[parameter] = self.initial_state(parameter, group)
        return self.state[parameter]

    def _complete(self, group: ParamGroup) -> None:
        """Add the states of a group that an option now needs, such as a buffer of momentum."""
        for p in group.params:
            self.state[p] = self.initial_state(p, group) | self.state.get(p, {})

    def state_dict(self) -> dict[str, Any]:
        """The class, the options of each group, and the state of each parameter by its number, as
        tensors and plain values. Later steps do not change it."""
        return self._saved(lambda: saving.snapshot(self))

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load options and state. Raises one ArgumentError for everything that does not fit; the
        optimizer is then unchanged."""
        self._loaded(state_dict, lambda given: saving.restore(self, given))

    def __repr__(self) -> str:
        body = "\n".join(f"  {number}: {group}" for number, group in enumerate(self.param_groups))
        return f"{type(self).__name__}(\n{body}\n)"


def zero_state(parameter: Tensor, names: Iterable[str]) -> State:
    """Zeros in the shape and dtype of a parameter, for each name; the counter `step` is 0.

    The counter is int64, since float32 cannot count beyond 2²⁴.
    """
    shape, dtype = parameter.shape, parameter.dtype
    return {
        name: from_numpy(np.zeros((), np.int64) if name == "step" else np.zeros(shape, dtype))
        for name in names
    }


def _as_groups(params: Any) -> list[Mapping[str, Any]]:
    """The parameters that are passed to an optimizer, as a list of groups."""
    entries = _entries(params)
    if not isinstance(entries[0], Mapping):
        return [{"params": entries}]
    if any(not isinstance(entry, Mapping) for entry in entries):
        raise DTypeError("groups (dicts) and parameters are mixed", expected="one kind of them")
    return entries


def _entries(params: Any) -> list[Any]:
    """The entries of a list or generator. Raises ArgumentError if there is none."""
    if isinstance(params, Tensor):
        return [params]
    if isinstance(params, (Mapping, str, set, frozenset)) or not isinstance(params, Iterable):
        raise DTypeError(
            "an optimizer takes parameters in an order, or a list of groups",
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


def _as_params(params: Any) -> tuple[list[Any], list[str]]:
    """The parameters of a group, and their names if they are given as pairs (name, parameter)."""
    entries = _entries(params)
    named = [entry for entry in entries if isinstance(entry, tuple)]
    if named and len(named) < len(entries):
        raise DTypeError("some parameters have a name and some have none", expected="one of both")
    if not named:
        return entries, []
    return [parameter for _, parameter in named], [name for name, _ in named]


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
