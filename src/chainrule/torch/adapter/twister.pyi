# Written by tools/stubs.py, from the records.

from typing import Any

from chainrule.primitive import Array, Primitive
from chainrule.tensor import Tensor

SIZE: int

def seeded(seed: int) -> Array:
    """The state that `torch.manual_seed(seed)` starts from."""

class Twister:
    """Draws from a state, and gives the state after it."""

    def __init__(self, state: Array) -> None: ...
    def state(self) -> Array:
        """The state now."""

    def words(self, n: int) -> Array:
        """n words of 32 bits."""

    def long_words(self, n: int) -> Array:
        """n words of 64 bits: two words each, the upper half first."""

    def uniform(self, n: int, dtype: Any) -> Array:
        """U[0, 1): 24 random bits for float32 and smaller, 53 for float64."""

    def normal(self, n: int, dtype: Any) -> Array:
        """N(0, 1), by Box and Muller (1958): in blocks of 16, or a few one after the other."""

    def _one_normal(self) -> float: ...
    def integers(self, n: int, low: int, high: int) -> Array:
        """{low, …, high − 1}: the remainder of a word, a long one where the range asks for it."""

    def permutation(self, n: int) -> Array:
        """0 … n − 1 in random order (Fisher & Yates, 1938)."""

class _mersenne_twister(Primitive):
    def __call__(
        self, state: Tensor | float, *, draw: Any, shape: Any, dtype: Any, limits: Any = ()
    ) -> tuple[Tensor, Tensor]:
        """(y, state′): numbers drawn from a state, and the state after them."""

mersenne_twister: _mersenne_twister
