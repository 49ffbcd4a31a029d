# Written by tools/stubs.py, from the records.

from typing import Any

from chainrule.primitive import Primitive, Spec, SpecLike
from chainrule.tensor import Tensor

__all__ = ["einsum", "matmul"]

def added(parts: list[Any]) -> Any:
    """The sum of one tensor or more."""

def same_float(name: str, *inputs: SpecLike) -> None:
    """Products are of one dtype: nothing is converted silently."""

def by_rows(x: Any, w: Any) -> Any:
    """x·w: (..., k)·(k, m) → (..., m), with a product for each row."""

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

class _sum_of_products(Primitive):
    def __call__(self, *xs: Tensor | float, formula: str) -> Tensor:
        """y = Σ over the letters that the output lacks, of the product of the operands."""

sum_of_products: _sum_of_products

def einsum(equation: Any, *operands: Any) -> Tensor:
    """Σ over the letters that the output lacks, of the product of the operands."""

def from_sublists(given: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """A formula from operands that alternate with lists of numbers."""

def without_repeats(term: str, x: Tensor) -> tuple[str, Tensor]:
    """A term without letters that stand twice: the tensor's diagonals."""

def without_ones(terms: list[str], xs: list[Tensor]) -> tuple[list[str], list[Tensor]]:
    """Terms without dimensions of size 1 that broadcast to those of other operands."""

def explicit(formula: str, ndims: list[int]) -> tuple[list[str], str]:
    """The terms of a formula and its output, written out, with letters in place of `...`."""

def letter_sizes(formula: str, xs: Any) -> dict[str, int]:
    """The size that each letter of a formula stands for."""
