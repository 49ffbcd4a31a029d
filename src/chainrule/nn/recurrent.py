"""Recurrent layers, and the cells that compute one step.

Layers take sequences (T, N, features), or (N, T, features) with `batch_first`, or (T, features)
without a batch. The products with the inputs of all steps are computed as one. The recurrence of
one layer and direction is one op.
"""

from __future__ import annotations

import math
from typing import Any

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.nn import functional, init
from chainrule.nn.functional.checks import check_counts, check_probability, check_tensors
from chainrule.nn.functional.recurrent import (
    Weights,
    gru_over_time,
    lstm_over_time,
    rnn_over_time,
    side_by_side,
)
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.ops.creation import empty, zeros
from chainrule.ops.shape import stack
from chainrule.tensor import Tensor


class _Recurrent(Module):
    """Base class of layers and cells: sizes, weights, and checks of states."""

    shown = "input_size hidden_size"
    gates = 1
    state_names: tuple[str, ...] = ("h_0",)
    input_size: int
    hidden_size: int
    bias: bool

    def _set_sizes(self, input_size: int, hidden_size: int, bias: bool) -> None:
        name = type(self).__name__
        check_counts(name, input_size=input_size, hidden_size=hidden_size)
        if not isinstance(bias, bool):
            raise ArgumentError(f"bias of {name} is True or False", given=repr(bias))
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias

    def _add_weights(self, features: int, suffix: str, dtype: Any) -> None:
        rows = self.gates * self.hidden_size
        shapes = {"weight_ih": (rows, features), "weight_hh": (rows, self.hidden_size)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}  # type: ignore[dict-item]
        for name, shape in shapes.items():
            setattr(self, name + suffix, Parameter(empty(shape, dtype=dtype)))

    def _weights(self, suffix: str) -> Weights:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return Weights(*[getattr(self, name + suffix, None) for name in names])  # type: ignore[arg-type]

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

    def _given_states(self, hx: Any, shape: tuple[int, ...]) -> list[Tensor]:
        """Check the initial states: one tensor, or a pair of tensors for an LSTM."""
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
        for state_name, state in zip(self.state_names, given, strict=True):
            check_tensors(name, **{state_name: state})
            if state.shape != shape:
                raise ShapeError(
                    f"the state {state_name} of {name} has another shape",
                    given=state.shape,
                    expected=shape,
                )
        return list(given)

    def short_repr(self) -> str:
        return f"{self.input_size} → {self.hidden_size}"


class _Layers(_Recurrent):
    """Base class of RNN, LSTM and GRU: the loop over layers and directions."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = None,
    ) -> None:
        self._set_sizes(input_size, hidden_size, bias)
        check_counts(type(self).__name__, num_layers=num_layers)
        self.num_layers = num_layers
        self.batch_first = batch_first
        self.dropout = float(check_probability(type(self).__name__, dropout, "dropout"))
        self.bidirectional = bidirectional
        self._suffixes = tuple(
            f"_l{layer}{direction}"
            for layer in range(num_layers)
            for direction in (("", "_reverse") if bidirectional else ("",))
        )
        directions = 1 + bidirectional
        for i, suffix in enumerate(self._suffixes):
            self._add_weights(
                input_size if i < directions else directions * hidden_size, suffix, dtype
            )
        self.reset_parameters()

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        check_tensors(type(self).__name__, input=input)
        layout = "(N, T, in)" if self.batch_first else "(T, N, in)"
        if input.ndim not in (2, 3):
            raise ShapeError(
                f"{type(self).__name__} works on sequences",
                given=input.shape,
                expected=f"{layout}, or (T, in) for one example",
            )
        batched = input.ndim == 3
        self._check_features(input, layout if batched else "(T, in)")
        x = input if batched else input.unsqueeze(1)
        x = x.transpose(0, 1) if batched and self.batch_first else x
        y, last = self._through_layers(x, self._states(hx, x, batched))
        if not batched:
            y, last = y.squeeze(1), [state.squeeze(1) for state in last]
        y = y.transpose(0, 1) if batched and self.batch_first else y
        return y, last[0] if len(last) == 1 else tuple(last)

    def _states(self, hx: Any, x: Tensor, batched: bool) -> list[list[Tensor]]:
        """The initial states (N, H) of each layer and direction."""
        n = len(self._suffixes)
        if hx is None:
            start = zeros(x.shape[1], self.hidden_size, dtype=x.dtype)
            return [[start] * len(self.state_names)] * n
        shape = (n, x.shape[1], self.hidden_size) if batched else (n, self.hidden_size)
        given = self._given_states(hx, shape)
        given = given if batched else [state.unsqueeze(1) for state in given]
        return [[state[i] for state in given] for i in range(n)]

    def _through_layers(self, x: Tensor, states: list[list[Tensor]]) -> tuple[Tensor, list[Tensor]]:
        """The outputs of the last layer, and the final states (layers·directions, N, H)."""
        outputs: list[Tensor] = []
        final: list[list[Tensor]] = []
        directions = 1 + self.bidirectional
        for i, suffix in enumerate(self._suffixes):
            reverse = bool(i % directions)
            if i and not reverse:
                x = side_by_side(outputs[-directions:])
                if self.dropout:
                    x = functional.dropout(x, self.dropout, self.training)
            sequences = self._over_time(x, suffix, states[i], reverse)
            outputs.append(sequences[0])
            final.append([s[0] if reverse else s[-1] for s in sequences])
        y = side_by_side(outputs[-directions:])
        return y, [stack(each) for each in zip(*final, strict=True)]


def check_nonlinearity(name: str, nonlinearity: str) -> str:
    """Return the nonlinearity. Raises ArgumentError unless it is "tanh" or "relu"."""
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError(
            f"unknown nonlinearity of {name}",
            given=repr(nonlinearity),
            expected="'tanh' or 'relu'",
        )
    return nonlinearity


class RNN(_Layers):
    """hₜ = φ(W_ih·xₜ + b_ih + W_hh·hₜ₋₁ + b_hh), where φ is tanh or relu (Elman, 1990).

    Inputs: x (T, N, in), or (N, T, in) with `batch_first`, or (T, in) without a batch, and h₀
    (layers·directions, N, H), by default zeros. Outputs: the states of the last layer
    (T, N, directions·H), and the final states h_n (layers·directions, N, H). `dropout` applies
    between layers.

    weight_ih_l0 (H, in), weight_hh_l0 (H, H), bias_ih_l0 and bias_hh_l0 (H) are initialized from
    U(−k, k), k = 1/√H. Names end in the number of the layer, and in `_reverse` for the second
    direction. Raises ShapeError for another number of features or another shape of a state.
    A second derivative raises NotDifferentiableError.

    >>> import chainrule as cr
    >>> output, h_n = RNN(8, 16, num_layers=2)(cr.zeros(5, 3, 8))
    >>> output.shape, h_n.shape
    ((5, 3, 16), (2, 3, 16))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = None,
    ) -> None:
        self.nonlinearity = check_nonlinearity("RNN", nonlinearity)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            dtype=dtype,
        )

    def _over_time(
        self, x: Tensor, suffix: str, states: list[Tensor], reverse: bool
    ) -> tuple[Tensor, ...]:
        return rnn_over_time(x, self._weights(suffix), states, reverse, self.nonlinearity)


class LSTM(_Layers):
    """Long short-term memory (Hochreiter & Schmidhuber, 1997; Gers et al., 2000).

    i, f, o = σ(W_ih·xₜ + b_ih + W_hh·hₜ₋₁ + b_hh), each with its rows of the weights;
    g = tanh(the same with its rows);  cₜ = f∘cₜ₋₁ + i∘g;  hₜ = o∘tanh(cₜ).

    x, (h₀, c₀) → output, (h_n, c_n). Shapes are those of RNN, but the state is a pair (h, c), and
    weights and biases have 4·H rows, in the order i, f, g, o. Raises ShapeError for another number
    of features or another shape of a state, and DTypeError for an input whose dtype is not that of
    the weights. A second derivative raises NotDifferentiableError.

    >>> import chainrule as cr
    >>> lstm = LSTM(28, 64, batch_first=True)
    >>> output, (h_n, c_n) = lstm(cr.zeros(32, 10, 28))
    >>> output.shape, h_n.shape, lstm.weight_ih_l0.shape
    ((32, 10, 64), (1, 32, 64), (256, 28))
    """

    gates, state_names = 4, ("h_0", "c_0")

    def _over_time(
        self, x: Tensor, suffix: str, states: list[Tensor], reverse: bool
    ) -> tuple[Tensor, ...]:
        return lstm_over_time(x, self._weights(suffix), states, reverse)


class GRU(_Layers):
    """Gated recurrent units (Cho et al., 2014), with the reset gate applied after the product.

    r, z = σ(W_ih·xₜ + b_ih + W_hh·hₜ₋₁ + b_hh), each with its rows of the weights;
    n = tanh(W_ih·xₜ + b_ih + r∘(W_hh·hₜ₋₁ + b_hh));  hₜ = (1 − z)∘n + z∘hₜ₋₁.

    Shapes and errors are those of RNN, but weights and biases have 3·H rows, in the order r, z, n.

    >>> import chainrule as cr
    >>> output, h_n = GRU(8, 16, bidirectional=True)(cr.zeros(5, 3, 8))
    >>> output.shape, h_n.shape
    ((5, 3, 32), (2, 3, 16))
    """

    gates = 3

    def _over_time(
        self, x: Tensor, suffix: str, states: list[Tensor], reverse: bool
    ) -> tuple[Tensor, ...]:
        return gru_over_time(x, self._weights(suffix), states, reverse)


# -- cells ---------------------------------------------------------------------------------------


class _Cell(_Recurrent):
    """Base class of cells, which compute one step of one layer."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, *, dtype: Any = None
    ) -> None:
        self._set_sizes(input_size, hidden_size, bias)
        self._add_weights(input_size, "", dtype)
        self.reset_parameters()

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        check_tensors(type(self).__name__, input=input)
        if input.ndim not in (1, 2):
            raise ShapeError(
                f"{type(self).__name__} works on one step",
                given=input.shape,
                expected="(N, in), or (in,) for one example",
            )
        self._check_features(input, "(N, in)" if input.ndim == 2 else "(in,)")
        x = input.reshape(1, math.prod(input.shape[:-1]), self.input_size)
        if hx is None:
            states = [zeros(x.shape[1], self.hidden_size, dtype=x.dtype)] * len(self.state_names)
        else:
            given = self._given_states(hx, (*input.shape[:-1], self.hidden_size))
            states = [state.reshape(x.shape[1], self.hidden_size) for state in given]
        shape = (*input.shape[:-1], self.hidden_size)
        new = [s.reshape(shape) for s in self._over_time(x, "", states, False)]
        return new[0] if len(new) == 1 else tuple(new)


class RNNCell(_Cell):
    """One step of RNN, h' = φ(W_ih·x + b_ih + W_hh·h + b_hh): x (N, in), h (N, H) → h' (N, H).

    Without N, x (in) and h (H). Without h, it is 0. Raises ShapeError for other shapes.

    >>> import chainrule as cr
    >>> RNNCell(8, 16)(cr.zeros(3, 8)).shape
    (3, 16)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: Any = None,
    ) -> None:
        self.nonlinearity = check_nonlinearity("RNNCell", nonlinearity)
        super().__init__(input_size, hidden_size, bias, dtype=dtype)

    def _over_time(
        self, x: Tensor, suffix: str, states: list[Tensor], reverse: bool
    ) -> tuple[Tensor, ...]:
        return rnn_over_time(x, self._weights(suffix), states, reverse, self.nonlinearity)


class LSTMCell(_Cell):
    """One step of LSTM: x (N, in), (h, c) each (N, H) → the next (h, c). See RNNCell and LSTM.

    >>> import chainrule as cr
    >>> h, c = LSTMCell(8, 16)(cr.zeros(3, 8))
    >>> h.shape, c.shape
    ((3, 16), (3, 16))
    """

    gates, state_names = 4, ("h_0", "c_0")

    def _over_time(
        self, x: Tensor, suffix: str, states: list[Tensor], reverse: bool
    ) -> tuple[Tensor, ...]:
        return lstm_over_time(x, self._weights(suffix), states, reverse)


class GRUCell(_Cell):
    """One step of GRU: x (N, in), h (N, H) → the next h (N, H). See RNNCell and GRU.

    >>> import chainrule as cr
    >>> GRUCell(8, 16)(cr.zeros(3, 8)).shape
    (3, 16)
    """

    gates = 3

    def _over_time(
        self, x: Tensor, suffix: str, states: list[Tensor], reverse: bool
    ) -> tuple[Tensor, ...]:
        return gru_over_time(x, self._weights(suffix), states, reverse)
