"""Recurrences as compositions of ops, step by step: the formulas of recurrent.py on tensors.

The ops of whole sequences are faster, and their gradients have no derivative. These have
derivatives of any order, in forward mode too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.ops.elementwise import tanh
from chainrule.ops.shape import cat, stack
from chainrule.ops.special import sigmoid
from chainrule.tensor import Tensor


def times(x: Tensor, reverse: bool) -> list[int]:
    """The steps in the order in which time runs."""
    return list(range(x.shape[0]))[:: -1 if reverse else 1]


def in_order(steps: Sequence[Any], reverse: bool) -> Any:
    """What each step gave, in the order in which time ran, as sequences by the number of steps."""
    columns = zip(*(reversed(steps) if reverse else steps), strict=True)
    return tuple([stack(column) for column in columns])


def previous(h: Tensor, h0: Tensor, t: int, reverse: bool) -> Tensor:
    """The state before step t."""
    before = t + 1 if reverse else t - 1
    return h[before] if 0 <= before < h.shape[0] else h0


def total(x: Tensor, past: Tensor) -> Tensor:
    """Σₜ xₜᵀ·pastₜ over all steps and examples."""
    rows = x.shape[0] * x.shape[1]
    return x.reshape(rows, x.shape[2]).mT @ past.reshape(rows, past.shape[2])


def lstm(p: Tensor, w: Tensor, h0: Tensor, c0: Tensor, *, reverse: bool) -> Any:
    """lstm_sequence."""
    h, c, steps = h0, c0, []
    for t in times(p, reverse):
        a_i, a_f, a_g, a_o = (p[t] + h @ w.mT).chunk(4, -1)
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), tanh(a_g), sigmoid(a_o)
        c = f * c + i * g
        h = o * tanh(c)
        steps.append((h, c, cat([i, f, g, o], -1)))
    return in_order(steps, reverse)


def lstm_gradient(
    u: Tensor, w: Tensor, h0: Tensor, c0: Tensor, h: Tensor, c: Tensor, gates: Tensor,
    *more: Tensor, reverse: bool,
) -> Any:
    """lstm_sequence_gradient."""
    dh, dc, steps = h0 * 0, c0 * 0, []
    for t in times(u, not reverse):
        i, f, g, o = gates[t].chunk(4, -1)
        past, earlier = previous(h, h0, t, reverse), previous(c, c0, t, reverse)
        tanh_c = tanh(c[t])
        dh = dh + u[t]
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        dc = dc + more[0][t] if more else dc
        by_gates = cat([dc * g, dc * earlier, dc * i, dh * tanh_c], -1)
        by_gates = by_gates + more[1][t] if len(more) > 1 else by_gates
        da = by_gates * cat([i * (1 - i), f * (1 - f), 1 - g * g, o * (1 - o)], -1)
        steps.append((da, past))
        dh, dc = da @ w, dc * f
    dp, past = in_order(steps, not reverse)
    return dp, total(dp, past), dh, dc


def gru(p: Tensor, w: Tensor, b: Tensor, h0: Tensor, *, reverse: bool) -> Any:
    """gru_sequence."""
    h, steps = h0, []
    for t in times(p, reverse):
        (p_r, p_z, p_n), (u_r, u_z, u_n) = p[t].chunk(3, -1), (h @ w.mT + b).chunk(3, -1)
        r, z = sigmoid(p_r + u_r), sigmoid(p_z + u_z)
        n = tanh(p_n + r * u_n)
        h = (1 - z) * n + z * h
        steps.append((h, cat([r, z, n, u_n], -1)))
    return in_order(steps, reverse)


def gru_gradient(
    u: Tensor, w: Tensor, b: Tensor, h0: Tensor, h: Tensor, gates: Tensor, *more: Tensor,
    reverse: bool,
) -> Any:
    """gru_sequence_gradient."""
    dh, steps = h0 * 0, []
    for t in times(u, not reverse):
        r, z, n, u_n = gates[t].chunk(4, -1)
        by_r, by_z, by_n, by_u = more[0][t].chunk(4, -1) if more else (0, 0, 0, 0)
        past = previous(h, h0, t, reverse)
        dh = dh + u[t]
        dn = (dh * (1 - z) + by_n) * (1 - n * n)
        dr = (dn * u_n + by_r) * r * (1 - r)
        dz = (dh * (past - n) + by_z) * z * (1 - z)
        du = cat([dr, dz, dn * r + by_u], -1)
        steps.append((cat([dr, dz, dn], -1), du, past))
        dh = dh * z + du @ w
    dp, du, past = in_order(steps, not reverse)
    return dp, total(du, past), du.sum((0, 1)), dh


def rnn(p: Tensor, w: Tensor, h0: Tensor, *, nonlinearity: str, reverse: bool) -> Any:
    """rnn_sequence."""
    h, steps = h0, []
    for t in times(p, reverse):
        a = p[t] + h @ w.mT
        h = a.tanh() if nonlinearity == "tanh" else a.relu()
        steps.append((h,))
    return in_order(steps, reverse)[0]


def rnn_gradient(
    u: Tensor, w: Tensor, h0: Tensor, h: Tensor, *, nonlinearity: str, reverse: bool
) -> Any:
    """rnn_sequence_gradient."""
    dh, steps = h0 * 0, []
    for t in times(u, not reverse):
        slope = 1 - h[t] * h[t] if nonlinearity == "tanh" else (h[t] > 0).astype(h.dtype)
        dp = (u[t] + dh) * slope
        steps.append((dp, previous(h, h0, t, reverse)))
        dh = dp @ w
    dp, past = in_order(steps, not reverse)
    return dp, total(dp, past), dh
