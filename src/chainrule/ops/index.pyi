# Written by tools/stubs.py, from the records.

from typing import Any, Literal, overload

from chainrule.placed import Placed
from chainrule.primitive import Primitive, Shape, Spec
from chainrule.tensor import Tensor

__all__ = ["gather", "index_put", "nonzero"]

class _slice_(Primitive):
    def __call__(self, input: Tensor | float, *, index: Any) -> Tensor:
        """y = x[index], of integers, slices, None and `...`: a view.   ∂y/∂x = 1 on its part."""

slice_: _slice_

class _slice_into(Primitive):
    def __call__(self, input: Tensor | float, *, shape: Any, index: Any) -> Tensor:
        """y = zeros of a shape, with y[index] += x: the adjoint of `slice`.   ∂y/∂x = 1."""

slice_into: _slice_into

class _take(Primitive):
    def __call__(self, input: Tensor | float, *indices: Tensor | float, index: Any) -> Tensor:
        """y = x[..., i, ...], of integer tensors.   ∂y/∂x adds up where a position repeats."""

take: _take

class _put_into(Primitive):
    def __call__(
        self, input: Tensor | float, *indices: Tensor | float, shape: Any, index: Any
    ) -> Tensor:
        """y = zeros of a shape, with y[index] += x, repeats added: the adjoint of `take`."""

put_into: _put_into

class _add_at(Primitive):
    def __call__(
        self, input: Tensor | float, v: Tensor | float, *indices: Tensor | float, index: Any
    ) -> Tensor:
        """y = x, with y[index] += v, repeats added.   ∂y/∂x = 1, ∂y/∂v = 1 on its part."""

add_at: _add_at

def written_spec(x: Spec, v: Spec, indices: tuple[Spec, ...], index: tuple[Any, ...]) -> Spec:
    """The spec of x, where v may be written at an index."""

def batched_write(op: Any, xs: Any, batched: Any, params: Any) -> Tensor:
    """What `op` writes at an index into each example."""

def placed(g: Tensor, shape: Shape, index: tuple[Any, ...], *indices: Tensor) -> Placed:
    """The gradient of x[index] by x, of this shape."""

def getitem(x: Tensor, index: Any) -> Tensor:
    """`x[index]`, as in PyTorch: integers, slices, None, `...`, integer and boolean arrays."""

def integers_first(parts: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """An index with index tensors as two, the integers alone and the rest: integers take their"""

def canonical(x: Tensor, index: Any) -> tuple[tuple[Any, ...], list[Tensor]]:
    """An index as (parts, index tensors): masks become positions, lists and arrays tensors."""

def dims_taken(part: Any) -> int:
    """How many dimensions a part of an index stands for; `...` stands for what the rest leaves."""

def part_of_index(part: Any) -> Any:
    """One part of an index: an int, a slice, None, `...`, or a tensor of integers or booleans."""

def mask_positions(x: Tensor, mask: Tensor, dim: int) -> tuple[Tensor, ...]:
    """The positions where a boolean mask is true, one tensor per dimension of the mask."""

@overload
def nonzero(input: Tensor, *, as_tuple: Literal[False] = False) -> Tensor: ...
@overload
def nonzero(input: Tensor, *, as_tuple: Literal[True]) -> tuple[Tensor, ...]: ...
def index_put(input: Tensor, indices: Any, values: Any) -> Tensor:
    """`x` with `x[indices] = values`; what `x[indices] = values` on a tensor assigns."""

class _overwrite(Primitive):
    def __call__(
        self, input: Tensor | float, v: Tensor | float, *indices: Tensor | float, index: Any
    ) -> Tensor:
        """y = x, with y[index] = v (of repeated positions the last stays).   ∂y/∂v = 1 on its part."""

overwrite: _overwrite

class _gather(Primitive):
    def __call__(self, input: Tensor, dim: int, index: Tensor) -> Tensor:
        """y = x at positions `index` along `dim`, shapes equal elsewhere.   The adjoint scatters."""

gather: _gather

class _scatter_add(Primitive):
    def __call__(
        self, input: Tensor | float, index: Tensor | float, *, shape: Any, dim: Any
    ) -> Tensor:
        """y = zeros of a shape, with x added at the positions `index` along `dim`."""

scatter_add: _scatter_add
