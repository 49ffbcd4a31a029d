# Written by tools/stubs.py, from the records.

from typing import Any, Literal, overload

from chainrule.primitive import Primitive
from chainrule.tensor import Tensor

__all__ = [
    "argwhere",
    "index_add",
    "index_copy",
    "index_fill",
    "index_reduce",
    "index_select",
    "masked_fill",
    "masked_scatter",
    "masked_select",
    "put",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "take",
    "take_along_dim",
    "where",
]
ALL = slice(None)

@overload
def where(condition: Tensor) -> tuple[Tensor, ...]: ...
@overload
def where(condition: Tensor, input: Tensor | float, other: Tensor | float) -> Tensor: ...
def argwhere(input: Tensor) -> Tensor:
    """The positions of all elements that are not zero, a row each: (n, dimensions)."""

def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The parts at a vector of positions along `dim`."""

def index_add(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1
) -> Tensor:
    """x with α·source added to its parts at a vector of positions, repeated ones added up."""

def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """x with the parts at a vector of positions replaced by those of `source`."""

def index_fill(input: Tensor, dim: int, index: Tensor, value: float | Tensor) -> Tensor:
    """x with the parts at a vector of positions filled with a number."""

def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """The elements at `indices` along `dim`, the other dimensions broadcast; as `gather`."""

def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor | float,
    *,
    reduce: Literal["add", "multiply"] | None = None,
) -> Tensor:
    """x with the elements of `src`, or a number, at the positions `index` along `dim`."""

def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """x with the elements of `src` added at the positions `index` along `dim`, repeated ones too."""

Reduce = Literal["sum", "prod", "mean", "amax", "amin"]

def scatter_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor,
    reduce: Reduce,
    *,
    include_self: bool = True,
) -> Tensor:
    """x with `src` folded in at the positions `index` along `dim`: sum, prod, mean, amax or amin."""

def index_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: Reduce,
    *,
    include_self: bool = True,
) -> Tensor:
    """`scatter_reduce` of whole parts along `dim`, at a vector of positions."""

class _fold_into(Primitive):
    def __call__(
        self, input: Tensor | float, v: Tensor | float, *at: Tensor | float, how: Any
    ) -> Tensor:
        """y = x, with v folded in at positions: products, or the largest or the smallest."""

fold_into: _fold_into

def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where a mask that broadcasts holds, in one dimension."""

def masked_fill(input: Tensor, mask: Tensor, value: float | Tensor) -> Tensor:
    """x with a number where a mask that broadcasts holds."""

def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """x with the first elements of `source`, in order, where a mask that broadcasts holds."""

def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at positions of the flattened tensor, in the shape of `index`."""

def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """x with the elements of `source` at positions of the flattened tensor, or added there."""
