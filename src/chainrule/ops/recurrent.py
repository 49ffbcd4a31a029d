"""Recurrent networks over time: each recurrence is one op, and its gradient another.

The part that does not depend on the past, p = x·W_ihᵀ + bias, comes in for all steps at once, so
that it is a single product. All sequences are (T, N, features); h₀ is the state before the first
step. With `reverse` time runs from the last step to the first, and h[t] stands at its step still.

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
from chainrule.gateway import apply
from chainrule.ops.contract import same_float
from chainrule.primitive import Array, Sample, Spec, SpecLike, floating, primitive
from chainrule.tensor import Tensor, wrap

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
            )  # fmt: skip
    return Spec((p.shape[0], p.shape[1], hidden), p.dtype)


def in_time(steps: int, reverse: bool) -> Iterator[tuple[int, int]]:
    """(t, the step before t in time), −1 for none, in the order in which time runs."""
    order = range(steps - 1, -1, -1) if reverse else range(steps)
    before = -1
    for t in order:
        yield t, before
        before = t


def back_in_time(steps: int, reverse: bool) -> Iterator[tuple[int, int]]:
    """The same pairs from the last in time to the first."""
    return reversed(list(in_time(steps, reverse)))


def by_weights(du: Array, h: Array, h0: Array, reverse: bool) -> Array:
    """∂L/∂W_hh = Σₜ duₜᵀ·hₜ₋₁: one product over all steps but the first, and one for h₀."""
    later, earlier = (du[:-1], h[1:]) if reverse else (du[1:], h[:-1])
    first = du[-1] if reverse else du[0]
    y = np.matmul(first.T, h0)
    y += np.matmul(flat(later).T, flat(earlier))
    return y


def flat(x: Array) -> Array:
    """(T, N, features) as (T·N, features)."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


def to_sigmoid(x: Array) -> None:
    """σ(x) = 1 / (1 + e⁻ˣ), in place; where e⁻ˣ is ∞ the limit 0."""
    np.negative(x, out=x)
    np.exp(x, out=x)
    np.add(x, 1, out=x)
    np.divide(1, x, out=x)


def zeros_if_none(g: Tensor | None, like: Tensor) -> Tensor:
    """A gradient, or zeros where none came."""
    return wrap(np.zeros(like.shape, like.dtype)) if g is None else g


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
            }  # fmt: skip
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
        steps, examples, hidden = *p.shape[:2], w.shape[1]
        h, c = np.empty((2, steps, examples, hidden), p.dtype)
        gates = np.empty(p.shape, p.dtype)
        new = np.empty_like(h0, order="C")
        for t, before in in_time(steps, reverse):
            a, past, cell = gates[t], h0 if before < 0 else h[before], c[t]
            np.matmul(past, w.T, out=a)
            a += p[t]
            np.tanh(a[:, 2 * hidden : 3 * hidden], out=new)
            to_sigmoid(a)
            a[:, 2 * hidden : 3 * hidden] = new
            i, f, _, o = quarters(a)
            np.multiply(f, c0 if before < 0 else c[before], out=cell)
            new *= i
            cell += new
            np.tanh(cell, out=h[t])
            h[t] *= o
        return h, c, gates

    def vjp(gs, w, h0, c0, ys, reverse):
        h, c, gates = ys
        more = () if gs[1] is None and gs[2] is None else (zeros_if_none(gs[1], c),)
        more = more if gs[2] is None else (*more, gs[2])
        return apply(
            "lstm_sequence_gradient", zeros_if_none(gs[0], h), w, h0, c0, h, c, gates, *more,
            reverse=reverse,
        )  # fmt: skip


def quarters(x: Array) -> tuple[Array, Array, Array, Array]:
    """Views of the four parts of the last dimension."""
    n = x.shape[-1] // 4
    return x[..., :n], x[..., n : 2 * n], x[..., 2 * n : 3 * n], x[..., 3 * n :]


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

    def infer(u, w, h0, c0, h, c, gates, *more, reverse):
        recurrent_rule("lstm_sequence_gradient", 4, gates, w, h0, c0)
        return Spec(gates.shape, gates.dtype), w, h0, c0

    def flops(u, w, h0, c0, h, c, gates, *more, reverse):
        return 4 * math.prod(u.shape[:2]) * math.prod(w.shape)

    def forward(u, w, h0, c0, h, c, gates, *more, reverse):
        dp = np.empty(gates.shape, gates.dtype)
        tanh_c = np.tanh(c)
        slope, change = 1 - tanh_c * tanh_c, np.empty(dp.shape[1:], dp.dtype)
        dh, dc = np.zeros((2, *h0.shape), dp.dtype)
        for t, before in back_in_time(len(dp), reverse):
            a, past = gates[t], c0 if before < 0 else c[before]
            (i, f, g, o), (di, df, dg, do) = quarters(a), quarters(dp[t])
            dh += u[t]
            np.multiply(dh, tanh_c[t], out=do)
            dh *= o
            dh *= slope[t]
            dc += dh
            if more:
                dc += more[0][t]
            np.multiply(dc, g, out=di)
            np.multiply(dc, past, out=df)
            np.multiply(dc, i, out=dg)
            if len(more) > 1:
                dp[t] += more[1][t]
            dc *= f
            np.subtract(1, a, out=change)  # slopes: σ·(1 − σ), and 1 − tanh²
            change *= a
            change_g = quarters(change)[2]
            np.multiply(g, g, out=change_g)
            np.subtract(1, change_g, out=change_g)
            dp[t] *= change
            np.matmul(dp[t], w, out=dh)
        return dp, by_weights(dp, h, h0, reverse), dh, dc


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
        steps, examples, hidden = *p.shape[:2], w.shape[1]
        h = np.empty((steps, examples, hidden), p.dtype)
        gates = np.empty((steps, examples, 4 * hidden), p.dtype)
        product = np.empty((examples, 3 * hidden), p.dtype)
        for t, before in in_time(steps, reverse):
            past, y = h0 if before < 0 else h[before], h[t]
            r, z, n, u_n = quarters(gates[t])
            both = gates[t, :, : 2 * hidden]
            np.matmul(past, w.T, out=product)
            product += b
            np.add(p[t, :, : 2 * hidden], product[:, : 2 * hidden], out=both)
            to_sigmoid(both)
            u_n[:] = product[:, 2 * hidden :]
            np.multiply(r, u_n, out=n)
            n += p[t, :, 2 * hidden :]
            np.tanh(n, out=n)
            np.subtract(past, n, out=y)
            y *= z
            y += n
        return h, gates

    def vjp(gs, w, b, h0, ys, reverse):
        h, gates = ys
        more = () if gs[1] is None else (gs[1],)
        return apply(
            "gru_sequence_gradient", zeros_if_none(gs[0], h), w, b, h0, h, gates, *more,
            reverse=reverse,
        )  # fmt: skip


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

    def infer(u, w, b, h0, h, gates, *more, reverse):
        by_p = Spec((*h.shape[:2], 3 * h.shape[2]), h.dtype)
        recurrent_rule("gru_sequence_gradient", 3, by_p, w, h0)
        return by_p, w, b, h0

    def flops(u, w, b, h0, h, gates, *more, reverse):
        return 4 * math.prod(u.shape[:2]) * math.prod(w.shape)

    def forward(u, w, b, h0, h, gates, *more, reverse):
        steps, examples, hidden = h.shape
        du = np.empty((steps, examples, 3 * hidden), h.dtype)
        by_new = np.empty(h.shape, h.dtype)
        dh = np.zeros(h0.shape, h.dtype)
        for t, before in back_in_time(steps, reverse):
            (r, z, n, u_n), past = quarters(gates[t]), h0 if before < 0 else h[before]
            step, dn = du[t], by_new[t]
            dr, dz, dun = np.split(step, 3, axis=1)
            dh += u[t]
            np.subtract(past, n, out=dz)
            dz *= dh
            np.multiply(dh, 1 - z, out=dn)
            extra = quarters(more[0][t]) if more else (0, 0, 0, 0)
            dn += extra[2]
            dn *= 1 - n * n
            np.multiply(dn, u_n, out=dr)
            dr += extra[0]
            dz += extra[1]
            np.multiply(dn, r, out=dun)
            dun += extra[3]
            slopes = gates[t, :, : 2 * hidden]
            step[:, : 2 * hidden] *= slopes * (1 - slopes)
            dh *= z
            dh += np.matmul(step, w)
        dp = du.copy()
        dp[:, :, 2 * hidden :] = by_new
        return dp, by_weights(du, h, h0, reverse), np.add.reduce(flat(du), 0), dh


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
        h = np.empty(p.shape, p.dtype)
        for t, before in in_time(len(p), reverse):
            np.matmul(h0 if before < 0 else h[before], w.T, out=h[t])
            h[t] += p[t]
            if nonlinearity == "tanh":
                np.tanh(h[t], out=h[t])
            else:
                np.maximum(h[t], 0, out=h[t])
        return h

    def vjp(g, w, h0, y, nonlinearity, reverse):
        params = {"nonlinearity": nonlinearity, "reverse": reverse}
        return apply("rnn_sequence_gradient", g, w, h0, y, **params)


@primitive
class rnn_sequence_gradient:
    """The gradients of rnn_sequence by p, W and h₀, given u (T, N, H), W, h₀ and h.

    From the last step to the first: dpₜ = (uₜ + dhₜ)∘s, the slope s = 1 − hₜ² or [hₜ > 0];
    dhₜ₋₁ = dpₜ·W;  and dW = Σₜ dpₜᵀ·hₜ₋₁.   → dp (T, N, H), dW (H, H), dh₀ (N, H).
    No derivative.
    """
    samples = sequence_samples(1, "hwsh", TANH | FORWARD, RELU | BACKWARD)

    def infer(u, w, h0, h, *, nonlinearity, reverse):
        return rnn_rule(h, w, h0, nonlinearity=nonlinearity, reverse=reverse), w, h0

    def flops(u, w, h0, h, *, nonlinearity, reverse):
        return 4 * math.prod(u.shape[:2]) * math.prod(w.shape)

    def forward(u, w, h0, h, *, nonlinearity, reverse):
        dp = 1 - h * h if nonlinearity == "tanh" else (h > 0).astype(h.dtype)
        dh = np.zeros(h0.shape, h.dtype)
        for t, _ in back_in_time(len(h), reverse):
            dh += u[t]
            dp[t] *= dh
            np.matmul(dp[t], w, out=dh)
        return dp, by_weights(dp, h, h0, reverse), dh
