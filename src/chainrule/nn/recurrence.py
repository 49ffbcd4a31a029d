"""What recurrent layers and cells have in common: sizes, weights, and checks of states."""

from __future__ import annotations

import math
from typing import Any

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.nn import init
from chainrule.nn.functional.checks import check_counts, check_tensors
from chainrule.nn.functional.recurrent import Weights
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.ops.creation import empty
from chainrule.tensor import Tensor


class Recurrence(Module):
    """Base class of recurrent layers and cells.

    gates: how many gates there are, each with H rows of the weights. state_names: the states, which
    a call may start from.
    """

    shown = "input_size hidden_size"
    gates = 1
    state_names: tuple[str, ...] = ("h_0",)
    input_size: int
    hidden_size: int
    proj_size = 0
    bias: bool

    def _set_sizes(self, input_size: int, hidden_size: int, bias: bool) -> None:
        name = type(self).__name__
        check_counts(name, input_size=input_size, hidden_size=hidden_size)
        if not isinstance(bias, bool):
            raise ArgumentError(f"bias of {name} is True or False", given=repr(bias))
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias

    @property
    def _widths(self) -> tuple[int, ...]:
        """The size of each state: H, but that of a projected hidden state."""
        first = self.proj_size or self.hidden_size
        return (first, *[self.hidden_size] * (len(self.state_names) - 1))

    def _add_weights(self, features: int, suffix: str, dtype: Any) -> None:
        rows = self.gates * self.hidden_size
        shapes = {"weight_ih": (rows, features), "weight_hh": (rows, self._widths[0])}
        biases = {"bias_ih": (rows,), "bias_hh": (rows,)} if self.bias else {}
        projection = {"weight_hr": (self.proj_size, self.hidden_size)} if self.proj_size else {}
        for name, shape in {**shapes, **biases, **projection}.items():
            setattr(self, name + suffix, Parameter(empty(shape, dtype=dtype)))

    def _weights(self, suffix: str) -> Weights:
        found: dict[str, Any] = {n: getattr(self, n + suffix, None) for n in Weights._fields}
        return Weights(**found)

    def reset_parameters(self) -> None:
        """Initialize all weights and biases anew, from U(−k, k) with k = 1/√hidden_size."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _over_time(
        self, x: Tensor, suffix: str, states: list[Tensor], reverse: bool
    ) -> tuple[Tensor, ...]:
        """The sequences of states for initial states `states`. Every subclass defines its own."""
        raise NotImplementedError

    def _check_features(self, input: Tensor, layout: str) -> None:
        if (n := input.shape[-1]) != self.input_size:
            name = type(self).__name__
            raise ShapeError(
                f"the input has {n} features, this layer expects {self.input_size}",
                given=input.shape,
                expected=layout.replace("in", str(self.input_size)),
                instead=f"Did you mean {name}({n}, {self.hidden_size})?",
            )

    def _given_states(self, hx: Any, *front: int) -> list[Tensor]:
        """Check the initial states (*front, H): one tensor, or a pair of tensors for an LSTM."""
        name, n = type(self).__name__, len(self.state_names)
        given = [hx] if n == 1 else hx
        if not isinstance(given, (tuple, list)) or len(given) != n:
            raise ArgumentError(
                f"{name} starts from a pair of states",
                given=type(hx).__name__,
                instead=f"Pass ({', '.join(self.state_names)}).",
            )
        if isinstance(hx, (tuple, list)) and n == 1:
            raise DTypeError(f"{name} has one state", given=f"{len(hx)}", instead="Pass h_0.")
        for state_name, state, width in zip(self.state_names, given, self._widths, strict=True):
            check_tensors(name, **{state_name: state})
            if state.shape != (*front, width):
                raise ShapeError(
                    f"the state {state_name} of {name} has another shape",
                    given=state.shape,
                    expected=(*front, width),
                )
        return list(given)

    def short_repr(self) -> str:
        return f"{self.input_size} → {self.hidden_size}"


def check_nonlinearity(name: str, nonlinearity: str) -> str:
    """Return the nonlinearity. Raises ArgumentError unless it is "tanh" or "relu"."""
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError(
            f"unknown nonlinearity of {name}",
            given=repr(nonlinearity),
            expected="'tanh' or 'relu'",
        )
    return nonlinearity
