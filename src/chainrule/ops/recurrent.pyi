# Written by tools/stubs.py, from the records.

from typing import Any

from chainrule.primitive import Array, Primitive, Spec, SpecLike
from chainrule.tensor import Tensor

def recurrent_rule(name: str, gates: int, p: SpecLike, w: SpecLike, *states: SpecLike) -> Spec:
    """p (T, N, gates·H), W_hh (gates·H, H) and states (N, H) → (T, N, H)."""

def in_time(x: Any, reverse: bool) -> Any:
    """A sequence in the order in which time runs; or back from that order, which is the same."""

def before(h: Array, h0: Array, reverse: bool) -> Array:
    """hₜ₋₁ for every t: the state before each step."""

def by_weights(du: Array, past: Array) -> Array:
    """∂L/∂W_hh = Σₜ duₜᵀ·hₜ₋₁: one product over all steps and examples."""

def batched_sequence(record: Any, weights: int, xs: Any, batched: Any, params: Any) -> Any:
    """A recurrence over batched inputs whose `weights`, after the first input, are not batched: the"""

def flat(x: Array) -> Array:
    """(T, N, features) as (T·N, features)."""

def sigmoid(x: Array) -> Array:
    """σ(x) = 1 / (1 + e⁻ˣ); where e⁻ˣ is ∞ the limit 0."""

def sequence_samples(gates: int, inputs: str, *options: dict[str, Any]) -> Any:
    """Inputs by letter, for three steps of two examples, and for one step of one."""

FORWARD, BACKWARD = ({"reverse": False}, {"reverse": True})
FORWARD, BACKWARD = ({"reverse": False}, {"reverse": True})

class _lstm_sequence(Primitive):
    def __call__(
        self,
        p: Tensor | float,
        w: Tensor | float,
        h0: Tensor | float,
        c0: Tensor | float,
        *,
        reverse: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Long short-term memory over T steps (Hochreiter & Schmidhuber, 1997; Gers et al., 2000)."""

lstm_sequence: _lstm_sequence

class _lstm_sequence_gradient(Primitive):
    def __call__(
        self,
        u: Tensor | float,
        w: Tensor | float,
        h0: Tensor | float,
        c0: Tensor | float,
        h: Tensor | float,
        c: Tensor | float,
        gates: Tensor | float,
        *more: Tensor | float,
        reverse: Any,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The gradients of lstm_sequence by p, W, h₀ and c₀, given those of h, and of c and the gates."""

lstm_sequence_gradient: _lstm_sequence_gradient

class _gru_sequence(Primitive):
    def __call__(
        self,
        p: Tensor | float,
        w: Tensor | float,
        b: Tensor | float,
        h0: Tensor | float,
        *,
        reverse: bool,
    ) -> tuple[Tensor, Tensor]:
        """A gated recurrent unit over T steps (Cho et al., 2014), the reset after the product."""

gru_sequence: _gru_sequence

class _gru_sequence_gradient(Primitive):
    def __call__(
        self,
        u: Tensor | float,
        w: Tensor | float,
        b: Tensor | float,
        h0: Tensor | float,
        h: Tensor | float,
        gates: Tensor | float,
        *more: Tensor | float,
        reverse: Any,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The gradients of gru_sequence by p, W, b and h₀, given those of h, and of the gates."""

gru_sequence_gradient: _gru_sequence_gradient

def rnn_rule(p: SpecLike, w: SpecLike, h0: SpecLike, *, nonlinearity: str, reverse: bool) -> Spec:
    """The states of a plain network."""

TANH, RELU = ({"nonlinearity": "tanh"}, {"nonlinearity": "relu"})
TANH, RELU = ({"nonlinearity": "tanh"}, {"nonlinearity": "relu"})

class _rnn_sequence(Primitive):
    def __call__(
        self,
        p: Tensor | float,
        w: Tensor | float,
        h0: Tensor | float,
        *,
        nonlinearity: str,
        reverse: bool,
    ) -> Tensor:
        """A simple recurrent network over T steps (Elman, 1990): hₜ = φ(pₜ + hₜ₋₁·Wᵀ), φ tanh or relu."""

rnn_sequence: _rnn_sequence

class _rnn_sequence_gradient(Primitive):
    def __call__(
        self,
        u: Tensor | float,
        w: Tensor | float,
        h0: Tensor | float,
        h: Tensor | float,
        *,
        nonlinearity: Any,
        reverse: Any,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients of rnn_sequence by p, W and h₀, given u (T, N, H), W, h₀ and h."""

rnn_sequence_gradient: _rnn_sequence_gradient
