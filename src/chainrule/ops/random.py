"""Random numbers by counter: Philox 4×64-10 (Salmon et al., 2011).

The state is a tensor [key, counter] of int64, state like any other: a draw reads it, `assign`
moves it on. The same state gives the same numbers on every machine, and the stream of NumPy's
`Philox(key, counter).random_raw` is the reference. NumPy's and Python's own generators are not
touched.
"""

from __future__ import annotations

import math
import operator
import threading
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.interpreters import top
from chainrule.kinds import Random
from chainrule.ops.rules import allocatable
from chainrule.ops.shape import sizes
from chainrule.primitive import Array, Shape, SpecLike, floating, primitive
from chainrule.samples import cases
from chainrule.settings import current, use
from chainrule.tensor import Tensor, from_numpy

__all__ = ["Generator", "default_generator", "manual_seed"]

WORDS_PER_COUNT = 4
_STATE = np.array([7, 3])


def raw_words(state: Array, n: int) -> Array:
    """n 64-bit words of the stream that starts at the state's counter."""
    key, counter = state.astype(np.uint64)  # as the same bits; in a list they would turn to floats
    zero = np.uint64(0)
    generator = np.random.Philox(
        key=np.array([key, zero]), counter=np.array([counter, zero, zero, zero])
    )
    return generator.random_raw(n)


def words_needed(shape: Shape, dtype: Any, per_pair: bool = False) -> int:
    """How many words a draw takes: one a number, or one for two float32 numbers."""
    n = math.prod(shape)
    n += n % 2 if per_pair else 0
    return n if np.dtype(dtype).itemsize == 8 or per_pair else (n + 1) // 2


def unit_interval(state: Array, n: int, dtype: Any) -> Array:
    """n numbers of U[0, 1): as many random bits each as the dtype has digits, so that none is 1."""
    if np.dtype(dtype) == np.float64:
        return (raw_words(state, n) >> np.uint64(11)) * 2.0**-53
    halves = raw_words(state, (n + 1) // 2).astype("<u8", copy=False).view("<u4")[:n]
    bits = np.finfo(dtype).nmant + 1
    return (halves >> np.uint32(32 - bits)).astype(np.float32) * np.float32(2.0**-bits)


def draw_rule(state: SpecLike, *, shape: Shape, dtype: Any) -> SpecLike:
    """The spec asked for."""
    if state.shape != (2,) or state.dtype != np.int64:
        raise ArgumentError("a random state is [key, counter] of int64", given=state)
    return floating(allocatable(shape, dtype))


draws = cases(
    lambda rng: (_STATE, {"shape": (3, 5), "dtype": np.dtype(np.float32)}),
    lambda rng: (_STATE, {"shape": (), "dtype": np.dtype(np.float64)}),
)


@primitive
class random_uniform:
    """y ~ U[0, 1), from a state [key, counter]."""
    kind, infer, samples = Random(), draw_rule, draws
    def forward(state, *, shape, dtype):
        y = unit_interval(state, math.prod(shape), dtype)
        return y.reshape(shape).astype(dtype, copy=False)


# No native kernel: log1p, cos and sin of NumPy differ in their last bits from one processor to the
# next (it chooses among implementations), so a kernel could not promise the same numbers.
@primitive
class random_normal:
    """y ~ N(0, 1): √(−2 ln(1 − u))·cos 2πv and ·sin 2πv of uniform pairs (Box & Muller, 1958)."""
    kind, infer, samples = Random(), draw_rule, draws
    def forward(state, *, shape, dtype):
        n = math.prod(shape)
        u, v = unit_interval(state, n + n % 2, np.float64).reshape(2, -1)
        radius, angle = np.sqrt(-2 * np.log1p(-u)), 2 * np.pi * v
        pairs = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
        return pairs[:n].reshape(shape).astype(dtype)


_ONE_DRAW_AT_A_TIME = threading.RLock()


class Generator:
    """A stream of random numbers with a state of its own.

    Threads may share a generator: no number is drawn twice, but which thread gets which numbers
    depends on their order. Give each thread a generator of its own for numbers that repeat.

    >>> generator = Generator(seed=0)
    >>> a, b = generator.uniform(2), generator.uniform(2)
    >>> bool((a == b).any())
    False
    >>> bool((Generator(seed=0).uniform(2) == a).all())
    True
    """

    state: Tensor

    def __init__(self, seed: int = 0) -> None:
        self.state = from_numpy(np.array([0, 0], np.int64))
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed` from its beginning."""
        seed = operator.index(seed)
        if not -(2**63) <= seed < 2**63:
            raise ArgumentError("a seed is an integer of 64 bits", given=seed)
        self.state.assign(np.array([seed, 0], np.int64))
        return self

    def uniform(self, *shape: Any, dtype: Any = None) -> Tensor:
        """U[0, 1) of a shape."""
        return self._draw(random_uniform, sizes(shape), dtype, per_pair=False)

    def normal(self, *shape: Any, dtype: Any = None) -> Tensor:
        """N(0, 1) of a shape."""
        return self._draw(random_normal, sizes(shape), dtype, per_pair=True)

    def integers(self, low: int, high: int, shape: Any) -> Tensor:
        """Integers of {low, …, high − 1}, all equally likely."""
        if not 0 < high - low <= 2**53:
            raise ArgumentError(
                "the range holds between one and 2⁵³ integers", given=f"{low} … {high - 1}"
            )
        spread = self.uniform(*shape, dtype=np.float64) * float(high - low)
        return spread.floor().astype(np.int64) + low

    def permutation(self, n: int) -> Tensor:
        """The numbers 0 … n − 1 in random order."""
        return self.uniform(n, dtype=np.float64).argsort()

    def bernoulli(self, p: float, *shape: Any) -> Tensor:
        """True with probability p, of a shape."""
        return self.uniform(*shape, dtype=np.float32) >= 1 - p

    def _draw(self, record: Any, shape: Shape, dtype: Any, per_pair: bool) -> Tensor:
        dtype = np.dtype(dtype or current().default_dtype)
        with _ONE_DRAW_AT_A_TIME, use(gradients=False):
            y: Tensor = record(self.state, shape=shape, dtype=dtype)
            words = words_needed((top().draws, *shape), dtype, per_pair)
            counts = -(-words // WORDS_PER_COUNT)
            self.state.assign(self.state + from_numpy(np.array([0, counts])))
        return y


default_generator = Generator(seed=0)


def manual_seed(seed: int) -> Generator:
    """Seed the default generator: the one that initializers, dropout and `cr.rand` draw from.

    There is one for all threads of the process; see `Generator` for what threads may expect.
    """
    return default_generator.manual_seed(seed)
