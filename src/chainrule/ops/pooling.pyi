# Written by tools/stubs.py, from the records.

from collections.abc import Iterator
from typing import Any

import numpy as np

from chainrule.ops.window import Geometry
from chainrule.primitive import Primitive, Shape, SpecLike
from chainrule.tensor import Tensor

POOLS: Any = (
    ((2, 3, 7), (3,), Geometry((2,), ((1, 2),), (1,))),
    ((2, 3, 5, 4), (2, 2), Geometry.of(2, stride=2)),
    ((2, 3, 5, 4), (3, 2), Geometry.of(2, (2, 1), 1)),
    ((1, 2, 3, 4, 3), (2, 2, 1), Geometry.of(3, (1, 2, 2))),
)

def pooled(x: SpecLike, kernel: Shape, geometry: Geometry) -> Shape:
    """The shape of the output; no window may be empty."""

def distinct(rng: np.random.Generator) -> Iterator[Any]:
    """Inputs without equal elements, so that no maximum is tied."""

def averages(of_output: bool = False) -> Any:
    """Samples of the mean over windows, or of its adjoint."""

class _max_pool(Primitive):
    def __call__(
        self, input: Tensor | float, *, kernel: Shape, geometry: Geometry
    ) -> tuple[Tensor, Tensor]:
        """(y, positions): the largest element of each window, and where it is in its flat channel."""

max_pool: _max_pool

class _avg_pool(Primitive):
    def __call__(
        self, input: Tensor | float, *, kernel: Shape, geometry: Geometry, divisor: int
    ) -> Tensor:
        """y = the sum of each window, padding counted as 0, over `divisor`.   The adjoint spreads g."""

avg_pool: _avg_pool

class _avg_pool_input(Primitive):
    def __call__(
        self, u: Tensor | float, *, shape: Any, kernel: Any, geometry: Any, divisor: Any
    ) -> Tensor:
        """y = the gradient of avg_pool: each element of u over `divisor`, spread over its window."""

avg_pool_input: _avg_pool_input
