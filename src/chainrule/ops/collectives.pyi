# Written by tools/stubs.py, from the records.

from collections.abc import Sequence
from typing import Any

from chainrule.primitive import Primitive
from chainrule.tensor import Tensor

def of_all_ranks(input: Tensor) -> Any:
    """The arguments of a sum to which each rank adds one tensor."""

class _all_reduce(Primitive):
    def __call__(self, input: Tensor) -> Tensor:
        """y = Σ x over all ranks, on each of them.   ∂x = the sum of g over all ranks."""

all_reduce: _all_reduce

def sum_of_shards(rows: Sequence[Sequence[Tensor]], shards: int) -> list[Tensor]:
    """Σ over the shards of all ranks of several tensors, which travel in one buffer."""
