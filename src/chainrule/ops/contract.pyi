# Written by tools/stubs.py, from the records.

from typing import Any

from chainrule.primitive import Primitive, Spec, SpecLike
from chainrule.tensor import Tensor

__all__ = ["einsum", "matmul"]

def same_float(name: str, *inputs: SpecLike) -> None:
    """Products are of one dtype: nothing is converted silently."""

class _matrix_product(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = a·b: (..., n, k)·(..., k, m) → (..., n, m).   ∂y/∂a = g·bᵀ, ∂y/∂b = aᵀ·g."""

matrix_product: _matrix_product

def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product as in PyTorch: vectors are a row on the left, a column on the right."""

class _linear(Primitive):
    def __call__(self, input: Tensor | float, w: Tensor | float, *b: Tensor | float) -> Tensor:
        """y = x·wᵀ + b, or x·wᵀ: (..., in)·(out, in)ᵀ + (out) → (..., out)."""

linear: _linear

class _linear_weight(Primitive):
    def __call__(self, g: Tensor | float, input: Tensor | float) -> Tensor:
        """y = Σₙ gₙᵀ·xₙ, the gradient of linear by its weights: (..., out), (..., in) → (out, in)."""

linear_weight: _linear_weight

def linear_rule(x: SpecLike, w: SpecLike) -> Spec:
    """(..., in) and (out, in) → (..., out)."""

class _einsum(Primitive):
    def __call__(self, formula: str, *operands: Tensor) -> Tensor:
        """y = Σ over the letters that the output lacks, of the product of the operands."""

einsum: _einsum

def explicit(formula: str, ndims: list[int]) -> str:
    """A formula with its output written out and `...` replaced by letters."""

def letter_sizes(formula: str, xs: Any) -> dict[str, int]:
    """The size that each letter of a formula stands for."""
