# Written by tools/stubs.py, from the records.

from collections.abc import Sequence
from typing import Any

from chainrule.ops.rules import Dims
from chainrule.primitive import Primitive, Shape, SpecLike
from chainrule.tensor import Tensor

__all__ = [
    "cat",
    "expand",
    "flatten",
    "flip",
    "movedim",
    "pad",
    "permute",
    "reshape",
    "roll",
    "split",
    "squeeze",
    "stack",
    "tile",
    "transpose",
    "tril",
    "triu",
    "unsqueeze",
]

def sizes(shape: Sequence[Any]) -> Shape:
    """`f(2, 3)` and `f((2, 3))` mean the same."""

class _barrier(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = x, which no pass of the compiler sees through.   ∂y/∂x = 1."""

barrier: _barrier

class _reshape(Primitive):
    def __call__(self, input: Tensor, *shape: Any) -> Tensor:
        """y = x in another shape of as many elements; one −1 is worked out.   ∂y/∂x = 1."""

reshape: _reshape

class _permute(Primitive):
    def __call__(self, input: Tensor, *dims: Any) -> Tensor:
        """y = x with its dimensions in another order.   ∂y/∂x = 1."""

permute: _permute

class _expand(Primitive):
    def __call__(self, input: Tensor, *shape: Any) -> Tensor:
        """y = x repeated along dimensions of size 1, and new ones in front.   ∂y/∂x = Σ repeats."""

expand: _expand

class _flip(Primitive):
    def __call__(self, input: Tensor, *dims: Any) -> Tensor:
        """y = x backwards along the dimensions.   ∂y/∂x = 1."""

flip: _flip

class _roll(Primitive):
    def __call__(self, input: Tensor, shifts: int | Sequence[int], dims: Dims) -> Tensor:
        """y = x moved on by `shifts` along the dimensions, the end coming back in front."""

roll: _roll

def only_tensors(name: str, tensors: Sequence[Tensor]) -> list[Tensor]:
    """At least one tensor, and nothing else."""

class _cat(Primitive):
    def __call__(self, tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
        """y = the inputs one after another along `dim`.   ∂y/∂xᵢ = 1 on its part."""

cat: _cat

class _pad(Primitive):
    def __call__(self, input: Tensor, pad: Sequence[int], value: float = 0.0) -> Tensor:
        """y = x with `widths` (before, after) of a constant around each dimension.   ∂y/∂x = 1."""

pad: _pad

def inside(shape: Shape, widths: Any) -> tuple[slice, ...]:
    """Where in a padded array the array itself is."""

class _tril(Primitive):
    def __call__(self, input: Tensor, diagonal: int = 0) -> Tensor:
        """y = x below and on the diagonal, 0 above it.   ∂y/∂x = 1 or 0."""

tril: _tril

class _triu(Primitive):
    def __call__(self, input: Tensor, diagonal: int = 0) -> Tensor:
        """y = x above and on the diagonal, 0 below it.   ∂y/∂x = 1 or 0."""

triu: _triu

def matrix(x: SpecLike) -> SpecLike:
    """The input's spec, which must have at least two dimensions."""

def squeeze(input: Tensor, dim: Dims = None) -> Tensor:
    """Without the dimensions of size 1 (all of them, or those of `dim` that have size 1)."""

def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a dimension of size 1 put at `dim`."""

def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """With the dimensions from `start_dim` to `end_dim` merged into one."""

def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """With two dimensions exchanged."""

def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """With the dimension `source` moved to `destination`, or several of them."""

def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new dimension."""

def split(input: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Parts along `dim`, of `split_size` elements each (the last may be smaller), or as listed."""

def tile(input: Tensor, *repeats: Any) -> Tensor:
    """The whole tensor repeated along each dimension, new dimensions in front."""
