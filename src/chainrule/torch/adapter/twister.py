"""The Mersenne Twister as PyTorch uses it (Matsumoto & Nishimura, 1998): state, draws, the op.

A state is one tensor: the 624 words of the twister, its position, a spare normal number, and the
seed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.kinds import Random
from chainrule.ops.random import for_all
from chainrule.ops.rules import allocatable
from chainrule.ops.samplers import ALL_AT_ONCE, SAMPLERS, Source, drawn
from chainrule.primitive import Array, Spec, floating, primitive
from chainrule.samples import cases

_WORDS = 624
_POSITION, _SPARE, _SPARE_BITS, _SEED = range(_WORDS, _WORDS + 4)
SIZE = _WORDS + 4
_REAL = ("uniform", "normal")
"""The draws of real numbers."""


def seeded(seed: int) -> Array:
    """The state after `torch.manual_seed(seed)`."""
    state = np.zeros(SIZE, np.int64)
    _, key, position, *_ = np.random.RandomState(seed % 2**32).get_state()
    state[:_WORDS], state[_POSITION] = key, position
    state[_SEED] = np.uint64(seed % 2**64).astype(np.int64)
    return state


class Twister(Source):
    """Draws numbers from a state, and returns the new state."""

    def __init__(self, state: Array) -> None:
        self._bits = np.random.MT19937(0)
        key = state[:_WORDS].astype(np.uint32)
        self._bits.state = {
            "bit_generator": "MT19937",
            "state": {"key": key, "pos": int(state[_POSITION])},
        }
        self.spare = float(state[_SPARE_BITS:_SEED].view(np.float64)[0]) if state[_SPARE] else None
        self._seed = state[_SEED]

    def state(self) -> Array:
        """The current state."""
        inner = self._bits.state["state"]
        after = np.zeros(SIZE, np.int64)
        after[:_WORDS], after[_POSITION], after[_SEED] = inner["key"], inner["pos"], self._seed
        if self.spare is not None:
            after[_SPARE] = 1
            after[_SPARE_BITS] = np.float64(self.spare).view(np.int64)
        return after

    def words(self, n: int) -> Array:
        """n words of 32 bits."""
        return self._bits.random_raw(n)

    def long_words(self, n: int) -> Array:
        """n words of 64 bits: two words of 32 bits each, the upper half first."""
        halves = self.words(2 * n).reshape(n, 2)
        return (halves[:, 0] << np.uint64(32)) | halves[:, 1]

    def uniform(self, n: int, dtype: Any) -> Array:
        """U[0, 1): 24 random bits for float32 and smaller, 53 for float64."""
        if dtype == np.float64:
            return (self.long_words(n) & np.uint64(2**53 - 1)) * 2.0**-53
        bits = self.words(n) & np.uint64(2**24 - 1)
        return (bits.astype(np.float32) * np.float32(2.0**-24)).astype(dtype)

    def normal(self, n: int, dtype: Any) -> Array:
        """N(0, 1), by Box and Muller (1958): in blocks of 16, or in pairs for fewer numbers."""
        if n < 16:
            return np.array([self.next_normal() for _ in range(n)]).astype(dtype)
        wide = np.float64 if dtype == np.float64 else np.float32
        whole = n // 16 * 16
        numbers = self.uniform(n, wide)
        numbers[:whole] = _from_uniform(numbers[:whole])
        if whole < n:
            numbers[-16:] = _from_uniform(self.uniform(16, wide))
        return numbers.astype(dtype)

    def next_uniform(self) -> float:
        """One number of U[0, 1), of 53 random bits."""
        upper, lower = self._bits.random_raw(), self._bits.random_raw()
        number: float = ((upper << 32 | lower) & (2**53 - 1)) * 2.0**-53
        return number

    def integers(self, n: int, low: int, high: int) -> Array:
        """Integers of {low, …, high − 1}: the remainder of a word, of 64 bits for a large range."""
        span = high - low
        words = self.words(n) if span < 2**28 else self.long_words(n)
        return (words % np.uint64(span)).astype(np.int64) + low

    def permutation(self, n: int) -> Array:
        """0 … n − 1 in random order (Fisher & Yates, 1938)."""
        order = list(range(n))
        steps = (self.words(max(n - 1, 0)) % np.arange(n, 1, -1, dtype=np.uint64)).tolist()
        for place, step in enumerate(steps):
            order[place], order[place + step] = order[place + step], order[place]
        return np.array(order, np.int64)


def _from_uniform(u: Array) -> Array:
    """Blocks of 16 uniform numbers: 8 radii and 8 angles give 8 cosines and 8 sines."""
    first, second = u.reshape(-1, 2, 8).swapaxes(0, 1)
    radius = np.sqrt(-2 * np.log(1 - first))
    angle = second * u.dtype.type(2 * np.pi)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)


_draws = cases(
    lambda rng: (seeded(0), {"draw": "uniform", "shape": (3, 5), "dtype": np.dtype(np.float32)}),
    lambda rng: (seeded(1), {"draw": "normal", "shape": (3,), "dtype": np.dtype(np.float64)}),
    lambda rng: (seeded(2), {"draw": "normal", "shape": (5, 7), "dtype": np.dtype(np.float32)}),
    lambda rng: (seeded(3), np.ones(2), {"draw": "gamma", "shape": (2,), "dtype": np.dtype("f8")}),
)


@primitive
class mersenne_twister:
    """(y, state′): numbers drawn from a state, and the state after them."""

    kind, samples = Random(), _draws

    def infer(state, *parameters, draw, shape, dtype, limits=()):
        if state.shape != (SIZE,) or state.dtype != np.int64:
            raise ArgumentError("this is no state of the Mersenne Twister", given=state)
        drawn_spec = allocatable(shape, dtype)
        return floating(drawn_spec) if draw in _REAL else drawn_spec, Spec((SIZE,), np.int64)

    def forward(state, *parameters, draw, shape, dtype, limits=()):
        twister = Twister(state)
        if draw in SAMPLERS or draw in ALL_AT_ONCE:
            return drawn(twister, draw, parameters, shape, dtype), twister.state()
        more = (dtype,) if draw in _REAL else limits
        one_by_one = math.prod(shape[:-1]) if draw == "permutation" else 1  # each of the last size
        count = math.prod(shape) // max(one_by_one, 1)
        parts = [getattr(twister, draw)(count, *more) for _ in range(one_by_one)]
        return np.reshape(parts, shape), twister.state()

    def batch(xs, batched, params):
        return for_all(mersenne_twister, xs, batched, params)
