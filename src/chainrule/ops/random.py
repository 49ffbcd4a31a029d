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
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.interpreters import top
from chainrule.kinds import Random
from chainrule.ops.batched import aligned
from chainrule.ops.rules import allocatable, broadcast_shapes
from chainrule.ops.samplers import Source, drawn
from chainrule.ops.shape import sizes
from chainrule.primitive import Array, Shape, SpecLike, floating, primitive
from chainrule.samples import cases
from chainrule.settings import current, use
from chainrule.tensor import Tensor, from_numpy

__all__ = ["Generator", "default_generator", "manual_seed"]

WORDS_PER_COUNT = 4
_STATE, _DOUBLE = np.array([7, 3]), np.dtype(np.float64)


def raw_words(state: Array, n: int) -> Array:
    """n 64-bit words of the stream that starts at the state's counter."""
    key, counter = state.astype(np.uint64)  # as the same bits; in a list they would turn to floats
    return _philox(key, counter, _ZERO).random_raw(n)


_ZERO, _ONE = np.uint64(0), np.uint64(1)


def _philox(key: Any, low: Any, high: Any) -> Any:
    """NumPy's generator, from a counter of which two words are given."""
    return np.random.Philox(key=np.array([key, _ZERO]), counter=np.array([low, high, _ZERO, _ZERO]))


class Stream(Source):
    """The numbers of a state for draws by rejection, which take as many as they need.

    They have a stream of their own: the state's counter is the second word of Philox's counter.
    """

    def __init__(self, state: Array) -> None:
        key, counter = state.astype(np.uint64)
        self._bits = _philox(key, _ZERO, counter + _ONE)

    def next_uniform(self) -> float:
        """A number of U[0, 1), of 53 random bits."""
        number: float = (self._bits.random_raw() >> 11) * 2.0**-53
        return number


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


@primitive
class random_by_rejection:
    """y ~ Gamma(α, 1), Poisson(λ), Binomial(n, p) or an angle, of the parameters at each place."""
    kind = Random()
    samples = cases(
        lambda rng: (
            _STATE, np.array([0.5, 2.0]), {"sampler": "gamma", "shape": (3, 2), "dtype": _DOUBLE},
        ),
        lambda rng: (
            _STATE, np.array([20.0]), np.array([0.25, 0.75]),
            {"sampler": "binomial", "shape": (2,), "dtype": _DOUBLE},
        ),
    )

    def infer(state, *parameters, sampler, shape, dtype):
        for x in parameters:
            if broadcast_shapes(x.shape, shape) != tuple(shape):
                raise ShapeError("parameters broadcast to the shape", given=x.shape, expected=shape)
        return draw_rule(state, shape=shape, dtype=dtype)

    def forward(state, *parameters, sampler, shape, dtype):
        return drawn(Stream(state), sampler, parameters, shape, dtype)

    def batch(xs, batched, params): return for_all(random_by_rejection, xs, batched, params)


def for_all(record: Any, xs: Sequence[Tensor], batched: Sequence[bool], params: Any) -> Any:
    """One draw of the numbers of all examples, which have parameters of their own."""
    shape = (len(xs[batched.index(True)]), *params["shape"])
    rows = aligned(xs[1:], batched[1:], len(params["shape"]))
    return record(xs[0], *rows, **{**params, "shape": shape})


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
        return self._draw("uniform", sizes(shape), dtype)

    def normal(self, *shape: Any, dtype: Any = None) -> Tensor:
        """N(0, 1) of a shape."""
        return self._draw("normal", sizes(shape), dtype)

    def log_normal(self, mean: float, std: float, *shape: Any) -> Tensor:
        """exp of N(mean, std²) of a shape, in float64."""
        return (self.normal(*shape, dtype=np.float64) * std + mean).exp()

    def gamma(self, alpha: Tensor) -> Tensor:
        """Gamma(α, 1), for each α."""
        return self._draw("gamma", alpha.shape, alpha.dtype, alpha)

    def poisson(self, rate: Tensor) -> Tensor:
        """Poisson(λ), for each rate λ."""
        return self._draw("poisson", rate.shape, rate.dtype, rate)

    def binomial(self, count: Tensor, probability: Tensor) -> Tensor:
        """Binomial(n, p), for each count n and probability p."""
        shape = broadcast_shapes(count.shape, probability.shape)
        return self._draw("binomial", shape, count.dtype, count, probability)

    def von_mises(self, concentration: Tensor) -> Tensor:
        """Angles of the von Mises distribution about 0, for each concentration."""
        return self._draw("von_mises", concentration.shape, concentration.dtype, concentration)

    def integers(self, low: int, high: int, shape: Any) -> Tensor:
        """Integers of {low, …, high − 1}, all equally likely."""
        span = high - low
        if span > 2**53 and span % 2**32 == 0:  # an upper and a lower part
            upper = self.integers(0, span // 2**32, shape)
            return upper * 2**32 + self.integers(0, 2**32, shape) + low
        if not 0 < span <= 2**53:
            raise ArgumentError(
                "the range holds between one and 2⁵³ integers, or a multiple of 2³²",
                given=f"{low} … {high - 1}",
            )
        spread = self.uniform(*shape, dtype=np.float64) * float(span)
        return spread.floor().astype(np.int64) + low

    def permutation(self, n: int) -> Tensor:
        """The numbers 0 … n − 1 in random order."""
        return self.uniform(n, dtype=np.float64).argsort()

    def bernoulli(self, p: float, *shape: Any) -> Tensor:
        """True with probability p, of a shape."""
        return self.uniform(*shape, dtype=np.float32) >= 1 - p

    def _draw(self, draw: str, shape: Shape, dtype: Any, *parameters: Tensor) -> Tensor:
        """Numbers of a distribution, and the state moved past those that were used for them."""
        dtype = np.dtype(dtype or current().default_dtype)
        with _ONE_DRAW_AT_A_TIME, use(gradients=False):
            if parameters:
                y = random_by_rejection(
                    self.state, *parameters, sampler=draw, shape=shape, dtype=dtype
                )
                counts = top().draws
            else:
                record = random_normal if draw == "normal" else random_uniform
                y = record(self.state, shape=shape, dtype=dtype)
                words = words_needed((top().draws, *shape), dtype, per_pair=draw == "normal")
                counts = -(-words // WORDS_PER_COUNT)
            self.state.assign(self.state + from_numpy(np.array([0, counts])))
        return y


default_generator = Generator(seed=0)


def manual_seed(seed: int) -> Generator:
    """Seed the default generator: the one that initializers, dropout and `cr.rand` draw from.

    There is one for all threads of the process; see `Generator` for what threads may expect.
    """
    return default_generator.manual_seed(seed)
