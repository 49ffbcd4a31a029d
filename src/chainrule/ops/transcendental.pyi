# Written by tools/stubs.py, from the records.

from chainrule.primitive import Primitive
from chainrule.tensor import Tensor

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan2",
    "atanh",
    "entr",
    "exp2",
    "hypot",
    "log2",
    "log10",
    "logaddexp",
    "logaddexp2",
    "logit",
    "sinc",
    "xlog1py",
    "xlogy",
]

class _exp2(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = 2ˣ, exact for whole x.   ∂y/∂x = y·ln 2."""

exp2: _exp2

class _log2(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = log₂ x, exact for powers of 2.   ∂y/∂x = 1/(x·ln 2)."""

log2: _log2

class _log10(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = log₁₀ x, exact for powers of 10.   ∂y/∂x = 1/(x·ln 10)."""

log10: _log10

class _asin(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = arcsin x.   ∂y/∂x = 1/√(1 − x²)."""

asin: _asin

class _acos(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = arccos x.   ∂y/∂x = −1/√(1 − x²)."""

acos: _acos

class _asinh(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = arsinh x = ln(x + √(x² + 1)).   ∂y/∂x = 1/√(x² + 1)."""

asinh: _asinh

class _acosh(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = arcosh x = ln(x + √(x² − 1)).   ∂y/∂x = 1/√(x² − 1)."""

acosh: _acosh

class _atanh(Primitive):
    def __call__(self, input: Tensor | float) -> Tensor:
        """y = artanh x = ½·ln((1 + x)/(1 − x)).   ∂y/∂x = 1/(1 − x²)."""

atanh: _atanh

class _atan2(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = the angle of the point (b, a), in (−π, π].   ∂y/∂a = b/(a² + b²), ∂y/∂b = −a/(a² + b²)."""

atan2: _atan2

class _hypot(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = √(a² + b²), without overflow on the way.   ∂y/∂a = a/y, ∂y/∂b = b/y."""

hypot: _hypot

class _logaddexp(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = ln(eᵃ + eᵇ), without overflow on the way.   ∂y/∂a = σ(a − b), ∂y/∂b = σ(b − a)."""

logaddexp: _logaddexp

class _logaddexp2(Primitive):
    def __call__(self, input: Tensor | float, other: Tensor | float) -> Tensor:
        """y = log₂(2ᵃ + 2ᵇ).   ∂y/∂a = σ((a − b)·ln 2), ∂y/∂b = σ((b − a)·ln 2)."""

logaddexp2: _logaddexp2

def xlogy(input: Tensor | float, other: Tensor | float) -> Tensor:
    """x·ln y, and 0 where x = 0 and y is not NaN."""

def entr(input: Tensor) -> Tensor:
    """−x·ln x, the part of an entropy; 0 at 0, −∞ below."""

def xlog1py(input: Tensor | float, other: Tensor | float) -> Tensor:
    """x·ln(1 + y), and 0 where x = 0 and y is not NaN."""

def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """ln(x/(1 − x)), the inverse of sigmoid; with `eps`, of x limited to [eps, 1 − eps]."""

def sinc(input: Tensor) -> Tensor:
    """sin(πx)/(πx), and 1 at 0."""
