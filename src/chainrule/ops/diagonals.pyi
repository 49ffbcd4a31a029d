# Written by tools/stubs.py, from the records.

from typing import Any, Literal

import numpy as np

from chainrule.primitive import Primitive
from chainrule.tensor import Tensor

__all__ = [
    "cartesian_prod",
    "combinations",
    "diag",
    "diag_embed",
    "diagflat",
    "diagonal",
    "diagonal_scatter",
    "meshgrid",
    "select_scatter",
    "slice_scatter",
    "tril_indices",
    "triu_indices",
]

def places(offset: int, rows: int, columns: int) -> tuple[Any, Any]:
    """Row and column of each element of a diagonal."""

class _diagonal_of_matrix(Primitive):
    def __call__(self, input: Tensor | float, *, offset: Any) -> Tensor:
        """yᵢ = xᵢ,ᵢ₊ₖ of the last two dimensions, k the offset: a view.   ∂y/∂x = 1 there."""

diagonal_of_matrix: _diagonal_of_matrix

def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonals of the matrices in two dimensions, in a last dimension: a view."""

def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """`input` with the elements of `src` on the diagonal."""

def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """`input` with `src` in the place of the part at `index` along `dim`."""

def slice_scatter(
    input: Tensor,
    src: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    """`input` with `src` in the place of the elements start:end:step along `dim`."""

def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the last dimension on their diagonals, zeros elsewhere."""

def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal."""

def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix with all elements on its diagonal."""

def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix."""

def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64) -> Tensor:
    """The rows and columns of a lower triangle: (2, n)."""

def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64) -> Tensor:
    """The rows and columns of an upper triangle: (2, n)."""

def meshgrid(*tensors: Any, indexing: Literal["ij", "xy"] = "ij") -> tuple[Tensor, ...]:
    """The coordinates of a grid, one tensor for each axis; "xy" exchanges the first two dimensions."""

def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All tuples with an element of each vector, a row each."""

def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All combinations of r elements of a vector, a row each."""

def fill_diagonal_(input: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """Assign one value to the elements xᵢᵢ, xᵢᵢᵢ, ...; with `wrap`, the diagonal of a tall matrix"""
