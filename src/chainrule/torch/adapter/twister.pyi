# Written by tools/stubs.py, from the records.

from typing import Any

from chainrule.ops.samplers import Source
from chainrule.primitive import Array, Primitive
from chainrule.tensor import Tensor

SIZE: int

def seeded(seed: int) -> Array:
    """The state after `torch.manual_seed(seed)`."""

class Twister(Source):
    """Draws numbers from a state, and returns the new state."""

    def __init__(self, state: Array) -> None: ...
    def state(self) -> Array:
        """The current state."""

    def words(self, n: int) -> Array:
        """n words of 32 bits."""

    def long_words(self, n: int) -> Array:
        """n words of 64 bits: two words of 32 bits each, the upper half first."""

    def uniform(self, n: int, dtype: Any) -> Array:
        """U[0, 1): 24 random bits for float32 and smaller, 53 for float64."""

    def normal(self, n: int, dtype: Any) -> Array:
        """N(0, 1), by Box and Muller (1958): in blocks of 16, or in pairs for fewer numbers."""

    def next_uniform(self) -> float:
        """One number of U[0, 1), of 53 random bits."""

    def integers(self, n: int, low: int, high: int) -> Array:
        """Integers of {low, …, high − 1}: the remainder of a word, of 64 bits for a large range."""

    def permutation(self, n: int) -> Array:
        """0 … n − 1 in random order (Fisher & Yates, 1938)."""

class _mersenne_twister(Primitive):
    def __call__(
        self,
        state: Tensor | float,
        *parameters: Tensor | float,
        draw: Any,
        shape: Any,
        dtype: Any,
        limits: Any = (),
    ) -> tuple[Tensor, Tensor]:
        """(y, state′): numbers drawn from a state, and the state after them."""

mersenne_twister: _mersenne_twister
