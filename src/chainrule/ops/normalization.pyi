# Written by tools/stubs.py, from the records.

from collections.abc import Callable
from typing import Any

from chainrule.primitive import Primitive, SpecLike
from chainrule.tensor import Tensor

def affine_rule(x: SpecLike, *numbers: SpecLike) -> SpecLike:
    """x, once it is sure that weight and bias have one shape, which broadcasts to that of x."""

def affine_samples(gradient: bool = False) -> Any:
    """Batch norm, layer norm, and what is neither; as inputs of the gradient, too."""

class _normalize(Primitive):
    def __call__(
        self, input: Tensor | float, *affine: Tensor | float, dims: Any, eps: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        """y = (x − m)/√(v + ε)·w + b, with mean m and variance v over the dimensions; → (y, m, v)."""

normalize: _normalize

class _normalize_gradient(Primitive):
    def __call__(
        self,
        g: Tensor | float,
        input: Tensor | float,
        m: Tensor | float,
        v: Tensor | float,
        w: Tensor | float,
        *,
        dims: Any,
        eps: Any,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients of (x − m)/√(v + ε)·w + b by x (through m and v, too), w and b; g is that of y."""

normalize_gradient: _normalize_gradient

def mean_over(dims: tuple[int, ...], x: SpecLike) -> Callable[[Tensor], Tensor]:
    """The mean over dimensions of the size of x, which stay as 1."""
