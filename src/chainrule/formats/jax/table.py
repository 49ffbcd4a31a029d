"""The table of translations: ops whose references JAX cannot trace, or should not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import linalg, special

from chainrule.errors import ArgumentError
from chainrule.formats.jax import convolutions, recurrences
from chainrule.formats.jax.philox import raw_words
from chainrule.formats.jax.references import REPLACED, reference
from chainrule.kinds import Collective, Update
from chainrule.ops import contract, gamma, random, reduce
from chainrule.primitive import Primitive

_REFUSED = {
    "random_by_rejection": "it draws as many numbers as it needs, in a loop of Python's",
}


def refusal(record: Primitive) -> str | None:
    """Why an op is not translated; None for all others."""
    if isinstance(record.kind, Collective):
        return "the ranks of an MPI job exchange its numbers; JAX sums over a mesh by itself"
    return _REFUSED.get(record.name)


def _accumulator(x: Any, dims: tuple[int, ...]) -> Any:
    """The dtype of a sum: JAX adds in pairs, so only float16 needs a wider one."""
    if x.dtype.kind != "f":
        return np.int64
    return np.float32 if x.dtype == np.float16 else x.dtype


REPLACED.update(
    {
        reduce.accumulator: _accumulator,
        random.raw_words: raw_words,
        gamma.log_gamma: special.gammaln,
        contract.by_rows: jnp.matmul,
    }
)


def _all_finite(*xs: Any) -> Any:
    return jnp.stack([jnp.isfinite(x).all() for x in xs]).all()


def _global_norm(*gs: Any, p: float) -> Any:
    """m·(Σ |gᵢ/m|ᵖ)^(1/p) with m = max |gᵢ|."""
    dtype = np.result_type(*[g.dtype for g in gs])
    gs = tuple(g.astype(np.result_type(dtype, np.float32)) for g in gs if g.size)
    top = jnp.stack([jnp.abs(g).max() for g in gs]).max() if gs else jnp.zeros((), dtype)
    if p == math.inf:
        return top.astype(dtype)
    scale = jnp.where((top > 0) & jnp.isfinite(top), top, 1)
    total = sum(jnp.sum(jnp.abs(g / scale) ** p) for g in gs)
    norm = jnp.where(jnp.isfinite(top), scale * total ** (1 / p), top)
    return norm.astype(dtype)


def _polygamma(x: Any, *, n: int) -> Any:
    """ψ⁽ⁿ⁾(x) = (−1)ⁿ⁺¹·n!·Σ (x + k)⁻ⁿ⁻¹ over x + k < 1, and JAX's from there on."""
    if n == 0:
        return special.digamma(x)

    def step(state: Any) -> Any:
        total, z = state
        return total + jnp.where(z < 1, z ** -(n + 1), 0), jnp.where(z < 1, z + 1, z)

    z = jnp.where(x < -1000, jnp.nan, x).astype(np.float64)
    total, z = lax.while_loop(lambda state: (state[1] < 1).any(), step, (jnp.zeros_like(z), z))
    return ((-1) ** (n + 1) * math.factorial(n) * total + special.polygamma(n, z)).astype(x.dtype)


def _sorted_position(rows: Any, x: Any, *, right: bool) -> Any:
    side = "right" if right else "left"
    if rows.ndim == 1:
        return jnp.searchsorted(rows, x, side=side).astype(np.int64)
    find = jax.vmap(lambda row, own: jnp.searchsorted(row, own, side=side))
    flat = find(rows.reshape(-1, rows.shape[-1]), x.reshape(-1, x.shape[-1]))
    return flat.reshape(x.shape).astype(np.int64)


TABLE: dict[str, Callable[..., Any]] = {
    "all_finite": _all_finite,
    "astype": lambda x, *, dtype: x.astype(dtype),
    "convolution": convolutions.convolution,
    "convolution_input": convolutions.convolution_input,
    "convolution_weight": convolutions.convolution_weight,
    "global_norm": _global_norm,
    "gru_sequence": recurrences.gru_sequence,
    "gru_sequence_gradient": recurrences.gru_sequence_gradient,
    "lstm_sequence": recurrences.lstm_sequence,
    "lstm_sequence_gradient": recurrences.lstm_sequence_gradient,
    "matrix_exp": linalg.expm,
    "polygamma": _polygamma,
    "recurrence": recurrences.recurrence,
    "rnn_sequence": recurrences.rnn_sequence,
    "rnn_sequence_gradient": recurrences.rnn_sequence_gradient,
    "sorted_position": _sorted_position,
}


def translation(record: Primitive) -> Callable[..., Any]:
    """The function of JAX's for an op: that of the table, else its reference."""
    if reason := refusal(record):
        raise ArgumentError(f"`{record.name}` is not translated to JAX: {reason}")
    function = TABLE.get(record.name) or reference(record)
    return _with_narrow_rates(function) if isinstance(record.kind, Update) else function


def _with_narrow_rates(update: Callable[..., Any]) -> Callable[..., Any]:
    """An update whose rates, which are float64, have the dtype of the weights: else it would run in
    float64, which accelerators lack or do slowly."""

    def narrow(w: Any, *others: Any, **options: Any) -> Any:
        rates = [x.astype(w.dtype) if x.dtype == np.float64 else x for x in others]
        return update(w, *rates, **options)

    return narrow
