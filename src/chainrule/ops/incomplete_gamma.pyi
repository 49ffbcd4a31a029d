# Written by tools/stubs.py, from the records.

from typing import Any

from chainrule.primitive import Array, Primitive
from chainrule.tensor import Tensor

__all__ = ["igamma", "igammac"]

def quadrature() -> tuple[Array, Array]:
    """The points and weights of Gauss and Legendre's rule for ∫₀¹."""

def parts_over_density(a: Array, x: Array) -> tuple[Array, Array, Array]:
    """(is_upper, R, S): R = Q/p and S = (∂Q/∂a)/p where x > a + 1, else R = P/p, S = (∂P/∂a)/p."""

def inside(a: Array, x: Array) -> tuple[Array, Array, Array]:
    """Both inputs in float64, made valid, and where they were."""

class _incomplete_gamma(Primitive):
    def __call__(self, input: Tensor | float, x: Tensor | float, *, upper: Any) -> Tensor:
        """y = P(a, x), or Q(a, x) (upper).   ∂P/∂a = −p·dx/da at a fixed P, ∂P/∂x = p."""

incomplete_gamma: _incomplete_gamma

class _gamma_slope(Primitive):
    def __call__(self, input: Tensor | float, x: Tensor | float) -> Tensor:
        """y = dx/da = −(∂P/∂a)/p, at a fixed P(a, x) (Figurnov et al., 2018)."""

gamma_slope: _gamma_slope

class _reparameterized_gamma(Primitive):
    def __call__(self, alpha: Tensor | float, input: Tensor | float) -> Tensor:
        """y = x, drawn from Gamma(α, 1), as a function of α.   ∂y/∂α = dx/dα at a fixed P(α, x)."""

reparameterized_gamma: _reparameterized_gamma

def igamma(input: Tensor | float, other: Tensor | float) -> Tensor:
    """P(a, x), the part of Gamma(a, 1) up to x.   ∂P/∂a, too."""

def igammac(input: Tensor | float, other: Tensor | float) -> Tensor:
    """Q(a, x) = 1 − P(a, x), accurate where P is near 1."""
