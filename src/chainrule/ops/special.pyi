# Written by tools/stubs.py, from the records.

from typing import Any

from chainrule.primitive import Array, Primitive, SpecLike
from chainrule.tensor import Tensor

__all__ = ["erf", "normal_cdf", "relu", "sigmoid"]
TWO_ALIKE: Any

class _relu(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = max(x, 0); NaN stays.   ∂y/∂x = 1 where x > 0, else 0."""

relu: _relu

def spec_of_gradient(g: SpecLike, x: SpecLike) -> SpecLike:
    """The spec rule of g·f′(x), where g is the gradient of f(x)."""

class _gate(Primitive):
    def __call__(self, g: Tensor | float, input: Tensor | float) -> Tensor:
        """y = g·[x > 0]: the gradient of relu.   ∂y/∂g = 1 where x > 0, else 0."""

gate: _gate

class _sigmoid(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = 1 / (1 + e⁻ˣ).   ∂y/∂x = y·(1 − y)."""

sigmoid: _sigmoid

class _softplus(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = ln(1 + eˣ) = max(x, 0) + ln(1 + e^−|x|).   ∂y/∂x = sigmoid(x)."""

softplus: _softplus

class _silu(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = x·sigmoid(x), also called swish (Ramachandran et al., 2017).   ∂y/∂x = σ + y·(1 − σ)."""

silu: _silu

class _leaky_relu(Primitive):
    def __call__(self, input: Tensor, slope: float = 0.01) -> Tensor:
        """y = x where x > 0, else s·x with slope s (Maas et al., 2013).   ∂y/∂x = 1, or s."""

leaky_relu: _leaky_relu

class _elu(Primitive):
    def __call__(self, input: Tensor, alpha: float = 1.0) -> Tensor:
        """y = x where x > 0, else α·(eˣ − 1) (Clevert et al., 2015).   ∂y/∂x = 1, or y + α."""

elu: _elu

class _erf(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = 2/√π · ∫₀ˣ e^−t² dt.   ∂y/∂x = 2/√π · e^−x²."""

erf: _erf

class _gelu(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = x·Φ(x), Φ the normal distribution function (Hendrycks & Gimpel, 2016)."""

gelu: _gelu

class _gelu_gradient(Primitive):
    def __call__(self, g: Tensor | float, input: Tensor | float) -> Tensor:
        """y = g·(Φ(x) + x·φ(x)): the gradient of gelu.   ∂y/∂x = g·φ(x)·(2 − x²)."""

gelu_gradient: _gelu_gradient

class _gelu_tanh(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = ½x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), an approximation of gelu."""

gelu_tanh: _gelu_tanh

class _normal_cdf(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = Φ(x) = ½·(1 + erf(x/√2)).   ∂y/∂x = φ(x)."""

normal_cdf: _normal_cdf

class _normal_pdf(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = φ(x) = e^(−x²/2) / √(2π).   ∂y/∂x = −x·y."""

normal_pdf: _normal_pdf

def gaussian(x: Array, scale: float) -> Array:
    """exp(−scale·x²) in float64, of x² in two parts: its rounding would be magnified by the power."""

def erf_reference(x: Array) -> Array:
    """erf(x) in float64: by its own rational function for |x| ≤ 1, where 1 − erfc would cancel."""

def erfc_reference(x: Array, decay: Array) -> Array:
    """1 − erf(x) in float64, given e^−x²: rational functions for |x| ≤ 1, ≤ 8 and beyond."""

def erfc_tail(x: Array) -> Array:
    """e^x²·erfc(x) in float64 for x ≥ 1."""

def normal_cdf_reference(x: Array) -> Array:
    """Φ(x) = ½·erfc(−x/√2) in float64, accurate in the lower tail too, where 1 − erf cancels."""
