"""Recurrent networks over time: each recurrence is one op, and its gradient another.

The part that does not depend on the past, p = x·W_ihᵀ + bias, comes in for all steps at once, so
that it is a single product. All sequences are (T, N, features); h₀ is the state before the first
step. With `reverse` time runs from the last step to the first; h[t] still belongs to p[t].

The gradients are backpropagation through time (Werbos, 1990), from the last step to the first; the
one by W_hh is a single product over all steps at the end. They have no derivative in turn: a
second backward pass raises NotDifferentiableError.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.ops import step_by_step
from chainrule.ops.batched import apart, everywhere, examples, merged
from chainrule.ops.contract import by_rows, same_float
from chainrule.ops.rules import zeros_if_none
from chainrule.primitive import Array, Sample, Spec, SpecLike, floating, primitive

# -- what the three have in common ---------------------------------------------------------------


def recurrent_rule(name: str, gates: int, p: SpecLike, w: SpecLike, *states: SpecLike) -> Spec:
    """p (T, N, gates·H), W_hh (gates·H, H) and states (N, H) → (T, N, H)."""
    same_float(name, floating(p), w, *states)
    hidden = w.shape[-1] if w.shape else 0
    if len(p.shape) != 3 or w.shape != (gates * hidden, hidden) or p.shape[2] != gates * hidden:
        raise ShapeError(
            f"`{name}` takes projected inputs (T, N, {gates}·H) and weights ({gates}·H, H)",
            given=f"{p.shape} and {w.shape}",
        )
    if p.shape[0] == 0:
        raise ArgumentError(f"`{name}` of no time steps", given=p.shape, expected="T ≥ 1")
    for state in states:
        if state.shape != (p.shape[1], hidden):
            raise ShapeError(
                f"a state of `{name}` has another shape", given=state.shape,
                expected=f"(N, H) = {(p.shape[1], hidden)}",
            )
    return Spec((p.shape[0], p.shape[1], hidden), p.dtype)


def in_time(x: Any, reverse: bool) -> Any:
    """A sequence in the order in which time runs; or back from that order, which is the same."""
    return x[::-1] if reverse else x


def before(h: Array, h0: Array, reverse: bool) -> Array:
    """hₜ₋₁ for every t: the state before each step."""
    past = [h0, *in_time(h, reverse)[:-1]]
    return np.stack(in_time(past, reverse))


def by_weights(du: Array, past: Array) -> Array:
    """∂L/∂W_hh = Σₜ duₜᵀ·hₜ₋₁: one product over all steps and examples."""
    return flat(du).T @ flat(past)


def batched_sequence(record: Any, weights: int, xs: Any, batched: Any, params: Any) -> Any:
    """A recurrence over batched inputs whose `weights`, after the first input, are not batched: the
    examples become further sequences (N)."""
    if True in batched[1 : 1 + weights]:
        return NotImplemented
    size, own = examples(xs, batched), xs[1 : 1 + weights]
    p = merged(everywhere(xs[:1], batched[:1], size)[0], 1)
    states = everywhere(xs[1 + weights :], batched[1 + weights :], size)
    return apart(record(p, *own, *map(merged, states), **params), size, 1)


def flat(x: Array) -> Array:
    """(T, N, features) as (T·N, features)."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


def sigmoid(x: Array) -> Array:
    """σ(x) = 1 / (1 + e⁻ˣ); where e⁻ˣ is ∞ the limit 0."""
    return 1 / (1 + np.exp(-x))


def sequence_samples(gates: int, inputs: str, *options: dict[str, Any]) -> Any:
    """Inputs by letter, for three steps of two examples, and for one step of one.

    p projected inputs, w weights, b bias, s a state, h a sequence of states, g saved gates.
    """

    def draw(rng: np.random.Generator) -> Iterator[Sample]:
        for i, params in enumerate(options):
            steps, examples, hidden = ((3, 2, 2), (1, 1, 3))[i % 2]
            shapes = {
                "p": (steps, examples, gates * hidden), "w": (gates * hidden, hidden),
                "b": (gates * hidden,), "s": (examples, hidden), "h": (steps, examples, hidden),
                "g": (steps, examples, 4 * hidden),
            }
            yield tuple(rng.uniform(-0.9, 0.9, shapes[letter]) for letter in inputs), params

    return draw


FORWARD, BACKWARD = {"reverse": False}, {"reverse": True}

# -- LSTM ----------------------------------------------------------------------------------------


@primitive
class lstm_sequence:
    """Long short-term memory over T steps (Hochreiter & Schmidhuber, 1997; Gers et al., 2000).

    a = pₜ + hₜ₋₁·Wᵀ;  i, f, o = σ(a_i), σ(a_f), σ(a_o);  g = tanh(a_g);
    cₜ = f∘cₜ₋₁ + i∘g;  hₜ = o∘tanh(cₜ).
    p (T, N, 4H) in the order i, f, g, o with all biases, W (4H, H), h₀ and c₀ (N, H)
    → h (T, N, H), c (T, N, H), gates (T, N, 4H): i, f, g, o after their activations.
    """
    in_place = ((2, 0),)
    partial = True
    samples = sequence_samples(4, "pwss", FORWARD, BACKWARD, BACKWARD)

    def infer(p: SpecLike, w: SpecLike, h0: SpecLike, c0: SpecLike, *, reverse: bool) -> Any:
        states = recurrent_rule("lstm_sequence", 4, p, w, h0, c0)
        return states, states, Spec(p.shape, p.dtype)

    def flops(p, w, h0, c0, *, reverse):
        return 2 * math.prod(p.shape[:2]) * math.prod(w.shape)

    def forward(p, w, h0, c0, *, reverse):
        h, c, steps = h0, c0, []
        for p_t in in_time(p, reverse):
            i, f, g, o = np.split(p_t + by_rows(h, w.T), 4, -1)
            i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
            c = f * c + i * g
            h = o * np.tanh(c)
            steps.append((h, c, np.concatenate([i, f, g, o], -1)))
        return tuple([np.stack(in_time(x, reverse)) for x in zip(*steps, strict=True)])

    def vjp(gs, w, h0, c0, ys, reverse):
        h, c, gates = ys
        more = () if gs[1] is None and gs[2] is None else (zeros_if_none(gs[1], c),)
        more = more if gs[2] is None else (*more, gs[2])
        g = zeros_if_none(gs[0], h)
        return lstm_sequence_gradient(g, w, h0, c0, h, c, gates, *more, reverse=reverse)

    def batch(xs, batched, params): return batched_sequence(lstm_sequence, 1, xs, batched, params)
    composed = step_by_step.lstm


@primitive
class lstm_sequence_gradient:
    """The gradients of lstm_sequence by p, W, h₀ and c₀, given those of h, and of c and the gates.

    From the last step to the first, with dh and dc also from the step after:
    dc += dh∘o∘(1 − tanh²c);  da_i = dc∘g∘i∘(1−i);  da_f = dc∘cₜ₋₁∘f∘(1−f);  da_g = dc∘i∘(1−g²);
    da_o = dh∘tanh c∘o∘(1−o);  dhₜ₋₁ = da·W;  dcₜ₋₁ = dc∘f;  and dW = Σₜ daₜᵀ·hₜ₋₁.
    u (T, N, H), W, h₀, c₀, h, c, gates, and where there are any: that of c (T, N, H), that of the
    gates (T, N, 4H) → dp (T, N, 4H), dW (4H, H), dh₀ (N, H), dc₀ (N, H).   No derivative.
    """
    in_place = ((0, 6),)
    samples = sequence_samples(4, "hwsshhg", FORWARD, BACKWARD)

    composed = step_by_step.lstm_gradient

    def infer(u, w, h0, c0, h, c, gates, *more, reverse):
        recurrent_rule("lstm_sequence_gradient", 4, gates, w, h0, c0)
        return Spec(gates.shape, gates.dtype), w, h0, c0

    def flops(u, w, h0, c0, h, c, gates, *more, reverse):
        return 4 * math.prod(u.shape[:2]) * math.prod(w.shape)

    def forward(u, w, h0, c0, h, c, gates, *more, reverse):
        by_c = more[0] if more else np.zeros_like(c)
        by_gates = more[1] if len(more) > 1 else np.zeros_like(gates)
        past, earlier = before(h, h0, reverse), before(c, c0, reverse)
        dh, dc, dp = np.zeros_like(h0), np.zeros_like(c0), []
        for t in in_time(range(len(u)), not reverse):
            i, f, g, o = np.split(gates[t], 4, -1)
            tanh_c = np.tanh(c[t])
            dh = dh + u[t]
            dc = dc + by_c[t] + dh * o * (1 - tanh_c**2)
            by_activations = np.concatenate([dc * g, dc * earlier[t], dc * i, dh * tanh_c], -1)
            slopes = np.concatenate([i * (1 - i), f * (1 - f), 1 - g**2, o * (1 - o)], -1)
            dp.append((by_activations + by_gates[t]) * slopes)
            dh, dc = dp[-1] @ w, dc * f
        dp = np.stack(in_time(dp, not reverse))
        return dp, by_weights(dp, past), dh, dc


# -- GRU -----------------------------------------------------------------------------------------


@primitive
class gru_sequence:
    """A gated recurrent unit over T steps (Cho et al., 2014), the reset after the product.

    u = hₜ₋₁·Wᵀ + b;  r, z = σ(p_r + u_r), σ(p_z + u_z);  n = tanh(p_n + r∘u_n);
    hₜ = (1 − z)∘n + z∘hₜ₋₁.
    p (T, N, 3H) in the order r, z, n with the input's bias, W (3H, H), b (3H), h₀ (N, H)
    → h (T, N, H), gates (T, N, 4H): r, z, n after their activations, and u_n.
    """
    partial = True
    samples = sequence_samples(3, "pwbs", FORWARD, BACKWARD, BACKWARD)

    def infer(p: SpecLike, w: SpecLike, b: SpecLike, h0: SpecLike, *, reverse: bool) -> Any:
        states = recurrent_rule("gru_sequence", 3, p, w, h0)
        same_float("gru_sequence", p, b)
        if b.shape != w.shape[:1]:
            raise ShapeError("the bias of a gru is (3·H,)", given=b.shape, expected=w.shape[:1])
        return states, Spec((*states.shape[:2], 4 * states.shape[2]), p.dtype)

    def flops(p, w, b, h0, *, reverse):
        return 2 * math.prod(p.shape[:2]) * math.prod(w.shape)

    def forward(p, w, b, h0, *, reverse):
        h, steps = h0, []
        for p_t in in_time(p, reverse):
            p_r, p_z, p_n = np.split(p_t, 3, -1)
            u_r, u_z, u_n = np.split(by_rows(h, w.T) + b, 3, -1)
            r, z = sigmoid(p_r + u_r), sigmoid(p_z + u_z)
            n = np.tanh(p_n + r * u_n)
            h = (1 - z) * n + z * h
            steps.append((h, np.concatenate([r, z, n, u_n], -1)))
        return tuple([np.stack(in_time(x, reverse)) for x in zip(*steps, strict=True)])

    def vjp(gs, w, b, h0, ys, reverse):
        h, gates = ys
        more = () if gs[1] is None else (gs[1],)
        g = zeros_if_none(gs[0], h)
        return gru_sequence_gradient(g, w, b, h0, h, gates, *more, reverse=reverse)

    def batch(xs, batched, params): return batched_sequence(gru_sequence, 2, xs, batched, params)
    composed = step_by_step.gru


@primitive
class gru_sequence_gradient:
    """The gradients of gru_sequence by p, W, b and h₀, given those of h, and of the gates.

    From the last step to the first, with dh also from the step after:
    dp_n = dh∘(1−z)∘(1−n²);  dp_r = dp_n∘u_n∘r∘(1−r);  dp_z = dh∘(hₜ₋₁−n)∘z∘(1−z);
    du = (dp_r, dp_z, dp_n∘r);  dhₜ₋₁ = dh∘z + du·W;  and dW = Σₜ duₜᵀ·hₜ₋₁, db = Σ du.
    u (T, N, H), W, b, h₀, h, gates, and where there is one: that of the gates (T, N, 4H)
    → dp (T, N, 3H), dW (3H, H), db (3H), dh₀ (N, H).   No derivative.
    """
    samples = sequence_samples(3, "hwbshg", FORWARD, BACKWARD)

    composed = step_by_step.gru_gradient

    def infer(u, w, b, h0, h, gates, *more, reverse):
        by_p = Spec((*h.shape[:2], 3 * h.shape[2]), h.dtype)
        recurrent_rule("gru_sequence_gradient", 3, by_p, w, h0)
        return by_p, w, b, h0

    def flops(u, w, b, h0, h, gates, *more, reverse):
        return 4 * math.prod(u.shape[:2]) * math.prod(w.shape)

    def forward(u, w, b, h0, h, gates, *more, reverse):
        by_gates = more[0] if more else np.zeros_like(gates)
        past, dh, steps = before(h, h0, reverse), np.zeros_like(h0), []
        for t in in_time(range(len(u)), not reverse):
            r, z, n, u_n = np.split(gates[t], 4, -1)
            by_r, by_z, by_n, by_u = np.split(by_gates[t], 4, -1)
            dh = dh + u[t]
            dn = (dh * (1 - z) + by_n) * (1 - n**2)
            dr = (dn * u_n + by_r) * r * (1 - r)
            dz = (dh * (past[t] - n) + by_z) * z * (1 - z)
            du = np.concatenate([dr, dz, dn * r + by_u], -1)
            steps.append((np.concatenate([dr, dz, dn], -1), du))
            dh = dh * z + du @ w
        dp, du = (np.stack(in_time(x, not reverse)) for x in zip(*steps, strict=True))
        return dp, by_weights(du, past), flat(du).sum(0), dh


# -- the plain recurrent network -----------------------------------------------------------------


def rnn_rule(p: SpecLike, w: SpecLike, h0: SpecLike, *, nonlinearity: str, reverse: bool) -> Spec:
    """The states of a plain network."""
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError(
            "unknown nonlinearity", given=repr(nonlinearity), expected="'tanh' or 'relu'"
        )
    return recurrent_rule("rnn_sequence", 1, p, w, h0)


TANH, RELU = {"nonlinearity": "tanh"}, {"nonlinearity": "relu"}


@primitive
class rnn_sequence:
    """A simple recurrent network over T steps (Elman, 1990): hₜ = φ(pₜ + hₜ₋₁·Wᵀ), φ tanh or relu.

    p (T, N, H) with all biases, W (H, H), h₀ (N, H) → h (T, N, H).
    """
    in_place = ((0, 0),)
    infer = rnn_rule
    samples = sequence_samples(1, "pws", TANH | FORWARD, TANH | BACKWARD, RELU | BACKWARD)

    def flops(p, w, h0, *, nonlinearity, reverse):
        return 2 * math.prod(p.shape[:2]) * math.prod(w.shape)

    def forward(p, w, h0, *, nonlinearity, reverse):
        h, states = h0, []
        for p_t in in_time(p, reverse):
            a = p_t + by_rows(h, w.T)
            h = np.tanh(a) if nonlinearity == "tanh" else np.maximum(a, 0)
            states.append(h)
        return np.stack(in_time(states, reverse))

    def vjp(g, w, h0, y, nonlinearity, reverse):
        params = {"nonlinearity": nonlinearity, "reverse": reverse}
        return rnn_sequence_gradient(g, w, h0, y, **params)

    def batch(xs, batched, params): return batched_sequence(rnn_sequence, 1, xs, batched, params)
    composed = step_by_step.rnn


@primitive
class rnn_sequence_gradient:
    """The gradients of rnn_sequence by p, W and h₀, given u (T, N, H), W, h₀ and h.

    From the last step to the first: dpₜ = (uₜ + dhₜ)∘s, the slope s = 1 − hₜ² or [hₜ > 0];
    dhₜ₋₁ = dpₜ·W;  and dW = Σₜ dpₜᵀ·hₜ₋₁.   → dp (T, N, H), dW (H, H), dh₀ (N, H).
    No derivative.
    """
    samples = sequence_samples(1, "hwsh", TANH | FORWARD, RELU | BACKWARD)

    composed = step_by_step.rnn_gradient

    def infer(u, w, h0, h, *, nonlinearity, reverse):
        return rnn_rule(h, w, h0, nonlinearity=nonlinearity, reverse=reverse), w, h0

    def flops(u, w, h0, h, *, nonlinearity, reverse):
        return 4 * math.prod(u.shape[:2]) * math.prod(w.shape)

    def forward(u, w, h0, h, *, nonlinearity, reverse):
        slopes = 1 - h**2 if nonlinearity == "tanh" else (h > 0).astype(h.dtype)
        dh, dp = np.zeros_like(h0), []
        for t in in_time(range(len(u)), not reverse):
            dp.append((u[t] + dh) * slopes[t])
            dh = dp[-1] @ w
        dp = np.stack(in_time(dp, not reverse))
        return dp, by_weights(dp, before(h, h0, reverse)), dh
