"""Optimizers whose update is one op: the base class of those that are used most."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from chainrule.engine import shortcut
from chainrule.gateway import apply
from chainrule.optim.group import ParamGroup
from chainrule.optim.optimizer import Optimizer, State, zero_state
from chainrule.tensor import Tensor


class RuleOptimizer(Optimizer):
    """An optimizer whose update is a record of `chainrule.ops.update`.

    The inputs of a rule are the weights `w`, their gradient `g`, state, and options of the group.
    Its outputs are the new weights, then the new state in the order of the inputs. A subclass
    declares its options in `__init__`, and:

    rule: the record.
    names: from PyTorch's names of states and flags to those of the rule. A rule need not know the
        counter `step`.
    optional: from a state to the option without which (0 or False) there is no such state.

    >>> import chainrule as cr
    >>> from chainrule.ops import update
    >>> class PlainAdam(RuleOptimizer):
    ...     rule = update.adam_update
    ...     names = {"step": "step", "exp_avg": "m", "exp_avg_sq": "v"}
    ...     def __init__(self, params, lr=0.1):
    ...         numbers = dict(lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    ...         super().__init__(params, numbers | dict(decoupled=False, maximize=False))
    >>> w = cr.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = PlainAdam([w])
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    rule: ClassVar[Any]
    names: ClassVar[Mapping[str, str]] = {}

    def rule_of(self, group: ParamGroup) -> Any:
        """The rule for the parameters of a group."""
        return self.rule

    def initial_state(self, parameter: Tensor, group: ParamGroup) -> State:
        """The step counter 0, and zeros in the shape and dtype of the parameter."""
        inputs = {*self.rule_of(group).inputs, "step"}
        absent = {name for name, option in self.optional.items() if option in group.without}
        names = [name for name, own in self.names.items() if own in inputs and name not in absent]
        return zero_state(parameter, names)

    def update_group(self, group: ParamGroup) -> None:
        """Update every parameter of a group that has a gradient, in one call of the engine."""
        rule = self.rule_of(group)
        inputs, flags = self.signature(rule)
        if type(self).update is not RuleOptimizer.update:
            return super().update_group(group)
        named = {own: group.flags[name] for own, name in flags}
        update_each(self._update_one, group, self.state, rule, inputs, named)

    def update(self, parameter: Tensor, gradient: Tensor, state: State, group: ParamGroup) -> None:
        """Apply the rule, and assign its results."""
        rule = self.rule_of(group)
        inputs, flags = self.signature(rule)
        given = {"w": parameter, "g": gradient, **group.tensors, **state}
        results = apply(
            rule,
            *[given[name] for name in inputs if name in given],
            **{own: group.flags[name] for own, name in flags},
        )
        written = [parameter, *[state[name] for name in inputs if name in state]]
        for tensor, value in zip(written, results, strict=True):
            tensor.assign(value)
        if "step" in state and "step" not in inputs:
            state["step"].assign(state["step"] + 1)

    @classmethod
    @functools.cache
    def signature(cls, rule: Any) -> tuple[list[str], list[tuple[str, str]]]:
        """PyTorch's names for the inputs of a rule, in order, and pairs (flag, PyTorch's name)."""
        called: dict[str, list[str]] = {}
        for name, own in cls.names.items():
            called.setdefault(own, []).append(name)
        inputs = [name for own in rule.inputs for name in called.get(own, [own])]
        parameters = inspect.signature(rule.forward).parameters.values()
        flags = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        return inputs, [(own, called.get(own, [own])[0]) for own in flags]


def _update_each(
    one: Callable[..., None],
    group: ParamGroup,
    states: Mapping[Tensor, State],
    rule: Any,
    inputs: Sequence[str],
    flags: Mapping[str, Any],
) -> None:
    """Apply the rule to every parameter that has a gradient, and assign its results. `one` does so
    for one of them."""
    for parameter in group.params:
        gradient = parameter.grad
        if gradient is not None:
            one(parameter, gradient, group)


update_each = shortcut("update", _update_each)
