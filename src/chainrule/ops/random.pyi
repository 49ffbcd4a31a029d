# Written by tools/stubs.py, from the records.

from collections.abc import Sequence
from typing import Any

from chainrule.ops.samplers import Source
from chainrule.primitive import Array, Primitive, Shape, SpecLike
from chainrule.tensor import Tensor

__all__ = ["Generator", "default_generator", "manual_seed"]
WORDS_PER_COUNT: int

def raw_words(state: Array, n: int) -> Array:
    """n 64-bit words of the stream that starts at the state's counter."""

class Stream(Source):
    """The numbers of a state for draws by rejection, which take as many as they need.

    They have a stream of their own: the state's counter is the second word of Philox's counter.
    """

    def __init__(self, state: Array) -> None: ...
    def next_uniform(self) -> float:
        """A number of U[0, 1), of 53 random bits."""

def words_needed(shape: Shape, dtype: Any, per_pair: bool = False) -> int:
    """How many words a draw takes: one a number, or one for two float32 numbers."""

def unit_interval(state: Array, n: int, dtype: Any) -> Array:
    """n numbers of U[0, 1): as many random bits each as the dtype has digits, so that none is 1."""

def draw_rule(state: SpecLike, *, shape: Shape, dtype: Any) -> SpecLike:
    """The spec asked for."""

draws: Any

class _random_uniform(Primitive):
    def __call__(self, state: Tensor | float, *, shape: Shape, dtype: Any) -> Tensor:
        """y ~ U[0, 1), from a state [key, counter]."""

random_uniform: _random_uniform

class _random_normal(Primitive):
    def __call__(self, state: Tensor | float, *, shape: Shape, dtype: Any) -> Tensor:
        """y ~ N(0, 1): √(−2 ln(1 − u))·cos 2πv and ·sin 2πv of uniform pairs (Box & Muller, 1958)."""

random_normal: _random_normal

class _random_by_rejection(Primitive):
    def __call__(
        self,
        state: Tensor | float,
        *parameters: Tensor | float,
        sampler: Any,
        shape: Any,
        dtype: Any,
    ) -> Tensor:
        """y ~ Gamma(α, 1), Poisson(λ), Binomial(n, p) or an angle, of the parameters at each place."""

random_by_rejection: _random_by_rejection

def for_all(record: Any, xs: Sequence[Tensor], batched: Sequence[bool], params: Any) -> Any:
    """One draw of the numbers of all examples, which have parameters of their own."""

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

    def __init__(self, seed: int = 0) -> None: ...
    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed` from its beginning."""

    def uniform(self, *shape: Any, dtype: Any = None) -> Tensor:
        """U[0, 1) of a shape."""

    def normal(self, *shape: Any, dtype: Any = None) -> Tensor:
        """N(0, 1) of a shape."""

    def log_normal(self, mean: float, std: float, *shape: Any) -> Tensor:
        """exp of N(mean, std²) of a shape, in float64."""

    def gamma(self, alpha: Tensor) -> Tensor:
        """Gamma(α, 1), for each α."""

    def poisson(self, rate: Tensor) -> Tensor:
        """Poisson(λ), for each rate λ."""

    def binomial(self, count: Tensor, probability: Tensor) -> Tensor:
        """Binomial(n, p), for each count n and probability p."""

    def von_mises(self, concentration: Tensor) -> Tensor:
        """Angles of the von Mises distribution about 0, for each concentration."""

    def integers(self, low: int, high: int, shape: Any) -> Tensor:
        """Integers of {low, …, high − 1}, all equally likely."""

    def permutation(self, n: int) -> Tensor:
        """The numbers 0 … n − 1 in random order."""

    def bernoulli(self, p: float, *shape: Any) -> Tensor:
        """True with probability p, of a shape."""

    def _draw(self, draw: str, shape: Shape, dtype: Any, *parameters: Tensor) -> Tensor:
        """Numbers of a distribution, and the state moved past those that were used for them."""

default_generator = Generator(seed=0)

def manual_seed(seed: int) -> Generator:
    """Seed the default generator: the one that initializers, dropout and `cr.rand` draw from."""
