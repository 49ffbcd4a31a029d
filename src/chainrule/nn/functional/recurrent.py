"""Recurrences over time, as functions of their weights: one product, then one op.

The layers of `nn.recurrent` call these. They are not public, since PyTorch has no such functions.
"""

from __future__ import annotations

from typing import NamedTuple

from chainrule.nn.functional.layers import linear
from chainrule.ops.creation import zeros
from chainrule.ops.recurrent import gru_sequence, lstm_sequence, rnn_sequence
from chainrule.ops.shape import cat
from chainrule.tensor import Tensor


class Weights(NamedTuple):
    """The weights of one layer and direction: (gates·H, in), (gates·H, H), and biases (gates·H) or
    None."""

    ih: Tensor
    hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None


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
    p = projected(x, w.ih, bias)
    h = rnn_sequence(p, w.hh, *states, nonlinearity=nonlinearity, reverse=reverse)
    return (h,)


def lstm_over_time(
    x: Tensor, w: Weights, states: list[Tensor], reverse: bool
) -> tuple[Tensor, ...]:
    """The hidden states and the cells (T, N, H) of an LSTM."""
    bias = None if w.bias_ih is None or w.bias_hh is None else w.bias_ih + w.bias_hh
    p = projected(x, w.ih, bias)
    h, c, _ = lstm_sequence(p, w.hh, *states, reverse=reverse)
    return h, c


def gru_over_time(x: Tensor, w: Weights, states: list[Tensor], reverse: bool) -> tuple[Tensor, ...]:
    """The states (T, N, H) of a GRU."""
    p = projected(x, w.ih, w.bias_ih)
    bias = zeros(w.hh.shape[0], dtype=w.hh.dtype) if w.bias_hh is None else w.bias_hh
    h, _ = gru_sequence(p, w.hh, bias, *states, reverse=reverse)
    return (h,)


def side_by_side(outputs: list[Tensor]) -> Tensor:
    """Concatenate the outputs of the directions: (T, N, directions·H)."""
    y: Tensor = outputs[0] if len(outputs) == 1 else cat(outputs, -1)
    return y
