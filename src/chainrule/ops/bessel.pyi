# Written by tools/stubs.py, from the records.

from chainrule.primitive import Array, Primitive
from chainrule.tensor import Tensor

__all__ = ["i0", "i0e", "i1", "i1e"]

def scaled_reference(x: Array, order: int) -> Array:
    """e^−|x|·Iₙ(x) in float64."""

class _i0(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = I₀(x).   ∂y/∂x = I₁(x)."""

i0: _i0

class _i0e(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = e^−|x|·I₀(x).   ∂y/∂x = e^−|x|·I₁(x) − sign x·y."""

i0e: _i0e

class _i1(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = I₁(x).   ∂y/∂x = I₀(x) − y/x, and ½ at 0."""

i1: _i1

class _i1e(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = e^−|x|·I₁(x).   ∂y/∂x = e^−|x|·I₀(x) − y·(sign x + 1/x), and ½ at 0."""

i1e: _i1e
