"""Recurrences over time, as functions of their weights: one product, then one op.

The layers of `nn.recurrent` call these. They are not public, since PyTorch has no such functions.
"""

from __future__ import annotations

from typing import NamedTuple

from chainrule.nn.functional.layers import linear
from chainrule.ops.creation import zeros, zeros_like
from chainrule.ops.recurrent import gru_sequence, lstm_sequence, rnn_sequence
from chainrule.ops.shape import cat
from chainrule.tensor import Tensor


class Weights(NamedTuple):
    """The weights of one layer and direction: (gates·H, in), (gates·H, H), and biases (gates·H) or
    None; with a projection (P, H) of the states of an LSTM, (gates·H, P) is the second."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None
    weight_hr: Tensor | None


def projected(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x·Wᵀ + b of all time steps, as one product: (T, N, in) → (T, N, out)."""
    steps, examples, features = x.shape
    rows = linear(x.reshape(steps * examples, features), weight, bias)
    return rows.reshape(steps, examples, weight.shape[0])


def rnn_over_time(
    x: Tensor, w: Weights, states: list[Tensor], reverse: bool, nonlinearity: str
) -> tuple[Tensor, ...]:
    """The states (T, N, H) of an Elman network."""
    bias = None if w.bias_ih is None or w.bias_hh is None else w.bias_ih + w.bias_hh
    p = projected(x, w.weight_ih, bias)
    h = rnn_sequence(p, w.weight_hh, *states, nonlinearity=nonlinearity, reverse=reverse)
    return (h,)


def lstm_over_time(
    x: Tensor, w: Weights, states: list[Tensor], reverse: bool
) -> tuple[Tensor, ...]:
    """The hidden states and the cells (T, N, H) of an LSTM.

    With a projection, the hidden states are h = s·W_hrᵀ, (T, N, P). The recurrence of s is that of
    an LSTM with the weights W_hh·W_hr. It starts from 0, and the first step gets h₀·W_hhᵀ added.
    """
    bias = None if w.bias_ih is None or w.bias_hh is None else w.bias_ih + w.bias_hh
    p = projected(x, w.weight_ih, bias)
    if w.weight_hr is None:
        h, c, _ = lstm_sequence(p, w.weight_hh, *states, reverse=reverse)
        return h, c
    h0, c0 = states
    start = linear(h0, w.weight_hh).unsqueeze(0)
    p = cat([p[:-1], p[-1:] + start]) if reverse else cat([p[:1] + start, p[1:]])
    s, c, _ = lstm_sequence(p, w.weight_hh @ w.weight_hr, zeros_like(c0), c0, reverse=reverse)
    return projected(s, w.weight_hr, None), c


def gru_over_time(x: Tensor, w: Weights, states: list[Tensor], reverse: bool) -> tuple[Tensor, ...]:
    """The states (T, N, H) of a GRU."""
    p = projected(x, w.weight_ih, w.bias_ih)
    bias = zeros(w.weight_hh.shape[0], dtype=w.weight_hh.dtype) if w.bias_hh is None else w.bias_hh
    h, _ = gru_sequence(p, w.weight_hh, bias, *states, reverse=reverse)
    return (h,)


def side_by_side(outputs: list[Tensor]) -> Tensor:
    """Concatenate the outputs of the directions: (T, N, directions·H)."""
    y: Tensor = outputs[0] if len(outputs) == 1 else cat(outputs, -1)
    return y
