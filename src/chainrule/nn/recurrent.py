"""Recurrent layers.

They take sequences (T, N, features), or (N, T, features) with `batch_first`, or (T, features)
without a batch, or packed sequences. The products with the inputs of all steps are computed as one.
The recurrence of one layer and direction is one op.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn import functional
from chainrule.nn.functional.checks import check_counts, check_probability, check_tensors
from chainrule.nn.functional.recurrent import (
    gru_over_time,
    lstm_over_time,
    rnn_over_time,
    side_by_side,
)
from chainrule.nn.recurrence import Recurrence, check_nonlinearity
from chainrule.nn.utils.rnn import PackedSequence, Places
from chainrule.ops.creation import zeros
from chainrule.ops.shape import stack
from chainrule.tensor import Tensor

Run = Callable[[Tensor, str, list[Tensor], bool], tuple[Tensor, list[Tensor]]]
"""Runs one layer and direction: (input, suffix, states, reverse) → (output, final states)."""


class RNNBase(Recurrence):
    """Base class of RNN, LSTM and GRU: the loop over layers and directions.

    >>> from chainrule import nn
    >>> isinstance(nn.GRU(8, 16), nn.RNNBase)
    True
    """

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
            features = input_size if i < directions else directions * self._widths[0]
            self._add_weights(features, suffix, dtype)
        self.reset_parameters()

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The weights of each layer and direction."""
        return [[w for w in self._weights(suffix) if w is not None] for suffix in self._suffixes]

    def flatten_parameters(self) -> None:
        """Do nothing: the weights need not be next to each other in memory."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        if isinstance(input, PackedSequence):
            return self._of_packed(input, hx)
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
        states = self._states(hx, x, (x.shape[1],) if batched else ())
        if not batched:
            states = [[state.unsqueeze(0) for state in each] for each in states]

        def run(
            x: Tensor, suffix: str, states: list[Tensor], reverse: bool
        ) -> tuple[Tensor, list[Tensor]]:
            found = self._over_time(x, suffix, states, reverse)
            return found[0], [s[0] if reverse else s[-1] for s in found]

        y, last = self._through_layers(x, states, run)
        if not batched:
            y, last = y.squeeze(1), [state.squeeze(1) for state in last]
        y = y.transpose(0, 1) if batched and self.batch_first else y
        return y, last[0] if len(last) == 1 else tuple(last)

    def _of_packed(self, packed: PackedSequence, hx: Any) -> Any:
        """The outputs as a packed sequence, and the final states in the order of the batch.

        Each direction runs over padded sequences, the second one over each sequence from its own
        end. What follows the end of a sequence reaches no output.
        """
        self._check_features(packed.data, "(steps, in)")
        places = Places.of(packed)
        steps, examples = places.steps, places.examples
        states = self._states(hx, packed.data, (len(places.lengths),))
        if hx is not None and packed.sorted_indices is not None:
            states = [[state[packed.sorted_indices] for state in each] for each in states]

        def run(
            x: Tensor, suffix: str, states: list[Tensor], reverse: bool
        ) -> tuple[Tensor, list[Tensor]]:
            rows, _ = places.rows(reverse)
            found = self._over_time(x[rows], suffix, states, False)
            at = places.lengths[examples] - 1 - steps if reverse else steps
            last = [s[places.lengths - 1, np.arange(s.shape[1])] for s in found]
            return found[0][at, examples], last

        y, last = self._through_layers(packed.data, states, run)
        if packed.unsorted_indices is not None:
            last = [state[:, packed.unsorted_indices] for state in last]
        return packed.with_data(y), last[0] if len(last) == 1 else tuple(last)

    def _states(self, hx: Any, x: Tensor, batch: tuple[int, ...]) -> list[list[Tensor]]:
        """The initial states (*batch, H) of each layer and direction."""
        n = len(self._suffixes)
        if hx is None:
            return [[zeros(*batch, width, dtype=x.dtype) for width in self._widths]] * n
        given = self._given_states(hx, n, *batch)
        return [[state[i] for state in given] for i in range(n)]

    def _through_layers(
        self, x: Tensor, states: list[list[Tensor]], run: Run
    ) -> tuple[Tensor, list[Tensor]]:
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
            output, last = run(x, suffix, states[i], reverse)
            outputs.append(output)
            final.append(last)
        y = side_by_side(outputs[-directions:])
        return y, [stack(each) for each in zip(*final, strict=True)]


class RNN(RNNBase):
    """hₜ = φ(W_ih·xₜ + b_ih + W_hh·hₜ₋₁ + b_hh), where φ is tanh or relu (Elman, 1990).

    Inputs: x (T, N, in), or (N, T, in) with `batch_first`, or (T, in) without a batch, or a packed
    sequence, and h₀ (layers·directions, N, H), by default zeros. Outputs: the states of the last
    layer (T, N, directions·H), packed for a packed input, and the final states h_n
    (layers·directions, N, H). `dropout` applies between layers.

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


class LSTM(RNNBase):
    """Long short-term memory (Hochreiter & Schmidhuber, 1997; Gers et al., 2000).

    i, f, o = σ(W_ih·xₜ + b_ih + W_hh·hₜ₋₁ + b_hh), each with its rows of the weights;
    g = tanh(the same with its rows);  cₜ = f∘cₜ₋₁ + i∘g;  hₜ = o∘tanh(cₜ).

    x, (h₀, c₀) → output, (h_n, c_n). Shapes are those of RNN, but the state is a pair (h, c), and
    weights and biases have 4·H rows, in the order i, f, g, o. Raises ShapeError for another number
    of features or another shape of a state, and DTypeError for an input whose dtype is not that of
    the weights. A second derivative raises NotDifferentiableError.

    With `proj_size` P, the hidden states are multiplied by weight_hr_l0 (P, H). They, h₀ and the
    output have P in place of H, and weight_hh_l0 is (4·H, P) (Sak et al., 2014).

    >>> import chainrule as cr
    >>> lstm = LSTM(28, 64, batch_first=True)
    >>> output, (h_n, c_n) = lstm(cr.zeros(32, 10, 28))
    >>> output.shape, h_n.shape, lstm.weight_ih_l0.shape
    ((32, 10, 64), (1, 32, 64), (256, 28))
    """

    gates, state_names = 4, ("h_0", "c_0")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        dtype: Any = None,
    ) -> None:
        if not (isinstance(proj_size, int) and 0 <= proj_size < hidden_size):
            raise ArgumentError(
                "proj_size of LSTM is out of range",
                given=proj_size,
                expected="an integer ≥ 0 that is less than hidden_size",
            )
        self.proj_size = proj_size
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
        return lstm_over_time(x, self._weights(suffix), states, reverse)


class GRU(RNNBase):
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
