"""Philox 4×64-10 (Salmon et al., 2011) in `jax.numpy`, with the bits of NumPy's generator."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

_MULTIPLIERS = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_WEYL = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_ROUNDS, _HALF, _LOW = 10, np.uint64(32), np.uint64(0xFFFFFFFF)


def raw_words(state: Any, n: int) -> Any:
    """n words of 64 bits of the stream of a state [key, counter].

    NumPy's generator counts up before its first block, so block i has the counter + 1 + i.
    """
    key, counter = state.view(jnp.uint64)
    blocks = -(-n // 4)
    low = counter + jnp.arange(1, blocks + 1, dtype=jnp.uint64)
    carried = (low < counter).astype(jnp.uint64)
    zero = jnp.zeros(blocks, jnp.uint64)
    words, keys = [low, carried, zero, zero], [key, jnp.zeros((), jnp.uint64)]
    for _ in range(_ROUNDS):
        high_0, low_0 = _product(_MULTIPLIERS[0], words[0])
        high_1, low_1 = _product(_MULTIPLIERS[1], words[2])
        words = [high_1 ^ words[1] ^ keys[0], low_1, high_0 ^ words[3] ^ keys[1], low_0]
        keys = [k + weyl for k, weyl in zip(keys, _WEYL, strict=True)]
    return jnp.stack(words, axis=1).reshape(-1)[:n]


def _product(a: Any, b: Any) -> tuple[Any, Any]:
    """The high and the low 64 bits of a·b, from products of halves."""
    a_high, a_low, b_high, b_low = a >> _HALF, a & _LOW, b >> _HALF, b & _LOW
    middle = a_high * b_low + ((a_low * b_low) >> _HALF)
    other = a_low * b_high + (middle & _LOW)
    return a_high * b_high + (middle >> _HALF) + (other >> _HALF), a * b
