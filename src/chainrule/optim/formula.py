"""Optimizers whose update is a formula of ops: the base class of those without an op of their own.

A compiled step fuses such a formula into few loops. An op of its own, as in `rule`, is for the
optimizers that are used most: it is faster outside of compiled steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np

from chainrule.ops import compare
from chainrule.ops.update import require_alike
from chainrule.optim.group import ParamGroup
from chainrule.optim.number import Number
from chainrule.optim.optimizer import SWITCHES, Optimizer, State, zero_state
from chainrule.settings import get_default_dtype
from chainrule.tensor import Tensor, from_numpy

where: Any = compare.where


class FormulaOptimizer(Optimizer):
    """An optimizer whose update is a method `formula(w, d, s)`, written with ops.

    w are the weights, d is their gradient, and the attributes of s are the states and the options
    of the group. Numbers are weak, so the formula is written as on paper; s.t is the number of this
    step, from 1. The formula returns the new weights, then the new states in their order. A
    subclass declares its options in `__init__`, and:

    states: the names of its states in the shape and dtype of the weights, 0 before the first step.
        An override of `initial_state` may give others.
    decay: what the weight decay λ changes before the formula. "gradient": d + λ·w. "weights":
        w·(1 − η·λ). "nothing": the formula applies λ itself. With the flag
        `decoupled_weight_decay`, it is the weights.

    With `maximize`, d is −g. float16 is computed in float32.

    >>> import chainrule as cr
    >>> class SignMomentum(FormulaOptimizer):
    ...     '''w ← w − η·sign(m),  m ← μ·m + (1 − μ)·d.'''
    ...     states = ("exp_avg",)
    ...     def __init__(self, params, lr=0.1, momentum=0.9):
    ...         super().__init__(params, dict(lr=lr, momentum=momentum))
    ...     def formula(self, w, d, s):
    ...         m = averaged(s.exp_avg, d, s.momentum)
    ...         return w - s.lr * m.sign(), m
    >>> w = cr.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = SignMomentum([w])
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.9, -1.9], requires_grad=True)
    """

    switches: ClassVar[Mapping[str, bool | None]] = SWITCHES
    states: ClassVar[tuple[str, ...]] = ()
    decay: ClassVar[Literal["gradient", "weights", "nothing"]] = "gradient"

    def formula(self, w: Any, d: Any, s: Any) -> Any:
        """The new weights and states."""
        raise NotImplementedError(f"{type(self).__name__} has no formula")

    def initial_state(self, parameter: Tensor, group: ParamGroup) -> State:
        """The step counter 0, and zeros in the shape and dtype of the parameter."""
        return zero_state(parameter, ("step", *self.states))

    def update(self, parameter: Tensor, gradient: Tensor, state: State, group: ParamGroup) -> None:
        """Compute the formula, and assign its results."""
        require_alike(parameter, gradient)
        s = Inputs(state, group, parameter.dtype)
        w, d = parameter.to(s.dtype), gradient.to(s.dtype)
        if group.flags.get("maximize"):
            d = -d
        decoupled = self.decay == "weights" or group.flags.get("decoupled_weight_decay")
        if "weight_decay" in group.tensors and self.decay != "nothing":
            if decoupled:
                w = (1 - s.lr * s.weight_decay) * w
            else:  # λ = 0 leaves infinite weights out
                d = d + where(s.weight_decay == 0, 0.0, s.weight_decay * w)
        written = [parameter, *[x for name, x in state.items() if name != "step"]]
        for tensor, value in zip(written, self.formula(w, d, s), strict=True):
            tensor.assign(value.to(tensor.dtype))
        state["step"].assign(state["step"] + 1)


class Inputs:
    """What a formula reads, by name: states, numbers and flags of the group, and `t`.

    `stored` is the dtype of the weights, and `dtype` that of the computation.
    """

    def __init__(self, state: State, group: ParamGroup, stored: Any) -> None:
        self._state, self._group, self.stored = state, group, stored
        self.dtype = np.result_type(stored, np.float32)

    def __getattr__(self, name: str) -> Any:
        if name == "t":
            return Number.of(self._state["step"]) + 1
        if name in self._state:
            state = self._state[name]
            return state.to(self.dtype) if state.ndim else state
        option = self._group.tensors.get(name)
        if option is None:
            return self._group.flags[name]
        return Number.of(option) if option.ndim == 0 else tuple(Number.of(x) for x in option)


def averaged(m: Tensor, x: Tensor, beta: Number) -> Tensor:
    """β·m + (1 − β)·x: the exponential moving average after one more value.

    What is below the smallest normal number becomes 0. Repeated multiplication by a β near 1 never
    takes it there, and arithmetic on such numbers is slow.
    """
    new = beta * m + (1 - beta) * x
    settled: Tensor = where(new.abs() < float(np.finfo(new.dtype).tiny), 0.0, new)
    return settled


def scalar(value: float) -> Tensor:
    """A number that is kept as a state, in PyTorch's dtype for such: float64 or float32."""
    wide = get_default_dtype() == np.float64
    return from_numpy(np.asarray(value, np.float64 if wide else np.float32))
