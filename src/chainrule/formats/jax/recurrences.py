"""Recurrences by `lax.scan`: the formulas of `ops/recurrent.py` for one step, compiled once for any
number of steps. `h` and so on are at time t; all sequences are (T, N, features)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

sigmoid = jax.nn.sigmoid


def _before(h: Any, h0: Any, reverse: bool) -> Any:
    """The state before each step."""
    return jnp.concatenate([h[1:], h0[None]] if reverse else [h0[None], h[:-1]])


def _by_weights(du: Any, past: Any) -> Any:
    return jnp.einsum("tng,tnh->gh", du, past)


def lstm_sequence(p: Any, w: Any, h0: Any, c0: Any, *, reverse: bool) -> Any:
    def step(state: Any, p: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(p + h @ w.T, 4, -1)
        i, f, g, o = sigmoid(i), sigmoid(f), jnp.tanh(g), sigmoid(o)
        c = f * c + i * g
        h = o * jnp.tanh(c)
        return (h, c), (h, c, jnp.concatenate([i, f, g, o], -1))

    return lax.scan(step, (h0, c0), p, reverse=reverse)[1]


def lstm_sequence_gradient(
    u: Any, w: Any, h0: Any, c0: Any, h: Any, c: Any, gates: Any, *more: Any, reverse: bool
) -> Any:
    by_c = more[0] if more else jnp.zeros_like(c)
    by_gates = more[1] if len(more) > 1 else jnp.zeros_like(gates)

    def step(state: Any, now: Any) -> Any:
        (dh, dc), (u, by_c, by_gates, c, earlier, gates) = state, now
        i, f, g, o = jnp.split(gates, 4, -1)
        tanh_c = jnp.tanh(c)
        dh = dh + u
        dc = dc + by_c + dh * o * (1 - tanh_c**2)
        by_activations = jnp.concatenate([dc * g, dc * earlier, dc * i, dh * tanh_c], -1)
        slopes = jnp.concatenate([i * (1 - i), f * (1 - f), 1 - g**2, o * (1 - o)], -1)
        dp = (by_activations + by_gates) * slopes
        return (dp @ w, dc * f), dp

    zeros = (jnp.zeros_like(h0), jnp.zeros_like(c0))
    sequences = (u, by_c, by_gates, c, _before(c, c0, reverse), gates)
    (dh, dc), dp = lax.scan(step, zeros, sequences, reverse=not reverse)
    return dp, _by_weights(dp, _before(h, h0, reverse)), dh, dc


def gru_sequence(p: Any, w: Any, b: Any, h0: Any, *, reverse: bool) -> Any:
    def step(h: Any, p: Any) -> Any:
        (p_r, p_z, p_n), (u_r, u_z, u_n) = jnp.split(p, 3, -1), jnp.split(h @ w.T + b, 3, -1)
        r, z = sigmoid(p_r + u_r), sigmoid(p_z + u_z)
        n = jnp.tanh(p_n + r * u_n)
        h = (1 - z) * n + z * h
        return h, (h, jnp.concatenate([r, z, n, u_n], -1))

    return lax.scan(step, h0, p, reverse=reverse)[1]


def gru_sequence_gradient(
    u: Any, w: Any, b: Any, h0: Any, h: Any, gates: Any, *more: Any, reverse: bool
) -> Any:
    def step(dh: Any, now: Any) -> Any:
        u, past, gates, by_gates = now
        r, z, n, u_n = jnp.split(gates, 4, -1)
        by_r, by_z, by_n, by_u = jnp.split(by_gates, 4, -1)
        dh = dh + u
        dn = (dh * (1 - z) + by_n) * (1 - n**2)
        dr = (dn * u_n + by_r) * r * (1 - r)
        dz = (dh * (past - n) + by_z) * z * (1 - z)
        du = jnp.concatenate([dr, dz, dn * r + by_u], -1)
        return dh * z + du @ w, (jnp.concatenate([dr, dz, dn], -1), du)

    past = _before(h, h0, reverse)
    sequences = (u, past, gates, more[0] if more else jnp.zeros_like(gates))
    dh, (dp, du) = lax.scan(step, jnp.zeros_like(h0), sequences, reverse=not reverse)
    return dp, _by_weights(du, past), du.sum((0, 1)), dh


def rnn_sequence(p: Any, w: Any, h0: Any, *, nonlinearity: str, reverse: bool) -> Any:
    def step(h: Any, p: Any) -> Any:
        a = p + h @ w.T
        h = jnp.tanh(a) if nonlinearity == "tanh" else jnp.maximum(a, 0)
        return h, h

    return lax.scan(step, h0, p, reverse=reverse)[1]


def rnn_sequence_gradient(
    u: Any, w: Any, h0: Any, h: Any, *, nonlinearity: str, reverse: bool
) -> Any:
    slopes = 1 - h**2 if nonlinearity == "tanh" else (h > 0).astype(h.dtype)

    def step(dh: Any, now: Any) -> Any:
        u, slope = now
        dp = (u + dh) * slope
        return dp @ w, dp

    dh, dp = lax.scan(step, jnp.zeros_like(h0), (u, slopes), reverse=not reverse)
    return dp, _by_weights(dp, _before(h, h0, reverse)), dh


def recurrence(a: Any, b: Any, *, dim: int) -> Any:
    """yᵢ = aᵢ·yᵢ₋₁ + bᵢ."""

    def step(y: Any, now: Any) -> Any:
        a, b = now
        y = a * y + b
        return y, y

    rows = (jnp.moveaxis(a, dim, 0), jnp.moveaxis(b, dim, 0))
    start = jnp.zeros(rows[1].shape[1:], b.dtype)
    return jnp.moveaxis(lax.scan(step, start, rows)[1], 0, dim)
