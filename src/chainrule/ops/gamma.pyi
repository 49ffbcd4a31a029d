# Written by tools/stubs.py, from the records.

from chainrule.primitive import Array, Primitive
from chainrule.tensor import Tensor

__all__ = [
    "digamma",
    "erfc",
    "erfcx",
    "erfinv",
    "lgamma",
    "log_ndtr",
    "mvlgamma",
    "ndtri",
    "polygamma",
]

class _erfc(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = 1 − erf x, accurate where erf is near 1.   ∂y/∂x = −2/√π · e^−x²."""

erfc: _erfc

class _erfinv(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y with erf y = x; ±∞ at ±1, NaN beyond.   ∂y/∂x = √π/2 · e^y²."""

erfinv: _erfinv

def erfinv_reference(x: Array) -> Array:
    """In float64, from the complement 1 − |x|, which keeps its digits near ±1."""

def erfcinv_reference(rest: Array) -> Array:
    """y ≥ 0 with erfc y = rest, 0 < rest ≤ 1, in float64: Winitzki (2008), then Halley's steps."""

class _erfcx(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = e^x²·erfc x, which does not underflow for large x.   ∂y/∂x = 2·x·y − 2/√π."""

erfcx: _erfcx

def scaled_erfc_reference(x: Array) -> Array:
    """e^x²·erfc x in float64; for x < 0 by 2·e^x² − e^x²·erfc −x."""

class _ndtri(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y with Φ(y) = x: quantiles of the normal distribution; ±∞ at 1 and 0.   ∂y/∂x = 1/φ(y)."""

ndtri: _ndtri

def log_ndtr(input: Tensor) -> Tensor:
    """ln Φ(x), accurate where Φ itself underflows."""

class _lgamma(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = ln |Γ(x)|; +∞ at 0, −1, −2, ...   ∂y/∂x = ψ(x), the digamma function."""

lgamma: _lgamma

def log_gamma(x: float) -> float:
    """`math.lgamma`, with ∞ where that raises: at the poles, and beyond the range of floats."""

class _digamma(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = ψ(x) = d/dx ln Γ(x); NaN at −1, −2, ..., −∞ at 0.   ∂y/∂x = ψ⁽¹⁾(x)."""

digamma: _digamma

def digamma_reference(x: Array) -> Array:
    """In float64: ψ(x) = ψ(1 − x) − π/tan πx for x < 0, then ψ(x) = ψ(x + 1) − 1/x up to 10."""

class _polygamma(Primitive):
    def __call__(self, n: int, input: Tensor) -> Tensor:
        """y = ψ⁽ⁿ⁾(x), the n-th derivative of digamma.   ∂y/∂x = ψ⁽ⁿ⁺¹⁾(x)."""

polygamma: _polygamma

def polygamma_reference(x: Array, n: int) -> Array:
    """(−1)ⁿ⁺¹·n!·Σₖ (x + k)⁻ⁿ⁻¹ in float64, its tail from x + k ≥ 10 on by Euler and Maclaurin."""

def mvlgamma(input: Tensor, p: int) -> Tensor:
    """ln Γₚ(x) = p·(p − 1)/4·ln π + Σⱼ ln Γ(x − j/2), j = 0, ..., p − 1."""
