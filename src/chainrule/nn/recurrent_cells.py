"""Cells, which compute one step of a recurrent layer."""

from __future__ import annotations

import math
from typing import Any

from chainrule.errors import ShapeError
from chainrule.nn.functional.checks import check_tensors
from chainrule.nn.functional.recurrent import gru_over_time, lstm_over_time, rnn_over_time
from chainrule.nn.recurrence import Recurrence, check_nonlinearity
from chainrule.ops.creation import zeros
from chainrule.tensor import Tensor


class RNNCellBase(Recurrence):
    """Base class of cells, which compute one step of one layer.

    >>> from chainrule import nn
    >>> isinstance(nn.GRUCell(8, 16), nn.RNNCellBase)
    True
    """

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
            given = self._given_states(hx, *input.shape[:-1])
            states = [state.reshape(x.shape[1], self.hidden_size) for state in given]
        shape = (*input.shape[:-1], self.hidden_size)
        new = [s.reshape(shape) for s in self._over_time(x, "", states, False)]
        return new[0] if len(new) == 1 else tuple(new)


class RNNCell(RNNCellBase):
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


class LSTMCell(RNNCellBase):
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


class GRUCell(RNNCellBase):
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
